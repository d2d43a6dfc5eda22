package optim_test

import (
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// all makes every optimizer of a list of parameters.
var all = map[string]func(p []nn.Parameter) optim.Optimizer{
	"SGD": func(p []nn.Parameter) optim.Optimizer { return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9}) },
	"SGDFused": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewSGD(p, 0.1, optim.SGDOptions{Momentum: 0.9, Fused: true})
	},
	"Adam": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdam(p, 0.01, optim.AdamOptions{AMSGrad: true})
	},
	"AdamW": func(p []nn.Parameter) optim.Optimizer { return optim.NewAdamW(p, 0.01) },
	"AdamWFused": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewAdamW(p, 0.01, optim.AdamWOptions{Fused: true})
	},
	"RMSprop": func(p []nn.Parameter) optim.Optimizer {
		return optim.NewRMSprop(p, 0.01, optim.RMSpropOptions{Momentum: 0.9, Centered: true})
	},
	"Adagrad":  func(p []nn.Parameter) optim.Optimizer { return optim.NewAdagrad(p, 0.01) },
	"Adadelta": func(p []nn.Parameter) optim.Optimizer { return optim.NewAdadelta(p, 1) },
	"Adamax":   func(p []nn.Parameter) optim.Optimizer { return optim.NewAdamax(p, 0.01) },
	"NAdam":    func(p []nn.Parameter) optim.Optimizer { return optim.NewNAdam(p, 0.01) },
	"RAdam":    func(p []nn.Parameter) optim.Optimizer { return optim.NewRAdam(p, 0.01) },
	"ASGD":     func(p []nn.Parameter) optim.Optimizer { return optim.NewASGD(p, 0.01, optim.ASGDOptions{T0: new(2.0)}) },
	"Rprop":    func(p []nn.Parameter) optim.Optimizer { return optim.NewRprop(p, 0.01) },
}

func someParams() []nn.Parameter {
	return []nn.Parameter{nn.NewParameter(torch.Ones(3, 2)), nn.NewParameter(torch.Zeros(4)),
		nn.NewParameter(torch.Full(2))}
}

// train makes n steps with gradients that depend on the seed; the last parameter never has one.
func train(o optim.Optimizer, seed uint64, n int) {
	torch.ManualSeed(seed)
	for range n {
		torch.Scope(func() { // what the optimizer keeps must outlive it
			for _, p := range o.Tensors()[:2] {
				p.SetGrad(torch.Randn(p.Shape()...))
			}
			o.Step()
			o.ZeroGrad()
		})
	}
}

func bytesOf(o optim.Optimizer) (out [][]byte) {
	for _, p := range o.Tensors() {
		out = append(out, p.Detach().ToBytes())
	}
	return out
}

func copyParams(to, from optim.Optimizer) {
	torch.NoGrad(func() {
		for i, p := range from.Tensors() {
			to.Tensors()[i].Copy_(p)
		}
	})
}

func TestStateGoesThroughAFile(t *testing.T) {
	for name, make := range all {
		t.Run(name, func(t *testing.T) {
			o := make(someParams())
			train(o, 1, 5)
			path := filepath.Join(t.TempDir(), "o.pt")
			require.NoError(t, serial.Save(path, o.StateDict()))
			loaded, err := serial.Load(path)
			require.NoError(t, err)
			other := make(someParams())
			train(other, 9, 2) // its own state is to be replaced
			copyParams(other, o)
			require.NoError(t, load(other, loaded))
			train(o, 2, 5)
			train(other, 2, 5)
			require.Equal(t, bytesOf(o), bytesOf(other))
		})
	}
}

// load hands a file's content to an optimizer.
func load(o optim.Optimizer, content any) error {
	d := content.(*serial.Dict)
	m := map[string]any{}
	for k, v := range d.All() {
		m[k.(string)] = v
	}
	return o.LoadStateDict(m)
}

// pythonStep loads what was saved into Python's optimizers, makes a step with gradients of ones, and saves it anew.
const pythonStep = `
import glob, sys, torch
for path in glob.glob(sys.argv[1] + "/*.pt"):
    d = torch.load(path, weights_only=True)
    p = [torch.nn.Parameter(t.clone()) for t in d["params"]]
    o = getattr(torch.optim, d["class"])(p, lr=0.5)
    o.load_state_dict(d["optimizer"])
    assert isinstance(o.param_groups[0].get("betas", ()), tuple)
    p[0].grad, p[1].grad = torch.ones(3, 2), torch.ones(4)
    o.step()
    torch.save(o.state_dict(), path)
`

