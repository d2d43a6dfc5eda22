package torch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOperationsAllocateOnlyTheirResult(t *testing.T) {
	SetNumThreads(1)
	x, y := Randn(4), Randn(4)
	for name, f := range map[string]func(){
		"Add": func() { x.Add(y).Release() }, "Mul": func() { x.Mul(y).Release() }, "MulScalar": func() { x.MulScalar(2).Release() },
		"Sum": func() { x.Sum().Release() }, "Relu": func() { x.ReLU().Release() }, "View": func() { x.View(2, 2).Release() },
		"To": func() { x.To(Float64).Release() }, "Transpose": func() { x.Transpose(0, 0).Release() },
	} {
		require.LessOrEqual(t, testing.AllocsPerRun(100, f), 5.0, name)
	}
	for name, f := range map[string]func(){"Add_": func() { x.Add_(y) }, "Lerp_": func() { x.Lerp_(y, 0.5) }, "Zero": func() { x.MulScalar_(0) }} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}
