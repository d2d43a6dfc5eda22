package lite

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Setup prepares a module and its optimizers for the run: it converts the module to the precision's type, moves it (and
// what the optimizers have stored) to the device, ties it to its copies on other ranks, and routes the optimizers' Step
// through scaler and strategy (Fabric.setup). forward is a method of the module, such as net.Forward; the result's
// Forward has its type. The optimizers are set up in place, so the user's variables and schedulers go on working. At
// the end it calls OnAfterSetup of the Config's callbacks with the module, as SetupModule does.
//
// Several models take a Setup each. Setting up the same module or optimizer twice is an error, as is a forward that is
// no method of the module's type; SetupOf takes others. Which value of that type a method is bound to is not seen: give
// that of the module itself. A model that must stay where it is (setup with move_to_device=False) takes two calls:
//
//	model, err := lite.SetupModule(l, net, net.Forward, lite.ModuleOptions{NoMove: true})
//	err = l.SetupOptimizers(opt)
//
// From then on model.Forward takes the place of net.Forward, and l.Backward(loss) that of loss.Backward(). Step panics
// where it sees that they did not: where there are gradients but the precision or the ranks, if there are any to heed,
// had no part in any forward pass of the model yet, where the precision has a scaler and no l.Backward came since the
// last Step, and, on several ranks, where a parameter has a gradient that no strategy averages: see IgnoreParameters.
//
// Layers may be frozen and unfrozen afterwards (nn.RequiresGrad), on all ranks alike: the next Forward in training
// follows. On several ranks it builds the strategy's part of the model anew, and a CommHook such as PowerSGD begins
// again with what it carries from step to step.
func Setup[M nn.Module, F any](l *Lite, module M, forward F, opts ...optim.Optimizer) (*Model[M, F], error) {
	return setup(l, module, ModuleOptions{}, opts, func() (F, strategy.Method, error) {
		m, err := namedMethod(module, forward, "Setup")
		return forward, m, err
	})
}

// SetupOf is Setup for a forward that Setup refuses because it can't tell which method of the module it is, such as a
// closure, or a method that another one hides. of returns the forward of the module that it is given, and strategies
// with copies of the module ask it for theirs:
//
//	model, err := lite.SetupOf(l, net, func(n *Net) func(x *torch.Tensor) *torch.Tensor { return n.Encoder.Forward }, opt)
func SetupOf[M nn.Module, F any](l *Lite, module M, of func(M) F, opts ...optim.Optimizer) (*Model[M, F], error) {
	return setup(l, module, ModuleOptions{}, opts, func() (F, strategy.Method, error) { return methodOf(module, of, "SetupOf") })
}

func setup[M nn.Module, F any](l *Lite, module M, o ModuleOptions, opts []optim.Optimizer, forward func() (F, strategy.Method, error)) (*Model[M, F], error) {
	if err := checkModule(module); err != nil {
		return nil, err
	}
	f, method, err := forward()
	if err != nil {
		return nil, err
	}
	h := &handle{l: l, module: module}
	if err := l.setupModule(h, o); err != nil {
		return nil, err
	}
	wrapped, err := wrap(h, f, method)
	if err != nil {
		return nil, fmt.Errorf("lite: Setup: %w", err)
	}
	if err := l.setupOptimizers(opts); err != nil {
		return nil, err
	}
	return &Model[M, F]{Module: module, Forward: wrapped, h: h}, l.afterSetup(module)
}

// SetupModule is Setup for a module without optimizers, which SetupOptimizers may prepare on their own.
func SetupModule[M nn.Module, F any](l *Lite, module M, forward F, opts ...ModuleOptions) (*Model[M, F], error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("lite: SetupModule: %w", err)
	}
	return setup(l, module, o, nil, func() (F, strategy.Method, error) {
		m, err := namedMethod(module, forward, "Setup")
		return forward, m, err
	})
}

// afterSetup calls back.
func (l *Lite) afterSetup(module nn.Module) error {
	return try(func() { l.Call("OnAfterSetup", module, l) })
}

// Bind gives another method of a model's module the same context as its Forward: the precision and, in training, the
// strategy. The result has the method's type. What is no method of the module's type panics, as it is an error of the
// program.
func Bind[M nn.Module, F, G any](m *Model[M, F], method G) G {
	x, err := namedMethod(m.Module, method, "Bind")
	return bind(m.h, method, x, err)
}

// BindOf is Bind as SetupOf is Setup: of returns the method of the module that it is given.
func BindOf[M nn.Module, F, G any](m *Model[M, F], of func(M) G) G {
	method, x, err := methodOf(m.Module, of, "BindOf")
	return bind(m.h, method, x, err)
}