// TestPythonReadsIt has Python load each optimizer's state and make a step with
// it, which must end where the same step here does.
func TestPythonReadsIt(t *testing.T) {
	py := python.Find(t)
	dir := t.TempDir()
	stepped := map[string]optim.Optimizer{}
	for name, make := range all {
		o := make(someParams())
		train(o, 1, 5)
		var params []any
		for _, p := range o.Tensors() {
			params = append(params, p.Detach())
		}
		require.NoError(t, serial.Save(filepath.Join(dir, name+".pt"), map[string]any{"params": params,
			"optimizer": o.StateDict(),
			"class":     strings.TrimSuffix(name, "Fused")}))
		for _, p := range o.Tensors()[:2] {
			p.SetGrad(torch.OnesLike(p))
		}
		o.Step()
		stepped[name] = o
	}
	out, err := exec.Command(py, "-c", pythonStep, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	for name, o := range stepped {
		loaded, err := serial.Load(filepath.Join(dir, name+".pt"))
		require.NoError(t, err)
		other := all[name](someParams())
		require.NoError(t, load(other, loaded))
		require.Equal(t, tensorsOf(o), tensorsOf(other), name)
	}
}

// tensorsOf is the bytes of all tensors of a state.
func tensorsOf(o optim.Optimizer) map[int]map[string][]byte {
	out := map[int]map[string][]byte{}
	for i, s := range o.StateDict()["state"].(map[int]any) {
		out[i] = map[string][]byte{}
		for k, v := range s.(map[string]any) {
			out[i][k] = v.(*torch.Tensor).ToBytes()
		}
	}
	return out
}

func TestBadStateChangesNothing(t *testing.T) {
	o := all["Adam"](someParams())
	train(o, 1, 3)
	state := func() map[string]any {
		other := all["Adam"](someParams())
		train(other, 2, 3)
		other.ParamGroups()[0].LR = 7
		return other.StateDict()
	}
	group := func(d map[string]any) map[string]any { return d["param_groups"].([]any)[0].(map[string]any) }
	slots := func(d map[string]any) map[string]any { return d["state"].(map[int]any)[1].(map[string]any) }
	for name, c := range map[string]struct {
		spoil func(d map[string]any)
		want  string
	}{
		"no groups": {func(d map[string]any) { delete(d, "param_groups") }, "want param_groups"},
		"two groups": {func(d map[string]any) { d["param_groups"] = []any{group(d), group(d)} },
			"it has 2 groups of parameters, and the optimizer 1"},
		"fewer": {func(d map[string]any) { group(d)["params"] = []any{0} },
			"group 0 has 1 parameters, and the optimizer's 3"},
		"names": {func(d map[string]any) { group(d)["params"] = []any{"a", "b", "c"} },
			"a parameter's number is a string"},
		"no state":     {func(d map[string]any) { delete(d, "state") }, "want state"},
		"rate of text": {func(d map[string]any) { group(d)["lr"] = "fast" }, "lr is fast, a string"},
		"one beta":     {func(d map[string]any) { group(d)["betas"] = []any{0.9} }, "betas"},
		"shape": {func(d map[string]any) { slots(d)["exp_avg"] = torch.Zeros(5) },
			"parameter 1: exp_avg has shape [5], and the parameter [4]"},
		"text": {func(d map[string]any) { slots(d)["exp_avg"] = "x" }, "exp_avg is a string, want a tensor"},
		"other optimizer": {func(d map[string]any) { slots(d)["momentum_buffer"] = torch.Zeros(4) },
			"which Adam doesn't keep"},
	} {
		t.Run(name, func(t *testing.T) {
			before, lr := tensorsOf(o), o.ParamGroups()[0].LR
			d := state()
			c.spoil(d)
			require.ErrorContains(t, o.LoadStateDict(d), c.want)
			require.Equal(t, before, tensorsOf(o))
			require.Equal(t, lr, o.ParamGroups()[0].LR)
		})
	}
}

func TestConstructorsRefuse(t *testing.T) {
	p := someParams()
	nonLeaf := nn.Parameter{Tensor: p[0].MulScalar(2)}
	for want, f := range map[string]func(){
		"the learning rate is -1":        func() { optim.NewSGD(p, -1) },
		"the learning rate is NaN":       func() { optim.NewSGD(p, math.NaN()) },
		"the momentum is -0.5":           func() { optim.NewSGD(p, 1, optim.SGDOptions{Momentum: -0.5}) },
		"Nesterov":                       func() { optim.NewSGD(p, 1, optim.SGDOptions{Nesterov: true}) },
		"the betas are [0.9 1]":          func() { optim.NewAdam(p, 1, optim.AdamOptions{Betas: &[2]float64{0.9, 1}}) },
		"the eps is -1":                  func() { optim.NewAdam(p, 1, optim.AdamOptions{Eps: new(-1.0)}) },
		"the weight decay is -1":         func() { optim.NewAdamW(p, 1, optim.AdamWOptions{WeightDecay: new(-1.0)}) },
		"at most one AdamOptions, got 2": func() { optim.NewAdam(p, 1, optim.AdamOptions{}, optim.AdamOptions{}) },
		"group 0 has no parameters":      func() { optim.NewAdam(nil, 1) },
		"there are no parameters":        func() { optim.NewAdamGroups(nil, 1) },
		"in the groups twice":            func() { optim.NewAdam([]nn.Parameter{p[0], p[1], p[0]}, 1) },
		"is nil":                         func() { optim.NewAdam([]nn.Parameter{{}}, 1) },
		"only leaves can be optimized":   func() { optim.NewAdam([]nn.Parameter{nonLeaf}, 1) },
		"the etas are":                   func() { optim.NewRprop(p, 1, optim.RpropOptions{Etas: &[2]float64{1, 1.2}}) },
		"rho is 2":                       func() { optim.NewAdadelta(p, 1, optim.AdadeltaOptions{Rho: new(2.0)}) },
		"the alpha is -1":                func() { optim.NewRMSprop(p, 1, optim.RMSpropOptions{Alpha: new(-1.0)}) },
		"the step size is 0":             func() { optim.NewStepLR(optim.NewSGD(p, 1), 0) },
		"the factor is 2": func() {
			optim.NewConstantLR(optim.NewSGD(p, 1),
				optim.ConstantLROptions{Factor: new(2.0)})
		},
		"and the optimizer has 1 groups": func() { optim.NewLambdaLRGroups(optim.NewSGD(p, 1)) },
		"the mode is": func() {
			optim.NewCyclicLR(optim.NewSGD(p, 1), 0, 1,
				optim.CyclicLROptions{Mode: "square"})
		},
		"neither momentum nor betas": func() { optim.NewOneCycleLR(optim.NewAdagrad(p, 1), 1, 10) },
		"want one milestone fewer": func() {
			o := optim.NewSGD(p, 1)
			optim.NewSequentialLR(o, []optim.Scheduler{optim.NewStepLR(o, 1)}, []int{1})
		},
		"is another optimizer's": func() {
			optim.NewSequentialLR(optim.NewSGD(p, 1), []optim.Scheduler{optim.NewStepLR(optim.NewSGD(p, 1), 1)}, nil)
		},
		"this is step 3, and there were to": func() {
			s := optim.NewOneCycleLR(optim.NewSGD(p, 1), 1,
				2)
			s.Step()
			s.Step()
			s.Step()
		},
	} {
		t.Run(want, func(t *testing.T) {
			err := torch.Try(f)
			var e *torch.Error
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, want)
		})
	}
}

