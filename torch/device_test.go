package torch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithDevice(t *testing.T) {
	var kept *Tensor
	before := LiveTensors()
	Scope(func() {
		WithDevice(Meta, func() {
			require.Equal(t, Meta, Zeros(1<<30, 1<<20).Device())
			require.Equal(t, CPU, From([]float32{1}).Device())
			require.Equal(t, CPU, Options{Device: CPU}.Ones(1).Device())
			WithDevice(CPU, func() { require.Equal(t, CPU, Ones(2).Device()) })
			Scope(func() { require.Equal(t, Meta, Ones(2).Device()) })
			kept = Ones(3) // joins the scope around
		})
		require.False(t, kept.Released())
		require.Equal(t, CPU, Zeros(1).Device())
	})
	require.True(t, kept.Released())
	require.LessOrEqual(t, LiveTensors(), before)
}
