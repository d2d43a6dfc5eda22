package nn

import (
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// pads is what the padding layers have in common.
type pads struct {
	Base
	padding []int
	options F.PadOptions
	dims    int
}

// Padding is how many elements are added: one number for all sides, or two for each spatial dimension, the last one
// first: before and after. Negative numbers cut.
type Padding interface {
	int | []int | [2]int | [4]int | [6]int
}

func padsOf[P Padding](operation string, dims int, padding P, o F.PadOptions) pads {
	var each []int
	switch p := any(padding).(type) {
	case int:
		for range 2 * dims {
			each = append(each, p)
		}
	case []int:
		each = append(each, p...)
	case [2]int:
		each = p[:]
	case [4]int:
		each = p[:]
	case [6]int:
		each = p[:]
	}
	if len(each) != 2*dims {
		torch.Fail(operation, "the padding must be one number or %d, got %v", 2*dims, each)
	}
	return pads{padding: each, options: o, dims: dims}
}

func (p *pads) pad(operation string, x *torch.Tensor) *torch.Tensor {
	if p.options.Mode == F.PadCircular {
		wantDims(operation, x, p.dims+1, p.dims+2)
	}
	return F.Pad(x, p.padding, p.options)
}

// ZeroPad1d pads the last dimension with zeros (torch.nn.ZeroPad1d).
type ZeroPad1d struct{ pads }

// NewZeroPad1d makes a padding layer (torch.nn.ZeroPad1d). It panics unless there is one number, or two for each
// dimension that is padded.
func NewZeroPad1d[P Padding](padding P) *ZeroPad1d {
	return &ZeroPad1d{padsOf("nn.NewZeroPad1d", 1, padding, F.PadOptions{})}
}

// Forward takes x [N, C, L] or [C, L] and returns it with L padded.
func (p *ZeroPad1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ZeroPad1d", x) })
}

// ZeroPad2d pads the last 2 dimensions with zeros (torch.nn.ZeroPad2d).
type ZeroPad2d struct{ pads }

// NewZeroPad2d makes a padding layer (torch.nn.ZeroPad2d). It panics unless there is one number, or two for each
// dimension that is padded.
func NewZeroPad2d[P Padding](padding P) *ZeroPad2d {
	return &ZeroPad2d{padsOf("nn.NewZeroPad2d", 2, padding, F.PadOptions{})}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns it with H and W padded.
func (p *ZeroPad2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ZeroPad2d", x) })
}

// ZeroPad3d pads the last 3 dimensions with zeros (torch.nn.ZeroPad3d).
type ZeroPad3d struct{ pads }

// NewZeroPad3d makes a padding layer (torch.nn.ZeroPad3d). It panics unless there is one number, or two for each
// dimension that is padded.
func NewZeroPad3d[P Padding](padding P) *ZeroPad3d {
	return &ZeroPad3d{padsOf("nn.NewZeroPad3d", 3, padding, F.PadOptions{})}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns it with D, H and W padded.
func (p *ZeroPad3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ZeroPad3d", x) })
}

// ReflectionPad1d pads the last dimension with the values inside, mirrored, without the edge
// (torch.nn.ReflectionPad1d).
type ReflectionPad1d struct{ pads }

// NewReflectionPad1d makes a padding layer (torch.nn.ReflectionPad1d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewReflectionPad1d[P Padding](padding P) *ReflectionPad1d {
	return &ReflectionPad1d{padsOf("nn.NewReflectionPad1d", 1, padding, F.PadOptions{Mode: F.PadReflect})}
}

// Forward takes x [N, C, L] or [C, L] and returns it with L padded.
func (p *ReflectionPad1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReflectionPad1d", x) })
}

// ReflectionPad2d pads the last 2 dimensions with the values inside, mirrored, without the edge
// (torch.nn.ReflectionPad2d).
type ReflectionPad2d struct{ pads }

// NewReflectionPad2d makes a padding layer (torch.nn.ReflectionPad2d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewReflectionPad2d[P Padding](padding P) *ReflectionPad2d {
	return &ReflectionPad2d{padsOf("nn.NewReflectionPad2d", 2, padding, F.PadOptions{Mode: F.PadReflect})}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns it with H and W padded.
func (p *ReflectionPad2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReflectionPad2d", x) })
}

// ReflectionPad3d pads the last 3 dimensions with the values inside, mirrored, without the edge
// (torch.nn.ReflectionPad3d).
type ReflectionPad3d struct{ pads }

// NewReflectionPad3d makes a padding layer (torch.nn.ReflectionPad3d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewReflectionPad3d[P Padding](padding P) *ReflectionPad3d {
	return &ReflectionPad3d{padsOf("nn.NewReflectionPad3d", 3, padding, F.PadOptions{Mode: F.PadReflect})}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns it with D, H and W padded.
func (p *ReflectionPad3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReflectionPad3d", x) })
}

// ReplicationPad1d pads the last dimension with the edge's value (torch.nn.ReplicationPad1d).
type ReplicationPad1d struct{ pads }

// NewReplicationPad1d makes a padding layer (torch.nn.ReplicationPad1d). It panics unless there is one number, or two
// for each dimension that is padded.
func NewReplicationPad1d[P Padding](padding P) *ReplicationPad1d {
	return &ReplicationPad1d{padsOf("nn.NewReplicationPad1d", 1, padding, F.PadOptions{Mode: F.PadReplicate})}
}

// Forward takes x [N, C, L] or [C, L] and returns it with L padded.
func (p *ReplicationPad1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReplicationPad1d", x) })
}

// ReplicationPad2d pads the last 2 dimensions with the edge's value (torch.nn.ReplicationPad2d).
type ReplicationPad2d struct{ pads }

// NewReplicationPad2d makes a padding layer (torch.nn.ReplicationPad2d). It panics unless there is one number, or two
// for each dimension that is padded.
func NewReplicationPad2d[P Padding](padding P) *ReplicationPad2d {
	return &ReplicationPad2d{padsOf("nn.NewReplicationPad2d", 2, padding, F.PadOptions{Mode: F.PadReplicate})}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns it with H and W padded.
func (p *ReplicationPad2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReplicationPad2d", x) })
}

// ReplicationPad3d pads the last 3 dimensions with the edge's value (torch.nn.ReplicationPad3d).
type ReplicationPad3d struct{ pads }

// NewReplicationPad3d makes a padding layer (torch.nn.ReplicationPad3d). It panics unless there is one number, or two
// for each dimension that is padded.
func NewReplicationPad3d[P Padding](padding P) *ReplicationPad3d {
	return &ReplicationPad3d{padsOf("nn.NewReplicationPad3d", 3, padding, F.PadOptions{Mode: F.PadReplicate})}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns it with D, H and W padded.
func (p *ReplicationPad3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ReplicationPad3d", x) })
}

// CircularPad1d pads the last dimension with the values from the other side (torch.nn.CircularPad1d).
type CircularPad1d struct{ pads }

// NewCircularPad1d makes a padding layer (torch.nn.CircularPad1d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewCircularPad1d[P Padding](padding P) *CircularPad1d {
	return &CircularPad1d{padsOf("nn.NewCircularPad1d", 1, padding, F.PadOptions{Mode: F.PadCircular})}
}

// Forward takes x [N, C, L] or [C, L] and returns it with L padded.
func (p *CircularPad1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.CircularPad1d", x) })
}

// CircularPad2d pads the last 2 dimensions with the values from the other side (torch.nn.CircularPad2d).
type CircularPad2d struct{ pads }

// NewCircularPad2d makes a padding layer (torch.nn.CircularPad2d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewCircularPad2d[P Padding](padding P) *CircularPad2d {
	return &CircularPad2d{padsOf("nn.NewCircularPad2d", 2, padding, F.PadOptions{Mode: F.PadCircular})}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns it with H and W padded.
func (p *CircularPad2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.CircularPad2d", x) })
}

// CircularPad3d pads the last 3 dimensions with the values from the other side (torch.nn.CircularPad3d).
type CircularPad3d struct{ pads }

// NewCircularPad3d makes a padding layer (torch.nn.CircularPad3d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewCircularPad3d[P Padding](padding P) *CircularPad3d {
	return &CircularPad3d{padsOf("nn.NewCircularPad3d", 3, padding, F.PadOptions{Mode: F.PadCircular})}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns it with D, H and W padded.
func (p *CircularPad3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.CircularPad3d", x) })
}

// ConstantPad1d pads the last dimension with a value (torch.nn.ConstantPad1d).
type ConstantPad1d struct{ pads }

// NewConstantPad1d makes a padding layer (torch.nn.ConstantPad1d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewConstantPad1d[P Padding](padding P, value float64) *ConstantPad1d {
	return &ConstantPad1d{padsOf("nn.NewConstantPad1d", 1, padding, F.PadOptions{Value: value})}
}

// Forward takes x [N, C, L] or [C, L] and returns it with L padded.
func (p *ConstantPad1d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ConstantPad1d", x) })
}

// ConstantPad2d pads the last 2 dimensions with a value (torch.nn.ConstantPad2d).
type ConstantPad2d struct{ pads }

// NewConstantPad2d makes a padding layer (torch.nn.ConstantPad2d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewConstantPad2d[P Padding](padding P, value float64) *ConstantPad2d {
	return &ConstantPad2d{padsOf("nn.NewConstantPad2d", 2, padding, F.PadOptions{Value: value})}
}

// Forward takes x [N, C, H, W] or [C, H, W] and returns it with H and W padded.
func (p *ConstantPad2d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ConstantPad2d", x) })
}

// ConstantPad3d pads the last 3 dimensions with a value (torch.nn.ConstantPad3d).
type ConstantPad3d struct{ pads }

// NewConstantPad3d makes a padding layer (torch.nn.ConstantPad3d). It panics unless there is one number, or two for
// each dimension that is padded.
func NewConstantPad3d[P Padding](padding P, value float64) *ConstantPad3d {
	return &ConstantPad3d{padsOf("nn.NewConstantPad3d", 3, padding, F.PadOptions{Value: value})}
}

// Forward takes x [N, C, D, H, W] or [C, D, H, W] and returns it with D, H and W padded.
func (p *ConstantPad3d) Forward(x *torch.Tensor) *torch.Tensor {
	return p.withHooks(p, x, func(x *torch.Tensor) *torch.Tensor { return p.pad("nn.ConstantPad3d", x) })
}
