package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// PadMode is what Pad fills with (torch.nn.functional.pad's mode).
//
// The modes are PadConstant (the default), PadReflect, PadReplicate and PadCircular.
type PadMode uint8

// Modes of Pad.
const (
	PadConstant  PadMode = iota // Value
	PadReflect                  // the values inside, mirrored, without the edge
	PadReplicate                // the edge's value
	PadCircular                 // the values from the other side
)

// String returns PyTorch's name.
func (m PadMode) String() string {
	names := [...]string{"constant", "reflect", "replicate", "circular"}
	if int(m) < len(names) {
		return names[m]
	}
	return "unknown padding mode"
}

// PadOptions are Pad's optional arguments.
type PadOptions struct {
	Mode  PadMode // default PadConstant
	Value float64 // what PadConstant fills with
}

// Pad adds elements at both sides of the last dimensions: padding holds, for the last dimension first, how many before
// and how many after; negative numbers cut (torch.nn.functional.pad).
func Pad(x *torch.Tensor, padding []int, opts ...PadOptions) *torch.Tensor {
	o := one("F.Pad", opts)
	if len(padding)%2 != 0 || len(padding) > 2*x.Dim() {
		torch.Fail("F.Pad", "want two numbers for each dimension to pad, of %d dimensions, got %v", x.Dim(), padding)
	}
	if padding == nil {
		padding = []int{}
	}
	if o.Mode == PadConstant && o.Value != 0 {
		return aten.Pad(x, padding, "constant", &o.Value)
	}
	return aten.Pad(x, padding, o.Mode.String(), nil)
}
