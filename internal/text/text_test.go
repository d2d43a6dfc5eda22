package text_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/text"
)

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]string{"": "", "one": "one", "one\ntwo\nthree": "one", "\ntwo": ""} {
		require.Equal(t, want, text.FirstLine(in), "%q", in)
	}
}

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
