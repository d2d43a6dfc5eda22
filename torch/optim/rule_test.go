package optim_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// ownAdam is Adam with a few more settings and slots, written with what is exported.
type ownAdam struct {
	name     string
	defaults map[string]any
	slots    []optim.Slot
	capture  error
}

func (r ownAdam) Name() string                       { return r.name }
func (r ownAdam) Defaults() map[string]any           { return r.defaults }
func (r ownAdam) Slots() []optim.Slot                { return r.slots }
func (r ownAdam) Capturable(*optim.ParamGroup) error { return r.capture }

func (ownAdam) Update(g *optim.ParamGroup, b *optim.Batch) {
	means, squares := b.State("exp_avg"), b.State("exp_avg_sq")
	aten.ForeachLerpScalar_(means, b.Grads, torch.Float(1-g.Betas[0]))
	aten.ForeachMulScalar_(squares, torch.Float(g.Betas[1]))
	aten.ForeachAddcmulScalar_(squares, b.Grads, b.Grads, torch.Float(1-g.Betas[1]))
	b.CountSteps(func(steps float64, part *optim.Batch) {
		denominators := aten.ForeachSqrt(part.State("exp_avg_sq"))
		aten.ForeachDivScalar_(denominators, torch.Float(math.Sqrt(1-math.Pow(g.Betas[1], steps))))
		aten.ForeachAddScalar_(denominators, torch.Float(g.Eps))
		size := g.LR / (1 - math.Pow(g.Betas[0], steps))
		aten.ForeachAddcdivScalar_(part.Params, part.State("exp_avg"), denominators, torch.Float(-size))
	})
}

// aRule is an ownAdam that New takes.
func aRule() ownAdam {
	rows := func(_ *optim.ParamGroup, p *torch.Tensor) *torch.Tensor { return torch.Ones(p.Numel() + 1) }
	return ownAdam{
		name: "OwnAdam",
		defaults: map[string]any{"lr": 0.01, "betas": [2]float64{0.9, 0.999}, "eps": 1e-8, "weight_decay": 0, "foreach": nil,
			"window": 3, "scales": []float64{1, 2.5}, "triple": [3]float64{1, 2, 3}, "mode": "fast", "exact": true, "kind": nil,
			"ratio": 0.5},
		slots: []optim.Slot{{Name: "step"}, {Name: "exp_avg"}, {Name: "exp_avg_sq"}, {Name: "rows", Init: rows}},
	}
}

func newOwn(p []nn.Parameter) optim.Optimizer { return optim.New(aRule(), optim.Group{Params: p}) }

// The same update as a Rule from outside of the package gives Adam's bits, whichever parameters have gradients.
func TestARuleFromOutside(t *testing.T) {
	own, want := newOwn(someParams()), optim.NewAdam(someParams(), 0.01)
	copyParams(own, want)
	for _, o := range []optim.Optimizer{own, want} {
		train(o, 1, 3)
		torch.ManualSeed(2)
		for range 3 { // the last parameter is some steps behind
			for _, p := range o.Tensors() {
				p.SetGrad(torch.Randn(p.Shape()...))
			}
			o.Step()
		}
	}
	require.Equal(t, bytesOf(want), bytesOf(own))
	state := own.StateDict()["state"].(map[int]any)
	require.Equal(t, 6.0, state[0].(map[string]any)["step"].(*torch.Tensor).Item())
	require.Equal(t, 3.0, state[2].(map[string]any)["step"].(*torch.Tensor).Item())
}