func bind[G any](h *handle, method G, x strategy.Method, err error) G {
	if err == nil {
		method, err = wrap(h, method, x)
	}
	if err != nil {
		torch.Fail("lite.Bind", "%v", err)
	}
	return method
}

// SetupOptimizers prepares optimizers on their own, after SetupModule.
func (l *Lite) SetupOptimizers(opts ...optim.Optimizer) error {
	if len(opts) == 0 {
		return errors.New("lite: SetupOptimizers was given no optimizer")
	}
	return l.setupOptimizers(opts)
}

func checkModule(module nn.Module) error {
	v := reflect.ValueOf(module)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("lite: Setup: the module (%T) is nil", module)
	}
	if _, isModel := any(module).(Handle); isModel {
		return fmt.Errorf("lite: Setup: %T was set up already: give the module itself, once", module)
	}
	return nil
}

// taken is the modules that are set up in this process, by which rank: a module can serve one.
var taken sync.Map

func (l *Lite) setupModule(h *handle, o ModuleOptions) error {
	if other, already := taken.LoadOrStore(h.module, l); already {
		if other != l {
			return fmt.Errorf("lite: Setup: rank %d has set up this %T already: goroutine ranks need a model each, so make it inside of Run", other.(*Lite).rank.GlobalRank, h.module)
		}
		return fmt.Errorf("lite: Setup: this %T was set up already: a module is passed once", h.module)
	}
	h.release = l.atEnd(func() { taken.Delete(h.module) })
	around, err := l.session.SetupModule(l.ctx, h.module, o)
	if err == nil {
		err = checkUnwrap[strategy.Module](around)
	}
	if err != nil {
		return fmt.Errorf("lite: Setup of %T: %w", h.module, err)
	}
	if h.around = around; around != nil {
		h.noSync, _ = strategy.As[strategy.NoSyncer](around)
		h.joiner, _ = strategy.As[strategy.Joiner](around)
		h.dispatcher, _ = strategy.As[strategy.Dispatcher](around)
	}
	l.models = append(l.models, h)
	return nil
}

// placeModule is a Session's Env.Place.
func (l *Lite) placeModule(m nn.Module, o ModuleOptions) error {
	return try(func() {
		nn.Parameters(m) // an incomplete module panics here, with the path of the field
		if !o.NoMove && nn.OnMeta(m) {
			nn.ToEmpty(m, l.device)
		}
		var to []torch.Target
		if d := l.precision.ModuleDType(); d != 0 {
			to = append(to, d)
		}
		if !o.NoMove {
			to = append(to, l.device)
		}
		if len(to) > 0 {
			nn.To(m, to...)
		}
	})
}

func (l *Lite) setupOptimizers(opts []optim.Optimizer) error {
	for i, o := range opts {
		if o == nil || reflect.ValueOf(o).Kind() == reflect.Pointer && reflect.ValueOf(o).IsNil() {
			return fmt.Errorf("lite: Setup: optimizer %d is nil", i)
		}
		if _, closure := o.(*optim.LBFGS); closure && l.precision.Scaler() != nil {
			return fmt.Errorf("lite: Setup: LBFGS evaluates the model several times a step, which a gradient scaler can't follow: use another optimizer or precision than %s", l.precision.Name())
		}
		s := &stepper{l: l, o: o}
		if err := optim.Intercept(o, s); errors.Is(err, optim.ErrIntercepted) {
			return fmt.Errorf("lite: Setup: optimizer %d (%T) was set up already: an optimizer is passed once", i, o)
		} else if err != nil {
			return fmt.Errorf("lite: Setup: optimizer %d (%T): %w", i, o, err)
		}
		s.release = l.atEnd(func() { optim.Release(o) })
		l.steppers = append(l.steppers, s)
		if err := l.parts.setupOptimizer(o); err != nil {
			return fmt.Errorf("lite: Setup: optimizer %d (%T): %w", i, o, err)
		}
	}
	return nil
}

// atEnd registers what the end of the run undoes. now undoes it before, once.
func (l *Lite) atEnd(f func()) (now func()) {
	u := &teardown{f}
	l.restore = append(l.restore, u)
	return func() {
		if i := slices.Index(l.restore, u); i >= 0 {
			l.restore = slices.Delete(l.restore, i, i+1)
			f()
		}
	}
}

// teardown is what the end of the run undoes.
type teardown struct{ f func() }

func (l *Lite) close() {
	l.tidy.Do(func() {
		for i := len(l.restore) - 1; i >= 0; i-- {
			l.restore[i].f()
		}
	})
}

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
