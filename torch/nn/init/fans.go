package nninit

import (
	"math"

	"github.com/golite/golite/torch"
)

// Nonlinearity is the function that follows a layer (torch.nn.init.calculate_gain's nonlinearity).
//
// The functions are LeakyReLU (the default), Linear (none), Sigmoid, Tanh, ReLU and SELU.
type Nonlinearity uint8

// Nonlinearities. The zero value is the leaky ReLU, PyTorch's default.
const (
	LeakyReLU Nonlinearity = iota
	Linear                 // and convolutions: none
	Sigmoid
	Tanh
	ReLU
	SELU
)

// String returns PyTorch's name.
func (n Nonlinearity) String() string {
	names := [...]string{"leaky_relu", "linear", "sigmoid", "tanh", "relu", "selu"}
	if int(n) < len(names) {
		return names[n]
	}
	return "unknown nonlinearity"
}

// CalculateGain returns the recommended gain for a nonlinearity (torch.nn.init.calculate_gain). The leaky ReLU's
// negative slope is 0.01 unless it is given.
func CalculateGain(n Nonlinearity, negativeSlope ...float64) float64 {
	switch n {
	case Linear, Sigmoid:
		return 1
	case Tanh:
		return 5.0 / 3
	case ReLU:
		return math.Sqrt(2)
	case LeakyReLU:
		slope := 0.01
		if len(negativeSlope) > 0 {
			slope = negativeSlope[0]
		}
		squared := slope * slope
		return math.Sqrt(2 / (1 + float64(squared)))
	case SELU:
		return 3.0 / 4
	}
	torch.Fail("nninit.CalculateGain", "%s", n)
	return 0
}

// Fans returns how many inputs and outputs an element of a weight [out, in, ...] has, its receptive field counted
// (torch.nn.init._calculate_fan_in_and_fan_out). It panics if there are fewer than 2 dimensions.
func Fans(t *torch.Tensor) (in, out int) {
	shape := t.Shape()
	if len(shape) < 2 {
		torch.Fail("nninit.Fans", "want a tensor of at least 2 dimensions, got %v", shape)
	}
	field := 1
	for _, s := range shape[2:] {
		field *= s
	}
	return shape[1] * field, shape[0] * field
}