// The state of a Rule goes through a file: counts, slots of another shape, settings of all types.
func TestARulesStateGoesThroughAFile(t *testing.T) {
	o := newOwn(someParams())
	train(o, 1, 4)
	o.ParamGroups()[0].Extra["window"], o.ParamGroups()[0].Extra["kind"] = 7, "other"
	o.ParamGroups()[0].Extra["scales"] = []float64{4, 5, 6}
	o.ParamGroups()[0].Extra["triple"] = [3]float64{9, 8, 7}
	path := filepath.Join(t.TempDir(), "o.pt")
	require.NoError(t, serial.Save(path, o.StateDict()))
	loaded, err := serial.Load(path)
	require.NoError(t, err)
	other := newOwn(someParams())
	copyParams(other, o)
	require.NoError(t, load(other, loaded))
	require.Equal(t, o.ParamGroups()[0].Extra, other.ParamGroups()[0].Extra)
	require.Equal(t, fmt.Sprint(o), fmt.Sprint(other))
	train(o, 2, 3)
	train(other, 2, 3)
	require.Equal(t, bytesOf(o), bytesOf(other))

	for key, bad := range map[string]any{"window": 1.5, "scales": "x", "triple": []any{1, 2}, "mode": 1, "exact": 1,
		"ratio": "half"} {
		d := o.StateDict()
		d["param_groups"].([]any)[0].(map[string]any)[key] = bad
		before := fmt.Sprint(other)
		require.ErrorContains(t, other.LoadStateDict(d), "group 0: "+key+" is ")
		require.Equal(t, before, fmt.Sprint(other), "a refused state changes nothing")
	}
	d := o.StateDict()
	d["state"].(map[int]any)[1].(map[string]any)["rows"] = torch.Ones(3)
	require.ErrorContains(t, other.LoadStateDict(d), "parameter 1: rows has shape [3]")
}

func TestARulePrints(t *testing.T) {
	require.Equal(t, `OwnAdam (
Parameter Group 0
    betas: (0.9, 0.999)
    eps: 1e-08
    exact: True
    foreach: None
    kind: None
    lr: 0.01
    mode: fast
    ratio: 0.5
    scales: [1.0, 2.5]
    triple: (1.0, 2.0, 3.0)
    weight_decay: 0.0
    window: 3
)`, fmt.Sprint(newOwn(someParams())))
}

// Groups have settings of their own, those without a field too, and one group's are not another's.
func TestARulesGroups(t *testing.T) {
	p := someParams()
	o := optim.New(aRule(), optim.Group{Params: p[:1]},
		optim.Group{Params: p[1:2], LR: new(0.5), Extra: map[string]any{"window": 5, "scales": []float64{3}}})
	o.AddParamGroup(optim.Group{Params: p[2:], Extra: map[string]any{"betas": [2]float64{0.5, 0.6}}})
	g := o.ParamGroups()
	g[0].Extra["scales"].([]float64)[0] = 9
	require.Equal(t, []any{3, 5, 3}, []any{g[0].Extra["window"], g[1].Extra["window"], g[2].Extra["window"]})
	require.Equal(t, []float64{1, 2.5}, g[2].Extra["scales"])
	require.Equal(t, []float64{0.01, 0.5, 0.01}, []float64{g[0].LR, g[1].LR, g[2].LR})
	require.Equal(t, [2]float64{0.5, 0.6}, g[2].Betas)
	sgd := optim.NewSGDGroups([]optim.Group{{Params: someParams(), Extra: map[string]any{"nesterov": true,
		"momentum": 0.9}}}, 0.1)
	require.True(t, sgd.ParamGroups()[0].Nesterov, "the settings of PyTorch's optimizers as well")
	for want, extra := range map[string]map[string]any{
		`the setting "windows", which OwnAdam does not have`: {"windows": 1},
		`the setting "foreach", which OwnAdam does not have`: {"foreach": true},
		"window is few, a string: want int":                  {"window": "few"},
		"eps is tiny, a string: want float64":                {"eps": "tiny"},
		"the betas are [2 0]":                                {"betas": [2]float64{2, 0}},
	} {
		err := torch.Try(func() { o.AddParamGroup(optim.Group{Params: someParams(), Extra: extra}) })
		require.ErrorContains(t, err, want)
		require.Len(t, o.ParamGroups(), 3)
	}
}

