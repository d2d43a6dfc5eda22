package trainer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/golite/golite/internal/nearest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// hook is the functions that one hook calls, in their order.
type hook[F any] struct {
	where *logRules
	calls []call[F]
}

type call[F any] struct {
	label string // such as "*main.Net.OnTrainStart"
	f     F
}

// each calls them until one fails.
func (h *hook[F]) each(t *Trainer, run func(f F) error) (err error) {
	if len(h.calls) == 0 {
		return nil
	}
	before, label := t.where, t.running
	t.where = h.where
	for i := range h.calls {
		t.running = h.calls[i].label
		if err = run(h.calls[i].f); err != nil {
			err = fmt.Errorf("trainer: %s: %w", h.calls[i].label, err)
			break
		}
	}
	t.where, t.running = before, label
	return err
}

// Hooks by their arguments.
type (
	plainHook struct{ hook[func(*Trainer) error] }
	stageHook struct {
		hook[func(*Trainer, Stage) error]
	}
	optimizerHook struct {
		hook[func(*Trainer, optim.Optimizer) error]
	}
	lossHook struct {
		hook[func(*Trainer, *torch.Tensor) error]
	}
	errorHook struct {
		hook[func(*Trainer, error) error]
	}
	fileHook struct {
		hook[func(*Trainer, map[string]any) error]
	}
)

func (h *plainHook) call(t *Trainer) error {
	return h.each(t, func(f func(*Trainer) error) error { return f(t) })
}

func (h *stageHook) call(t *Trainer) error {
	return h.each(t, func(f func(*Trainer, Stage) error) error { return f(t, t.stage) })
}

func (h *optimizerHook) call(t *Trainer, o optim.Optimizer) error {
	return h.each(t, func(f func(*Trainer, optim.Optimizer) error) error { return f(t, o) })
}

func (h *lossHook) call(t *Trainer, loss *torch.Tensor) error {
	return h.each(t, func(f func(*Trainer, *torch.Tensor) error) error { return f(t, loss) })
}

func (h *errorHook) call(t *Trainer, err error) error {
	return h.each(t, func(f func(*Trainer, error) error) error { return f(t, err) })
}

func (h *fileHook) call(t *Trainer, checkpoint map[string]any) error {
	return h.each(t, func(f func(*Trainer, map[string]any) error) error { return f(t, checkpoint) })
}

// hookSet is the hooks of a stage's callbacks and module. Those of batches are a batchHooks.
type hookSet struct {
	plain                      map[string]*plainHook // by the method's name
	setup, teardown            stageHook
	beforeZeroGrad, beforeStep optimizerHook
	beforeBackward             lossHook
	afterBackward              *plainHook
	exception                  errorHook
	save, load, callbacksLoad  fileHook   // load is the module's
	epochEndMonitors           *plainHook // OnTrainEpochEnd of EarlyStopping and ModelCheckpoint

	// Of the module; nil where it has none.
	step          OptimizerStepper
	zeroGrad      ZeroGrader
	clip          GradientClipper
	schedulerStep SchedulerStepper
}

// monitor is a callback that reads values at the end of an epoch, after all others have logged.
type monitor interface{ monitors() }

// plainHooks are the hooks without arguments but the Trainer, in the order of a Fit.
var plainHooks = []string{
	"OnFitStart", "OnFitEnd", "OnSanityCheckStart", "OnSanityCheckEnd", "OnTrainStart", "OnTrainEnd", "OnTrainEpochStart", "OnTrainEpochEnd",
	"OnValidationStart", "OnValidationEpochStart", "OnValidationEpochEnd", "OnValidationEnd",
	"OnTestStart", "OnTestEpochStart", "OnTestEpochEnd", "OnTestEnd",
	"OnPredictStart", "OnPredictEpochStart", "OnPredictEpochEnd", "OnPredictEnd", "OnAfterBackward",
}

