package lite

import (
	"math"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Backward computes gradients, in place of loss.Backward(): it scales the loss where the precision has a scaler, and
// the ranks' gradients are averaged on the way, also where a method of the model calls it inside of its forward pass.
func (l *Lite) Backward(loss *torch.Tensor, opts ...torch.BackwardOptions) {
	if s := l.precision.Scaler(); s != nil {
		loss = s.Scale(loss)
	}
	if b := l.parts.backward; b != nil {
		b.Backward(loss, func(loss *torch.Tensor) { l.backward(loss, opts) })
		return
	}
	l.backward(loss, opts)
}

func (l *Lite) backward(loss *torch.Tensor, opts []torch.BackwardOptions) {
	if l.rank.WorldSize > 1 {
		l.group.TranslateErrors(func() { loss.Backward(opts...) })
		return
	}
	loss.Backward(opts...)
}

// NoBackwardSync runs f, forward and backward passes of m, and with on keeps their gradients on this rank: for all but
// the last step of an accumulation, or for gradients that are by-products. Without on, or on one rank, it just runs f.
func (l *Lite) NoBackwardSync(m Handle, on bool, f func()) {
	h := handleOf(m, "NoBackwardSync")
	if f == nil {
		torch.Fail("lite.NoBackwardSync", "the function is nil")
	}
	if on && h.noSync != nil {
		h.noSync.NoSync(f)
		return
	}
	f()
}

// ClipOptions are ClipGradNorm's optional arguments.
type ClipOptions struct {
	// NormType is the norm's order, math.Inf(1) for the largest element; 0: 2.
	NormType float64
	// ErrorIfNonFinite panics where the norm is infinite or NaN. It waits for the device.
	ErrorIfNonFinite bool
	// ModuleOrder adds the parameters' norms up in the order of the model's parameters, as
	// torch.nn.utils.clip_grad_norm_(model.parameters(), max) does. Those of the optimizer that the model has not come
	// last.
	ModuleOrder bool
}

// ClipGradNorm scales the gradients of the optimizer's parameters so that their common norm is at most max
// (torch.nn.utils.clip_grad_norm_), after undoing the scaler's factor, and returns the norm that they had, as a tensor:
// nothing waits for it.
//
// The parameters' norms are added up in the order of the optimizer's groups, as by Fabric.clip_gradients. Where those
// are not in the order of the model, weights that decay before those that don't, say, the last bits differ from
// clip_grad_norm_'s: ClipOptions.ModuleOrder.
func (l *Lite) ClipGradNorm(m Handle, o optim.Optimizer, max float64, opts ...ClipOptions) *torch.Tensor {
	c := options.Must("lite.ClipGradNorm", opts, torch.Fail)
	if c.NormType == 0 {
		c.NormType = 2
	}
	if math.IsNaN(max) || max < 0 {
		torch.Fail("lite.ClipGradNorm", "the largest norm is %v: want 0 or more", max)
	}
	h := handleOf(m, "ClipGradNorm")
	l.unscale(o)
	params := parametersOf(o)
	if c.ModuleOrder {
		params = inOrderOf(nn.Parameters(h.module), params)
	}
	if s := l.parts.norm; s != nil {
		norm := s.GradNorm(params, c.NormType)
		if c.ErrorIfNonFinite && !isFinite(norm.Item()) {
			torch.Fail("lite.ClipGradNorm", "the norm of the gradients is %v", norm.Item())
		}
		nn.ClipGradsWithNorm_(params, max, norm)
		return norm
	}
	return nn.ClipGradNorm_(params, max, nn.ClipGradOptions{NormType: &c.NormType, ErrorIfNonfinite: c.ErrorIfNonFinite})
}

// ClipGradValue cuts each gradient of the optimizer's parameters off at ±value (torch.nn.utils.clip_grad_value_), after
// undoing the scaler's factor.
func (l *Lite) ClipGradValue(m Handle, o optim.Optimizer, value float64) {
	if math.IsNaN(value) || value < 0 {
		torch.Fail("lite.ClipGradValue", "the largest value is %v: want 0 or more", value)
	}
	handleOf(m, "ClipGradValue")
	l.unscale(o)
	nn.ClipGradValue_(parametersOf(o), value)
}

// Unscale undoes the scaler's factor in the gradients of an optimizer that was set up, for programs that read or change
// them before Step (GradScaler.unscale_). ClipGradNorm and ClipGradValue do it by themselves. Without a scaler it does
// nothing.
func (l *Lite) Unscale(o optim.Optimizer) { l.unscale(o) }

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (l *Lite) unscale(o optim.Optimizer) {
	if s := l.precision.Scaler(); s != nil {
		s.Unscale(o)
	}
}

// inOrderOf returns list with those first that are in order, in that order.
func inOrderOf(order, list []nn.Parameter) []nn.Parameter {
	place := make(map[*torch.Tensor]int, len(order))
	for i, p := range order {
		place[p.Tensor] = i
	}
	slices.SortStableFunc(list, func(a, b nn.Parameter) int {
		at := func(p nn.Parameter) int {
			if i, ok := place[p.Tensor]; ok {
				return i
			}
			return len(order)
		}
		return at(a) - at(b)
	})
	return list
}

func parametersOf(o optim.Optimizer) []nn.Parameter {
	var params []nn.Parameter
	for _, g := range o.ParamGroups() {
		params = append(params, g.Params...)
	}
	return params
}