func TestNewRefuses(t *testing.T) {
	group := optim.Group{Params: someParams()}
	with := func(change func(r *ownAdam)) optim.Rule {
		r := aRule()
		change(&r)
		return r
	}
	setting := func(key string, v any) optim.Rule { return with(func(r *ownAdam) { r.defaults[key] = v }) }
	slots := func(s ...optim.Slot) optim.Rule { return with(func(r *ownAdam) { r.slots = s }) }
	for want, r := range map[string]optim.Rule{
		"the rule is nil": nil,
		"Name of the rule optim_test.ownAdam is empty":   with(func(r *ownAdam) { r.name = "" }),
		`Defaults of the rule OwnAdam have no "lr"`:      with(func(r *ownAdam) { delete(r.defaults, "lr") }),
		`have "params", which parameter groups keep`:     setting("params", 1),
		`have "initial_lr", which parameter groups keep`: setting("initial_lr", 0.5),
		`have "fused", which selects kernels`:            setting("fused", true),
		"lr is high, a string: want float64":             setting("lr", "high"),
		"odd is a map":                                   setting("odd", map[string]any{}),
		"the learning rate is -1":                        setting("lr", -1.0),
		"slot 1 of the rule OwnAdam has no name":         slots(optim.Slot{Name: "a"}, optim.Slot{}),
		`slot 1 of the rule OwnAdam is "step"`:           slots(optim.Slot{Name: "a"}, optim.Slot{Name: "step"}),
		`two slots named "a"`:                            slots(optim.Slot{Name: "a"}, optim.Slot{Name: "a"}),
	} {
		var e *torch.Error
		err := torch.Try(func() { optim.New(r, group) })
		require.ErrorAs(t, err, &e, want)
		require.Equal(t, "optim.New", e.Op)
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, torch.Try(func() { optim.New(aRule()) }), "there are no parameters")

	o := optim.New(slots(optim.Slot{Name: "exp_avg"}), group)
	group.Params[0].SetGrad(torch.Ones(3, 2))
	require.ErrorContains(t, torch.Try(o.Step), `no slot named "exp_avg_sq": the rule's Slots are ["exp_avg"]`)
	o = optim.New(slots(optim.Slot{Name: "exp_avg"}, optim.Slot{Name: "exp_avg_sq"}), group)
	require.ErrorContains(t, torch.Try(o.Step), `the rule's first slot is not "step"`)
}

// A Rule that counts steps cannot be captured, whatever it returns itself; nor one with a scaler.
func TestARulesCapture(t *testing.T) {
	r := aRule()
	require.ErrorContains(t, optim.Capturable(optim.New(r, optim.Group{Params: someParams()}), false),
		"group 0 of OwnAdam counts its steps in Go")
	r.slots = r.slots[1:]
	o := optim.New(r, optim.Group{Params: someParams()})
	require.NoError(t, optim.Capturable(o, false))
	require.ErrorContains(t, optim.Capturable(o, true), "Fused")
	r.capture = errors.New("reads a tensor")
	require.ErrorContains(t, optim.Capturable(optim.New(r, optim.Group{Params: someParams()}), false),
		"group 0 of OwnAdam reads a tensor")
}

// optional has the optional methods.
type optional struct{ ownAdam }

func (optional) SparseGrads() {}
func (optional) EagerInit()   {}

func (optional) Check(g *optim.ParamGroup) error {
	if g.Extra["window"] == 0 {
		return errors.New("the window is 0: want 1 or more")
	}
	return nil
}

func (optional) Update(g *optim.ParamGroup, b *optim.Batch) {
	for i, p := range b.Params {
		aten.AddTensor_(p, b.Grads[i], torch.Float(-g.LR))
	}
}

