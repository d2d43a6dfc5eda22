package dist

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// reduces reports whether the collective combines values.
func (o *operation) reduces() bool {
	switch o.call.Kind {
	case cgotorch.AllReduce, cgotorch.Reduce, cgotorch.ReduceScatter, cgotorch.ReduceScatterTensor,
		cgotorch.AllReduceCoalesced, cgotorch.ReduceScatterTensorCoalesced:
		return true
	}
	return false
}

// checkOp refuses what has no meaning, alike over all kinds of group: some would refuse it in the middle of the
// collective, others give numbers for it.
func (o *operation) checkOp() {
	op := Op(o.call.Op)
	for _, t := range o.in {
		d, name := t.DType(), "dist."+o.name
		whole := !d.IsFloating() && !d.IsComplex()
		switch {
		case op > BitXor:
			torch.Fail(name, "%v is no way to combine values", op)
		case !reducible(d):
			torch.Fail(name, "%v tensors can't be combined, only moved; convert them", d)
		case op >= BitAnd && !whole:
			torch.Fail(name, "%v takes integers and bools, not %v", op, d)
		case d.IsComplex() && op != Sum && op != Mean:
			torch.Fail(name, "complex tensors have a sum and a mean, no %v", op)
		case d == torch.Bool && op == Mean:
			torch.Fail(name, "bools have no mean; convert them")
		}
	}
}

func reducible(d torch.DType) bool {
	return d == torch.Int16 || d == torch.Bool || glooSupports(d, true)
}

// glooSupports reports whether Gloo has a type, to combine or to move.
func glooSupports(d torch.DType, combine bool) bool {
	switch d {
	case torch.UInt8, torch.Int8, torch.Int32, torch.Int64, torch.Float16, torch.BFloat16, torch.Float32, torch.Float64:
		return true
	case torch.Complex64, torch.Complex128:
		return combine
	}
	return false
}

// castForBackend replaces tensors of types that Gloo lacks: by their bytes where values are only moved; where they are
// combined bools become bytes, and 16-bit integers become 32-bit ones.
func (o *operation) castForBackend(list []*torch.Tensor, written bool) []*torch.Tensor {
	out := make([]*torch.Tensor, len(list))
	for i, t := range list {
		out[i] = t
		if glooSupports(t.DType(), o.reduces()) || t.Device().Type != torch.CPUType {
			continue
		}
		torch.NoGrad(func() {
			switch {
			case !o.reduces():
				out[i] = t.Detach().Unsqueeze(-1).ViewDType(torch.UInt8)
			case t.DType() == torch.Bool:
				out[i] = t.Detach().ViewDType(torch.UInt8)
			default:
				out[i] = t.Detach().To(torch.Int32)
				if written {
					c := out[i]
					o.after = append([]func(){func() { torch.NoGrad(func() { t.Detach().Copy_(c) }) }}, o.after...)
				}
			}
		})
	}
	return out
}

// stageTensors prepares the tensors of the call.
func (o *operation) stageTensors() {
	if o.reduces() {
		o.checkOp()
	}
	in, out := o.in, o.out
	if !o.g.InProcess() {
		changed := o.call.Kind == cgotorch.AllReduce || o.call.Kind == cgotorch.AllReduceCoalesced ||
			o.call.Kind == cgotorch.Reduce && o.call.Root == o.g.rank
		in, out = o.castForBackend(in, changed), o.castForBackend(out, true)
		if o.reduces() && len(in) > 0 && in[0] != o.in[0] && o.in[0].DType() == torch.Bool {
			o.call.Op = int(bytesOp(Op(o.call.Op)))
		}
	}
	o.staged = append(in[:len(in):len(in)], out...)
	o.call.In, o.call.Out = torch.ABI{}.Handles(in), torch.ABI{}.Handles(out)
}

// bytesOp combines bytes of 0 and 1 as op combines bools.
func bytesOp(op Op) Op {
	switch op {
	case Sum:
		return Max
	case Product:
		return Min
	}
	return op
}
