package nn

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

type summarized struct {
	Base
	Conv  *Conv2d
	Norm  *BatchNorm2d
	Tail  []Layer
	Tied  *Linear
	Scale Parameter
}

// Sums are checked by hand: 20·1·5·5+20 = 520, 2·20 = 40, 20·10+10 = 210; the tied weight counts once.
func TestSummary(t *testing.T) {
	m := &summarized{Conv: NewConv2d(1, 20, 5), Norm: NewBatchNorm2d(20), Tail: []Layer{NewReLU(), NewLinear(20,
		10)}, Tied: NewLinear(20, 10)}
	m.Tied.Weight = m.Tail[1].(*Linear).Weight
	m.Scale = NewParameter(torch.Options{DType: torch.Float64}.Ones(3))
	m.Norm.Weight.RequiresGrad_(false)
	s := Summary(m)
	require.Equal(t, 3+520+40+210+10, s.Parameters)
	require.Equal(t, 3+520+20+210+10, s.Trainable)
	require.Equal(t, 3*8+(520+40+210+10)*4, s.Bytes)
	n := 0
	for _, p := range Parameters(m) {
		n += p.Numel()
	}
	require.Equal(t, n, s.Parameters)
	require.Equal(t, `Name     Type         Shape                                Parameters  Trainable
(model)  summarized   scale [3]                            3           yes
conv     Conv2d       weight [20, 1, 5, 5], bias [20]      520         yes
norm     BatchNorm2d  weight [20], bias [20]               40          20
tail.1   Linear       weight [10, 20], bias [10]           210         yes
tied     Linear       weight [10, 20] (shared), bias [10]  10          yes
783 parameters, 763 of them trainable, 0.0 MB`, fmt.Sprint(s))
	require.Equal(t, "1,234,567", thousands(1234567))
	require.Equal(t, "999", thousands(999))
}