func TestOptionalMethods(t *testing.T) {
	w := sparseWeight()
	o := optim.New(optional{aRule()}, optim.Group{Params: []nn.Parameter{w}})
	require.Len(t, o.StateDict()["state"], 1, "the state is there before the first step")
	before := torch.ToSlice[float32](w.Detach().Clone())
	sparseStep(o, w.Tensor, 0, 2)
	after := torch.ToSlice[float32](w.Detach())
	require.NotEqual(t, before[:3], after[:3])
	require.Equal(t, before[3:6], after[3:6])
	err := torch.Try(func() { o.AddParamGroup(optim.Group{Params: someParams(), Extra: map[string]any{"window": 0}}) })
	require.ErrorContains(t, err, "group 1: the window is 0")
	require.Len(t, o.ParamGroups(), 1)
	dense := newOwn([]nn.Parameter{sparseWeight()})
	require.ErrorContains(t, torch.Try(func() { sparseStep(dense, dense.Tensors()[0], 0) }), "which OwnAdam does not take")
}

// embedsBase, embedsPointer and embedsOptimizer were not set up.
type (
	embedsBase      struct{ optim.Base }
	embedsPointer   struct{ *optim.Base }
	embedsOptimizer struct{ optim.Optimizer }
)

// An optimizer that no constructor has made is refused by every method and function.
func TestAnOptimizerThatWasNotMade(t *testing.T) {
	for name, o := range map[string]optim.Optimizer{"Base": &embedsBase{}, "*Base": &embedsPointer{},
		"Adam": &optim.Adam{}, "LBFGS": &optim.LBFGS{},
		"Optimizer": embedsOptimizer{}, "a Base itself": &optim.Base{}} {
		uses := map[string]func(){
			"Intercept":   func() { panic(optim.Intercept(o, nil)) },
			"Release":     func() { optim.Release(o) },
			"MoveState":   func() { optim.MoveState(o) },
			"StepUnless":  func() { optim.StepUnless(o, torch.Zeros(), func() {}) },
			"Capturable":  func() { panic(optim.Capturable(o, false)) },
			"Replayed":    func() { optim.Replayed(o) },
			"Recording":   func() { optim.Recording(o, func() {}) },
			"WriteRates":  func() { optim.WriteRates(o) },
			"Revision":    func() { optim.Revision(o) },
			"Settings":    func() { optim.Settings(o) },
			"a scheduler": func() { optim.NewExponentialLR(o, 0.5) },
			"a plateau":   func() { optim.NewReduceLROnPlateau(o) },
			"a cycle":     func() { optim.NewCyclicLR(o, 0.1, 0.5) },
			"lambdas":     func() { optim.NewLambdaLR(o, func(int) float64 { return 1 }) },
		}
		if name != "Optimizer" { // its methods are none of this package
			for method, use := range map[string]func(){
				"Step":          o.Step,
				"StepFunc":      func() { o.StepFunc(func() *torch.Tensor { return torch.Zeros() }) },
				"ZeroGrad":      o.ZeroGrad,
				"ParamGroups":   func() { o.ParamGroups() },
				"AddParamGroup": func() { o.AddParamGroup(optim.Group{Params: someParams()}) },
				"Tensors":       func() { o.Tensors() },
				"Skipped":       func() { o.Skipped() },
				"StateDict":     func() { o.StateDict() },
				"LoadStateDict": func() { panic(o.LoadStateDict(map[string]any{})) },
			} {
				uses[method] = use
			}
			require.Equal(t, "Optimizer ()", fmt.Sprint(o))
		} else {
			delete(uses, "lambdas")
		}
		for use, f := range uses {
			var e *torch.Error
			require.ErrorAs(t, torch.Try(f), &e, "%s of %s", use, name)
			require.Contains(t, e.Message, "was not made by optim.New or a constructor", "%s of %s", use, name)
			require.Contains(t, e.Message, "optim.New(rule, groups...)", "%s of %s", use, name)
		}
	}
	require.ErrorContains(t, torch.Try(func() { optim.NewExponentialLR(nil, 0.5) }), "the optimizer is nil")
}

