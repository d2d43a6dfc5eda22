package main

import (
	"github.com/golite/golite/amp"
	"github.com/golite/golite/torch"
)

// Wide computes in 64 bits and counts the forward passes: weights and inputs become float64, results float32 again.
type Wide struct{ Passes int }

var _ amp.Precision = (*Wide)(nil)

// Name is what messages and checkpoints call it.
func (*Wide) Name() string { return "wide" }

// ModuleDType is the type that models get.
func (*Wide) ModuleDType() torch.DType { return torch.Float64 }

// Input converts what goes into a forward pass.
func (*Wide) Input(t *torch.Tensor) *torch.Tensor {
	if !t.DType().IsFloating() {
		return t
	}
	return t.To(torch.Float64)
}

// Output converts what comes out of one.
func (*Wide) Output(t *torch.Tensor) *torch.Tensor {
	if !t.DType().IsFloating() {
		return t
	}
	return t.To(torch.Float32)
}

// Forward runs a forward pass.
func (w *Wide) Forward(_ torch.DeviceType, f func()) {
	w.Passes++
	f()
}

// Scaler is nil: 64 bits need no scaling of gradients.
func (*Wide) Scaler() *amp.GradScaler { return nil }