// callbacksOnly are those that modules do not have.
var callbacksOnly = []string{"OnSanityCheckStart", "OnSanityCheckEnd"}

// newHookSet finds the hooks of callbacks and module.
func newHookSet(callbacks []Callback, module nn.Module) *hookSet {
	h := &hookSet{plain: map[string]*plainHook{}}
	owners := append(slices.Clone(callbacks), Callback(module))
	for _, name := range plainHooks {
		p := &plainHook{}
		p.where = rulesOf(name)
		for i, o := range owners {
			if _, monitors := o.(monitor); monitors && name == "OnTrainEpochEnd" || i == len(owners)-1 && slices.Contains(callbacksOnly, name) {
				continue
			}
			addCall(&p.hook, o, name)
		}
		h.plain[name] = p
	}
	h.epochEndMonitors = &plainHook{}
	h.epochEndMonitors.where = rulesOf("OnTrainEpochEnd")
	for _, o := range callbacks {
		if _, monitors := o.(monitor); monitors {
			addCall(&h.epochEndMonitors.hook, o, "OnTrainEpochEnd")
		}
	}
	h.afterBackward = h.plain["OnAfterBackward"]
	collect(&h.setup.hook, owners, "Setup")
	collect(&h.teardown.hook, owners, "Teardown")
	collect(&h.beforeZeroGrad.hook, owners, "OnBeforeZeroGrad")
	collect(&h.beforeStep.hook, owners, "OnBeforeOptimizerStep")
	collect(&h.beforeBackward.hook, owners, "OnBeforeBackward")
	collect(&h.exception.hook, owners, "OnException")
	collect(&h.save.hook, owners, "OnSaveCheckpoint")
	collect(&h.load.hook, []Callback{module}, "OnLoadCheckpoint")
	collect(&h.callbacksLoad.hook, callbacks, "OnLoadCheckpoint")
	h.step, _ = module.(OptimizerStepper)
	h.zeroGrad, _ = module.(ZeroGrader)
	h.clip, _ = module.(GradientClipper)
	h.schedulerStep, _ = module.(SchedulerStepper)
	return h
}

func collect[F any](h *hook[F], owners []Callback, name string) {
	h.where = rulesOf(name)
	for _, o := range owners {
		addCall(h, o, name)
	}
}

// addCall adds the method of that name if the value has it. Its type was checked by checkHooks.
func addCall[F any](h *hook[F], owner any, name string) {
	if owner == nil {
		return
	}
	if m := reflect.ValueOf(owner).MethodByName(name); m.IsValid() {
		if f, ok := m.Interface().(F); ok {
			h.calls = append(h.calls, call[F]{fmt.Sprintf("%T.%s", owner, name), f})
		}
	}
}

// batchHooks are the hooks of a stage's batches of type B.
type batchHooks[B any] struct {
	start hook[func(t *Trainer, batch B, batchIdx int) error]
	end   hook[func(t *Trainer, result any, loss *torch.Tensor, batch B, batchIdx int) error]
}