// A program that calls the constructors by what they take and return stays as it is.
func TestConstructorsKeepTheirSignatures(t *testing.T) {
	type params = []nn.Parameter
	type groups = []optim.Group
	var (
		_ func(params, float64, ...optim.SGDOptions) *optim.SGD               = optim.NewSGD
		_ func(groups, float64, ...optim.SGDOptions) *optim.SGD               = optim.NewSGDGroups
		_ func(params, float64, ...optim.AdamOptions) *optim.Adam             = optim.NewAdam
		_ func(groups, float64, ...optim.AdamOptions) *optim.Adam             = optim.NewAdamGroups
		_ func(params, float64, ...optim.AdamWOptions) *optim.AdamW           = optim.NewAdamW
		_ func(groups, float64, ...optim.AdamWOptions) *optim.AdamW           = optim.NewAdamWGroups
		_ func(params, float64, ...optim.AdadeltaOptions) *optim.Adadelta     = optim.NewAdadelta
		_ func(groups, float64, ...optim.AdadeltaOptions) *optim.Adadelta     = optim.NewAdadeltaGroups
		_ func(params, float64, ...optim.AdagradOptions) *optim.Adagrad       = optim.NewAdagrad
		_ func(groups, float64, ...optim.AdagradOptions) *optim.Adagrad       = optim.NewAdagradGroups
		_ func(params, float64, ...optim.AdamaxOptions) *optim.Adamax         = optim.NewAdamax
		_ func(groups, float64, ...optim.AdamaxOptions) *optim.Adamax         = optim.NewAdamaxGroups
		_ func(params, float64, ...optim.ASGDOptions) *optim.ASGD             = optim.NewASGD
		_ func(groups, float64, ...optim.ASGDOptions) *optim.ASGD             = optim.NewASGDGroups
		_ func(params, float64, ...optim.NAdamOptions) *optim.NAdam           = optim.NewNAdam
		_ func(groups, float64, ...optim.NAdamOptions) *optim.NAdam           = optim.NewNAdamGroups
		_ func(params, float64, ...optim.RAdamOptions) *optim.RAdam           = optim.NewRAdam
		_ func(groups, float64, ...optim.RAdamOptions) *optim.RAdam           = optim.NewRAdamGroups
		_ func(params, float64, ...optim.RMSpropOptions) *optim.RMSprop       = optim.NewRMSprop
		_ func(groups, float64, ...optim.RMSpropOptions) *optim.RMSprop       = optim.NewRMSpropGroups
		_ func(params, float64, ...optim.RpropOptions) *optim.Rprop           = optim.NewRprop
		_ func(groups, float64, ...optim.RpropOptions) *optim.Rprop           = optim.NewRpropGroups
		_ func(params, float64, ...optim.SparseAdamOptions) *optim.SparseAdam = optim.NewSparseAdam
		_ func(groups, float64, ...optim.SparseAdamOptions) *optim.SparseAdam = optim.NewSparseAdamGroups
		_ func(params, float64, ...optim.LBFGSOptions) *optim.LBFGS           = optim.NewLBFGS
	)
	var made []optim.Optimizer
	for _, build := range all {
		made = append(made, build(someParams()))
	}
	require.Len(t, made, len(all))
}

// LBFGS takes its settings from the group at each step, as in Python, those of a loaded state too.
func TestLBFGSReadsItsGroup(t *testing.T) {
	build := func(iters int) (*optim.LBFGS, *int) {
		w, calls := nn.NewParameter(torch.From([]float32{3, -2})), 0
		o := optim.NewLBFGS([]nn.Parameter{w}, 0.01, optim.LBFGSOptions{MaxIter: new(iters)})
		o.StepFunc(func() *torch.Tensor {
			calls++
			o.ZeroGrad()
			loss := w.Pow(4).Sum()
			loss.Backward()
			return loss
		})
		return o, &calls
	}
	o, calls := build(3)
	require.Equal(t, 3, *calls)
	other, _ := build(7)
	require.NoError(t, other.LoadStateDict(o.StateDict()))
	require.Equal(t, 3, other.ParamGroups()[0].Extra["max_iter"])
	w, n := other.Tensors()[0], 0
	other.StepFunc(func() *torch.Tensor {
		n++
		other.ZeroGrad()
		loss := w.Pow(4).Sum()
		loss.Backward()
		return loss
	})
	require.Equal(t, 3, n)
}