// guard lets steps through or not, and counts what it hears of.
type guard struct {
	o                          optim.Optimizer
	open                       bool
	steps, ran, skipped, zeros int
}

func (g *guard) Step(step func()) bool {
	g.steps++
	if g.open {
		step()
	}
	return g.open
}

func (g *guard) Stepped() {
	if g.o.Skipped() {
		g.skipped++
	} else {
		g.ran++
	}
}

func (g *guard) ZeroGrad() { g.zeros++ }

func TestIntercept(t *testing.T) {
	o := optim.NewSGD(someParams(), 1)
	g := &guard{o: o, open: true}
	require.NoError(t, optim.Intercept(o, g))
	require.ErrorIs(t, optim.Intercept(o, &guard{}), optim.ErrIntercepted)
	o.Tensors()[1].SetGrad(torch.Ones(4))
	loss := o.StepFunc(func() *torch.Tensor {
		require.True(t, torch.GradEnabled())
		return torch.Full(5)
	})
	require.Equal(t, 5.0, loss.Item())
	require.False(t, o.Skipped())
	require.Equal(t, -4.0, o.Tensors()[1].Detach().Sum().Item())
	g.open = false
	o.Step()
	require.True(t, o.Skipped())
	require.Equal(t, -4.0, o.Tensors()[1].Detach().Sum().Item())
	optim.Release(o)
	o.Step()
	require.False(t, o.Skipped())
	require.Equal(t, -8.0, o.Tensors()[1].Detach().Sum().Item())
	o.ZeroGrad()
	require.Nil(t, o.Tensors()[1].Grad())
	require.Equal(t, guard{o: o, steps: 2, ran: 1, skipped: 1}, *g, "what was released hears nothing")
	require.NoError(t, optim.Intercept(o, g))
	o.ZeroGrad()
	require.Equal(t, 1, g.zeros)
}

