package lite

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Model is a module that was set up, with its forward: Forward has the type of the method that Setup was given, and
// runs it in the precision and with the ranks of the run.
type Model[M nn.Module, F any] struct {
	// Module is the module itself. Its own methods don't know of precision and ranks; Bind gives one that does.
	Module M
	// Forward is the forward pass. Floating tensors given to it take the precision's type, those that come out the default
	// type, as such and in structs, slices, arrays and maps, which are copied for it. What else a pointer points at, a cache
	// that the model writes say, is passed on as it is.
	Forward F

	h *handle
}

// Net is a model whose forward takes one tensor and gives one: the usual case.
type Net[M nn.Module] = Model[M, func(*torch.Tensor) *torch.Tensor]

// Handle is a *Model of any type.
type Handle interface{ handle() *handle }

// String writes the module as Python's print(module) does.
func (m *Model[M, F]) String() string {
	if m == nil {
		return "<nil>"
	}
	return fmt.Sprint(m.Module)
}

func (m *Model[M, F]) handle() *handle {
	if m == nil {
		return nil
	}
	return m.h
}

// handleOf gives a model's handle to a method of Lite, which panics by its name where the model was not set up.
func handleOf(m Handle, method string) *handle {
	if m != nil {
		if h := m.handle(); h != nil {
			return h
		}
	}
	torch.Fail("lite."+method, "the model was not set up: give what lite.Setup returned")
	return nil
}

// Train puts the module into training mode (Module.train).
func (m *Model[M, F]) Train() { nn.Train(m.Module) }

// Eval puts the module into evaluation mode (Module.eval).
func (m *Model[M, F]) Eval() { nn.Eval(m.Module) }

// Parameters returns the module's parameters.
func (m *Model[M, F]) Parameters() []nn.Parameter { return nn.Parameters(m.Module) }

// StateDict returns the module's state, with the keys of the module itself, whatever the strategy.
func (m *Model[M, F]) StateDict() *torch.StateDict { return nn.StateDict(m.Module) }

// LoadStateDict copies a state into the module's parameters and buffers, in place.
func (m *Model[M, F]) LoadStateDict(sd *torch.StateDict, opts ...nn.LoadOptions) error {
	return nn.LoadStateDict(m.Module, sd, opts...)
}

// Close takes the module out of the run before its end, with the optimizers all of whose parameters are the module's: a run
// otherwise keeps what was set up until it ends, which is memory where models come and go, as the folds of a cross
// validation do. All ranks call it, between two steps. The module stays as it is, with its parameters on the device, and may be set up anew,
// as may the optimizers; the Model and what Bind made of it must not be called any more. Closing twice does nothing.
func (m *Model[M, F]) Close() {
	if h := handleOf(m, "Model.Close"); h.l != nil {
		h.l.forget(h)
	}
}

// forget undoes the Setup of a module, and of the optimizers that have parameters of it alone.
func (l *Lite) forget(h *handle) {
	if !slices.Contains(l.models, h) {
		return
	}
	mine := map[*torch.Tensor]bool{}
	for _, p := range nn.Parameters(h.module) {
		mine[p.Tensor] = true
	}
	foreign := func(t *torch.Tensor) bool { return !mine[t] }
	l.models = slices.DeleteFunc(l.models, func(x *handle) bool { return x == h })
	l.steppers = slices.DeleteFunc(l.steppers, func(s *stepper) bool {
		if slices.ContainsFunc(s.o.Tensors(), foreign) {
			return false
		}
		s.release()
		return true
	})
	if c, ok := strategy.As[strategy.ModuleCloser](h.around); ok {
		c.CloseModule()
	}
	h.release()
}

// handle is what lite knows of a model, whatever its types.
type handle struct {
	l          *Lite
	module     nn.Module
	around     strategy.Module     // nil: nothing surrounds a pass
	noSync     strategy.NoSyncer   // part of around; nil: it has none
	joiner     strategy.Joiner     // part of around; nil: it has none
	dispatcher strategy.Dispatcher // part of around; nil: it has none
	trained    atomic.Bool         // a forward pass to train by, in which the strategy had its part, went through run
	release    func()              // undoes Setup
}

func (h *handle) String() string { return fmt.Sprintf("%T", h.module) }

// run is a forward pass of h: f calls the module's method, with inputs already converted, and gives the outputs; what
// run returns takes their place.
func (h *handle) run(f func() []*torch.Tensor) (out []*torch.Tensor) {
	if h.around == nil {
		h.passed()
		h.l.precision.Forward(h.l.device.Type, func() { out = f() })
		return out
	}
	p := h.pass()
	if h.l.precision == plain {
		return h.around.Forward(p, f)
	}
	return h.around.Forward(p, func() (out []*torch.Tensor) {
		h.l.precision.Forward(h.l.device.Type, func() { out = f() })
		return out
	})
}

// pass describes the forward pass that comes, and notes whether the strategy has its part in its gradients.
func (h *handle) pass() strategy.Pass {
	p := strategy.Pass{Grad: torch.GradEnabled(), Training: training(h.module)}
	if p.Grad && !h.trained.Load() && h.around.Synced(p) {
		h.trained.Store(true)
	}
	return p
}

// passed notes a forward pass in which precision and ranks had their part.
func (h *handle) passed() {
	if torch.GradEnabled() && !h.trained.Load() { // inference may come from many goroutines
		h.trained.Store(true)
	}
}

// free reports whether the strategy wants no part in gradients of the model.
func (h *handle) free() bool { return h.around == nil || h.around.Synced(strategy.Pass{Grad: true}) }

// plain is the precision that does nothing. A user's own may do anything, under whatever name.
var plain, _ = amp.New("32-true", torch.CPU)

// direct reports whether a forward pass needs nothing around it.
func (h *handle) direct() bool { return h.around == nil && h.l.precision == plain }

// training reports whether a module is in training mode.
func training(m nn.Module) bool { return m.(interface{ Training() bool }).Training() }