// newBatchHooks finds the hooks of the batches of a stage, "Train", "Validation", "Test" or "Predict".
func newBatchHooks[B any](callbacks []Callback, module any, stage string) *batchHooks[B] {
	type (
		endFunc = func(t *Trainer, result any, loss *torch.Tensor, batch B, batchIdx int) error
		start   = func(*Trainer, B, int) error
		trained = func(*Trainer, *torch.Tensor, B, int) error
		made    = func(*Trainer, any, B, int) error
	)
	h := &batchHooks[B]{}
	startName, endName := "On"+stage+"BatchStart", "On"+stage+"BatchEnd"
	h.start.where, h.end.where = rulesOf(startName), rulesOf(endName)
	for _, o := range append(slices.Clone(callbacks), Callback(module)) {
		if m := methodOf(o, startName); m != nil {
			label := fmt.Sprintf("%T.%s", o, startName)
			switch f := m.(type) {
			case start:
				h.start.calls = append(h.start.calls, call[start]{label, f})
			case func(*Trainer, any, int) error:
				h.start.calls = append(h.start.calls, call[start]{label, func(t *Trainer, b B, i int) error { return f(t, b, i) }})
			}
		}
		m := methodOf(o, endName)
		if m == nil {
			continue
		}
		var f endFunc
		switch m := m.(type) {
		case start:
			f = func(t *Trainer, _ any, _ *torch.Tensor, b B, i int) error { return m(t, b, i) }
		case func(*Trainer, any, int) error:
			f = func(t *Trainer, _ any, _ *torch.Tensor, b B, i int) error { return m(t, b, i) }
		case trained:
			f = func(t *Trainer, _ any, loss *torch.Tensor, b B, i int) error { return m(t, loss, b, i) }
		case func(*Trainer, *torch.Tensor, any, int) error:
			f = func(t *Trainer, _ any, loss *torch.Tensor, b B, i int) error { return m(t, loss, b, i) }
		case made:
			f = func(t *Trainer, r any, _ *torch.Tensor, b B, i int) error { return m(t, r, b, i) }
		case func(*Trainer, any, any, int) error:
			f = func(t *Trainer, r any, _ *torch.Tensor, b B, i int) error { return m(t, r, b, i) }
		}
		if f != nil {
			h.end.calls = append(h.end.calls, call[endFunc]{fmt.Sprintf("%T.%s", o, endName), f})
		}
	}
	return h
}

func methodOf(o any, name string) any {
	if o == nil {
		return nil
	}
	if m := reflect.ValueOf(o).MethodByName(name); m.IsValid() {
		return m.Interface()
	}
	return nil
}

var (
	trainerType = reflect.TypeFor[*Trainer]()
	errorType   = reflect.TypeFor[error]()
	anyType     = reflect.TypeFor[any]()
)

// signatures are the types of the hooks and of what a module does in place of the Trainer. any stands for a batch.
var signatures = func() map[string]reflect.Type {
	m := map[string]reflect.Type{
		"Setup": reflect.TypeFor[func(*Trainer, Stage) error](), "Teardown": reflect.TypeFor[func(*Trainer, Stage) error](),
		"OnBeforeZeroGrad":      reflect.TypeFor[func(*Trainer, optim.Optimizer) error](),
		"OnBeforeOptimizerStep": reflect.TypeFor[func(*Trainer, optim.Optimizer) error](),
		"OnBeforeBackward":      reflect.TypeFor[func(*Trainer, *torch.Tensor) error](),
		"OnException":           reflect.TypeFor[func(*Trainer, error) error](),
		"OnSaveCheckpoint":      reflect.TypeFor[func(*Trainer, map[string]any) error](),
		"OnLoadCheckpoint":      reflect.TypeFor[func(*Trainer, map[string]any) error](),
		"OnTrainBatchStart":     reflect.TypeFor[func(*Trainer, any, int) error](),
		"OnTrainBatchEnd":       reflect.TypeFor[func(*Trainer, *torch.Tensor, any, int) error](),
		"OnPredictBatchStart":   reflect.TypeFor[func(*Trainer, any, int) error](),
		"OnPredictBatchEnd":     reflect.TypeFor[func(*Trainer, any, any, int) error](),
	}
	for _, stage := range []string{"Validation", "Test"} {
		m["On"+stage+"BatchStart"] = reflect.TypeFor[func(*Trainer, any, int) error]()
		m["On"+stage+"BatchEnd"] = reflect.TypeFor[func(*Trainer, any, int) error]()
	}
	for _, name := range plainHooks {
		m[name] = reflect.TypeFor[func(*Trainer) error]()
	}
	return m
}()

