package text_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/text"
)

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]string{"": "", "one": "one", "one\ntwo\nthree": "one", "\ntwo": ""} {
		require.Equal(t, want, text.FirstLine(in), "%q", in)
	}
}

func TestStacksOfAllGoroutinesWithinALimit(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for range 400 { // more than fit into the first attempt
		go parked(stop)
	}
	all := ""
	require.Eventually(t, func() bool {
		all = string(text.Stacks(1 << 20))
		return strings.Count(all, "text_test.parked(") == 400
	}, 10*time.Second, 10*time.Millisecond, "all have come into their function")
	require.True(t, strings.HasPrefix(all, "goroutine "))
	require.Len(t, text.Stacks(1000), 1000)
}

//go:noinline
func parked(stop <-chan struct{}) { <-stop }

func TestFloatIsPythonsRepr(t *testing.T) {
	for want, v := range map[string]float64{
		"1.0": 1, "-0.0": math.Copysign(0, -1), "0.1": 0.1, "0.0001": 1e-4, "1e-05": 1e-5, "123456789.0": 123456789,
		"1000000000000000.0": 1e15, "1e+16": 1e16, "1.5e-300": 1.5e-300, "0.3333333333333333": 1.0 / 3, "inf": math.Inf(1),
		"-inf": math.Inf(-1), "nan": math.NaN(),
	} {
		require.Equal(t, want, text.Float(v))
	}
	require.Equal(t, "True", text.Bool(true))
	require.Equal(t, "False", text.Bool(false))
}