func TestMoveStateFollowsTheParameters(t *testing.T) {
	for name, make := range all {
		o := make(someParams())
		train(o, 1, 2)
		for _, p := range o.Tensors() {
			torch.NoGrad(func() { p.SetData(p.Detach().To(torch.Float64)) })
		}
		optim.MoveState(o)
		for _, s := range o.StateDict()["state"].(map[int]any) {
			for key, v := range s.(map[string]any) {
				want := torch.Float64
				if key == "step" {
					want = torch.Float32
				}
				require.Equal(t, want, v.(*torch.Tensor).DType(), "%s: %s", name, key)
			}
		}
		for _, p := range o.Tensors()[:2] {
			p.SetGrad(torch.OnesLike(p))
		}
		o.Step()
	}
}

func TestStepLeavesNothingBehind(t *testing.T) {
	for name, make := range all {
		o := make(someParams())
		train(o, 1, 2)
		before := torch.LiveTensors()
		train(o, 2, 20)
		require.LessOrEqual(t, torch.LiveTensors(), before, name)
	}
}

func BenchmarkSGDStep4Params(b *testing.B) {
	benchmark(b, func(p []nn.Parameter) optim.Optimizer { return optim.NewSGD(p, 0.1) })
}

func BenchmarkSGDMomentumStep4Params(b *testing.B) { benchmark(b, all["SGD"]) }

func BenchmarkAdamStep(b *testing.B) {
	benchmark(b, func(p []nn.Parameter) optim.Optimizer { return optim.NewAdam(p, 1e-3) })
}

func BenchmarkAdamWFusedStep(b *testing.B) { benchmark(b, all["AdamWFused"]) }

// benchmark steps the parameters of a 784-128-10 MLP.
func benchmark(b *testing.B, make func(p []nn.Parameter) optim.Optimizer) {
	var p []nn.Parameter
	for _, s := range [][]int{{128, 784}, {128}, {10, 128}, {10}} {
		p = append(p, nn.NewParameter(torch.Randn(s...)))
		p[len(p)-1].SetGrad(torch.Randn(s...))
	}
	o := make(p)
	for b.Loop() {
		o.Step()
	}
}

// A layer that was frozen at first joins with a rate of its own; what it does is what an optimizer made with both
// groups does.
func TestAddParamGroup(t *testing.T) {
	for name, build := range map[string]func(groups []optim.Group) optim.Optimizer{
		"SGD": func(g []optim.Group) optim.Optimizer {
			return optim.NewSGDGroups(g, 0.1, optim.SGDOptions{Momentum: 0.9})
		},
		"Adam": func(g []optim.Group) optim.Optimizer { return optim.NewAdamGroups(g, 0.1) },
		"Adagrad": func(g []optim.Group) optim.Optimizer {
			return optim.NewAdagradGroups(g, 0.1, optim.AdagradOptions{InitialValue: 0.5})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]float32
			for i := range got {
				torch.ManualSeed(3)
				a, b := nn.NewLinear(3, 4), nn.NewLinear(4, 2)
				late := optim.Group{Params: nn.Parameters(b), LR: new(0.01)}
				groups := []optim.Group{{Params: nn.Parameters(a)}, late}
				opt := build(groups[:2-i])
				if i == 1 {
					opt.AddParamGroup(late)
				}
				for range 3 {
					opt.ZeroGrad()
					b.Forward(a.Forward(torch.Ones(1, 3))).Sum().Backward()
					opt.Step()
				}
				require.Len(t, opt.ParamGroups(), 2)
				require.Equal(t, 0.01, opt.ParamGroups()[1].LR)
				for _, p := range opt.Tensors() {
					got[i] = append(got[i], torch.ToSlice[float32](p.Detach())...)
				}
			}
			require.Equal(t, got[0], got[1])
		})
	}
	a, b := nn.NewLinear(2, 2), nn.NewLinear(2, 2)
	opt := optim.NewSGD(nn.Parameters(a), 0.1)
	for text, g := range map[string]optim.Group{
		"twice":         {Params: append(nn.Parameters(b), nn.Parameters(a)...)},
		"no parameters": {},
		"0 or more":     {Params: nn.Parameters(b), LR: new(-1.0)},
		"nil":           {Params: []nn.Parameter{{}}},
	} {
		require.ErrorContains(t, torch.Try(func() { opt.AddParamGroup(g) }), text)
	}
	require.Len(t, opt.Tensors(), 2, "nothing was added")
	require.ErrorContains(t,
		torch.Try(func() { optim.NewLBFGS(nn.Parameters(a), 1).AddParamGroup(optim.Group{Params: nn.Parameters(b)}) }),
		"one group")
}