// overrides are the methods of modules alone, by their interfaces.
var overrides = map[string]reflect.Type{
	"ConfigureModel":            reflect.TypeFor[ModelConfigurer](),
	"ConfigureCallbacks":        reflect.TypeFor[CallbackConfigurer](),
	"OptimizerStep":             reflect.TypeFor[OptimizerStepper](),
	"OptimizerZeroGrad":         reflect.TypeFor[ZeroGrader](),
	"ConfigureGradientClipping": reflect.TypeFor[GradientClipper](),
	"LRSchedulerStep":           reflect.TypeFor[SchedulerStepper](),
	"Hyperparameters":           reflect.TypeFor[HyperparameterSaver](),
}

// steps are the methods of modules with the type of their batches.
var steps = []string{"TrainingStep", "ValidationStep", "TestStep", "PredictStep"}

// checkHooks refuses methods that look like hooks and are none: another signature, or a name that is misspelt. batch is
// the type of the batches, nil for a callback.
func checkHooks(owner any, batch reflect.Type) error {
	t := reflect.TypeOf(owner)
	for i := range t.NumMethod() {
		m := t.Method(i)
		have := bound(m.Type)
		want, isHook := signatures[m.Name]
		override, isOverride := overrides[m.Name]
		switch {
		case isHook && batch != nil && slices.Contains(callbacksOnly, m.Name):
			return fmt.Errorf("trainer: %T has %s, which only callbacks have: give Options.Callbacks a value with it", owner, m.Name)
		case isHook && !matches(have, want, batch):
			return fmt.Errorf("trainer: %T.%s is a %v: as a hook it is %s", owner, m.Name, have, shown(want, batch))
		case isOverride && batch != nil && !t.Implements(override):
			return fmt.Errorf("trainer: %T.%s is a %v: the Trainer calls one of %v", owner, m.Name, have, bound(override.Method(0).Type))
		case batch != nil && slices.Contains(steps, m.Name) && !isStep(have, batch):
			return fmt.Errorf("trainer: %T.%s is a %v: a step begins with (t *trainer.Trainer, batch %v, batchIdx int)", owner, m.Name, have, batch)
		case strings.HasPrefix(m.Name, "On") && len(m.Name) > 2 && !isHook:
			return fmt.Errorf("trainer: %T.%s is no hook%s: exported methods whose names begin with On are hooks", owner, m.Name,
				nearest.Hint(m.Name, names()))
		}
	}
	return nil
}

func names() []string {
	var list []string
	for name := range signatures {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// bound is the type of a method without its receiver. That of an interface has none.
func bound(t reflect.Type) reflect.Type {
	from := 1
	if t.NumIn() == 0 || t.In(0) == trainerType {
		from = 0
	}
	var in, out []reflect.Type
	for i := from; i < t.NumIn(); i++ {
		in = append(in, t.In(i))
	}
	for i := range t.NumOut() {
		out = append(out, t.Out(i))
	}
	return reflect.FuncOf(in, out, t.IsVariadic())
}

// matches reports whether a method is a hook: any of the hook's may be the type of the batches. The first any of
// OnPredictBatchEnd is the prediction.
func matches(have, want, batch reflect.Type) bool {
	if have == want {
		return true
	}
	if have.NumIn() != want.NumIn() || have.NumOut() != 1 || have.Out(0) != errorType || have.IsVariadic() {
		return false
	}
	for i := range want.NumIn() {
		isBatch := want.In(i) == anyType && batch != nil && i == want.NumIn()-2
		if have.In(i) != want.In(i) && !(isBatch && have.In(i) == batch) {
			return false
		}
	}
	return true
}

func shown(want, batch reflect.Type) string {
	s := want.String()
	if batch != nil {
		if i := strings.LastIndex(s, "interface {}"); i >= 0 {
			s = s[:i] + batch.String() + s[i+len("interface {}"):]
		}
	}
	return s
}

func isStep(have, batch reflect.Type) bool {
	return have.NumIn() == 3 && have.In(0) == trainerType && have.In(1) == batch && have.In(2) == reflect.TypeFor[int]()
}
