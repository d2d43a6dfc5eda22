package text_test

import (
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
