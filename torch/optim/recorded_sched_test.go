package optim_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// schedule is what a case of schedulers says.
type schedule struct {
	Scheduler, Optimizer string
	Kwargs               kwargs
	LR, Momentum         []fixture.Floats
	LastLR               fixture.Floats `json:"last_lr"`
	Metrics, Epochs      fixture.Floats
	Children             [][2]json.RawMessage
	SWA                  bool
	State                [][2]any
}

func (k kwargs) whole(name string) int { return int(k.float(name, 0)) }

func (k kwargs) wholePointer(name string) *int {
	if v, ok := k[name].(float64); ok {
		return new(int(v))
	}
	return nil
}

// number is a keyword's one number, or 0 where it is a list.
func (k kwargs) number(name string) float64 { v, _ := k[name].(float64); return v }

// list is a keyword's list, or nil where it is one number.
func (k kwargs) list(name string) []float64 {
	items, _ := k[name].([]any)
	var out []float64
	for _, v := range items {
		out = append(out, v.(float64))
	}
	return out
}

func (k kwargs) text(name string) string { v, _ := k[name].(string); return v }

func twoGroups(kind string) optim.Optimizer {
	p := []nn.Parameter{nn.NewParameter(torch.Randn(3)), nn.NewParameter(torch.Randn(2))}
	groups := []optim.Group{{Params: p[:1]}, {Params: p[1:], LR: new(0.05)}}
	if kind == "Adam" {
		return optim.NewAdamGroups(groups, 0.1)
	}
	return optim.NewSGDGroups(groups, 0.1, optim.SGDOptions{Momentum: 0.9})
}

func lambda(t *testing.T, name any) func(int) float64 {
	switch name {
	case "0.95**n":
		return func(n int) float64 {
			e := torch.Int(n)
			return aten.Logspace(e, e, 1, 0.95, torch.Float64, 0, torch.Device{}, nil).Item() // C's pow, as Python's
		}
	case "warmup":
		return func(n int) float64 { return min(1, float64(n+1)/10) }
	case "0.97":
		return func(int) float64 { return 0.97 }
	}
	t.Fatalf("no function %v", name)
	return nil
}

func scheduler(t *testing.T, name string, o optim.Optimizer, k kwargs) optim.Scheduler {
	gamma := k.pointer("gamma")
	switch name {
	case "LambdaLR":
		if l, ok := k["lr_lambda"].([]any); ok {
			return optim.NewLambdaLRGroups(o, lambda(t, l[0]), lambda(t, l[1]))
		}
		return optim.NewLambdaLR(o, lambda(t, k["lr_lambda"]))
	case "MultiplicativeLR":
		return optim.NewMultiplicativeLR(o, lambda(t, k["lr_lambda"]))
	case "StepLR":
		return optim.NewStepLR(o, k.whole("step_size"), optim.StepLROptions{Gamma: gamma})
	case "MultiStepLR":
		var at []int
		for _, m := range k.list("milestones") {
			at = append(at, int(m))
		}
		return optim.NewMultiStepLR(o, at, optim.MultiStepLROptions{Gamma: gamma})
	case "ConstantLR":
		return optim.NewConstantLR(o, optim.ConstantLROptions{Factor: k.pointer("factor"),
			TotalIters: k.wholePointer("total_iters")})
	case "LinearLR":
		return optim.NewLinearLR(o, optim.LinearLROptions{StartFactor: k.pointer("start_factor"),
			EndFactor:  k.pointer("end_factor"),
			TotalIters: k.wholePointer("total_iters")})
	case "ExponentialLR":
		return optim.NewExponentialLR(o, *gamma)
	case "PolynomialLR":
		return optim.NewPolynomialLR(o, optim.PolynomialLROptions{TotalIters: k.wholePointer("total_iters"),
			Power: k.pointer("power")})
	case "CosineAnnealingLR":
		return optim.NewCosineAnnealingLR(o, k.whole("T_max"), optim.CosineAnnealingLROptions{EtaMin: k.float("eta_min", 0)})
	case "CosineAnnealingWarmRestarts":
		return optim.NewCosineAnnealingWarmRestarts(o, k.whole("T_0"), optim.WarmRestartsOptions{TMult: k.whole("T_mult"),
			EtaMin: k.float("eta_min", 0)})
	}
	return cyclic(t, name, o, k)
}

func cyclic(t *testing.T, name string, o optim.Optimizer, k kwargs) optim.Scheduler {
	still := k["cycle_momentum"] == false
	switch name {
	case "CyclicLR":
		return optim.NewCyclicLR(o, k.number("base_lr"), k.number("max_lr"), optim.CyclicLROptions{BaseLRs: k.list("base_lr"),
			MaxLRs: k.list("max_lr"), StepSizeUp: k.whole("step_size_up"), StepSizeDown: k.whole("step_size_down"),
			Mode:  k.text("mode"),
			Gamma: k.pointer("gamma"), NoCycleMomentum: still})
	case "OneCycleLR":
		total := k.whole("total_steps")
		if total == 0 {
			total = k.whole("epochs") * k.whole("steps_per_epoch")
		}
		return optim.NewOneCycleLR(o, k.number("max_lr"), total, optim.OneCycleLROptions{MaxLRs: k.list("max_lr"),
			PctStart: k.pointer("pct_start"), Linear: k.text("anneal_strategy") == "linear", NoCycleMomentum: still,
			DivFactor: k.pointer("div_factor"), FinalDivFactor: k.pointer("final_div_factor"),
			ThreePhase: k.flag("three_phase")})
	case "SWALR":
		return optim.NewSWALR(o, k.number("swa_lr"), optim.SWALROptions{LRs: k.list("swa_lr"),
			AnnealEpochs: k.wholePointer("anneal_epochs"),
			Linear:       k.text("anneal_strategy") == "linear"})
	}
	t.Fatalf("no scheduler %s", name)
	return nil
}

// stepper is a scheduler of any kind and how it is stepped.
type stepper struct {
	step func(i int)
	all  interface {
		LastLR() []float64
		StateDict() map[string]any
		LoadStateDict(map[string]any) error
	}
}

func (r schedule) make(t *testing.T, o optim.Optimizer) stepper {
	switch {
	case r.Scheduler == "ReduceLROnPlateau":
		k := r.Kwargs
		s := optim.NewReduceLROnPlateau(o, optim.PlateauOptions{Max: k.text("mode") == "max", Factor: k.pointer("factor"),
			Patience: k.wholePointer("patience"), Threshold: k.pointer("threshold"), Absolute: k.text("threshold_mode") == "abs",
			Cooldown: k.whole("cooldown"), MinLR: k.number("min_lr"), MinLRs: k.list("min_lr"), Eps: k.pointer("eps")})
		return stepper{func(i int) { s.Step(float64(r.Metrics[i])) }, s}
	case r.Children != nil:
		s := r.nested(t, o)
		return stepper{func(int) { s.Step() }, s}
	case r.Epochs != nil:
		s := scheduler(t, r.Scheduler, o, r.Kwargs).(*optim.CosineAnnealingWarmRestarts)
		return stepper{func(i int) { s.StepTo(float64(r.Epochs[i])) }, s}
	case r.SWA:
		first := optim.NewStepLR(o, 5)
		for range 10 {
			first.Step()
		}
	}
	s := scheduler(t, r.Scheduler, o, r.Kwargs)
	return stepper{func(int) { s.Step() }, s}
}

func (r schedule) nested(t *testing.T, o optim.Optimizer) optim.Scheduler {
	var inner []optim.Scheduler
	for _, c := range r.Children {
		var name string
		var k kwargs
		require.NoError(t, json.Unmarshal(c[0], &name))
		require.NoError(t, json.Unmarshal(c[1], &k))
		inner = append(inner, scheduler(t, name, o, k))
	}
	if r.Scheduler == "ChainedScheduler" {
		return optim.NewChainedScheduler(inner...)
	}
	var at []int
	for _, m := range r.Kwargs.list("milestones") {
		at = append(at, int(m))
	}
	return optim.NewSequentialLR(o, inner, at)
}

// watch notes the groups' rates and momenta.
func watch(o optim.Optimizer, rates, momenta [][]float64) {
	for i, g := range o.ParamGroups() {
		rates[i] = append(rates[i], g.LR)
		m := g.Momentum
		if g.Betas[0] != 0 {
			m = g.Betas[0]
		}
		momenta[i] = append(momenta[i], m)
	}
}

func TestSchedulersEqualPyTorch(t *testing.T) {
	file := fixture.Open(t, "testdata/sched.json.gz")
	require.Greater(t, len(file.Cases), 30)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var r schedule
			c.Decode(t, &r)
			o := twoGroups(r.Optimizer)
			s := r.make(t, o)
			rates, momenta := make([][]float64, 2), make([][]float64, 2)
			watch(o, rates, momenta)
			for i := range 40 {
				s.step(i)
				watch(o, rates, momenta)
			}
			for i := range rates {
				c.EqualFloats(t, "lr", r.LR[i], rates[i])
				if r.Momentum != nil {
					c.EqualFloats(t, "momentum", r.Momentum[i], momenta[i])
				}
			}
			c.EqualFloats(t, "last_lr", r.LastLR, s.all.LastLR())
			checkState(t, r.State, s.all.StateDict())
		})
	}
}

// checkState compares a scheduler's state dict with the one that PyTorch made.
func checkState(t *testing.T, want [][2]any, got map[string]any) {
	keys := map[string]bool{}
	for _, e := range want {
		key := e[0].(string)
		keys[key] = true
		require.Contains(t, got, key)
		if m, ok := e[1].(map[string]any); ok && m["float"] != nil {
			continue // an infinity, which JSON hasn't
		}
		require.Equal(t, e[1], plain(t, got[key]), key)
	}
	for key := range got {
		require.True(t, keys[key], "PyTorch's has no %s", key)
	}
}

// TestSchedulersGoOn saves a schedule's state midway, loads it into a new one, and compares the rest.
func TestSchedulersGoOn(t *testing.T) {
	file := fixture.Open(t, "testdata/sched.json.gz")
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var r schedule
			c.Decode(t, &r)
			o := twoGroups(r.Optimizer)
			s := r.make(t, o)
			for i := range 17 {
				s.step(i)
			}
			o2 := twoGroups(r.Optimizer)
			s2 := r.make(t, o2)
			require.NoError(t, o2.LoadStateDict(o.StateDict()))
			require.NoError(t, s2.all.LoadStateDict(s.all.StateDict()))
			require.Equal(t, s.all.StateDict(), s2.all.StateDict())
			for i := 17; i < 40; i++ {
				s.step(i)
				s2.step(i)
				require.Equal(t, s.all.LastLR(), s2.all.LastLR())
				require.Equal(t, o.ParamGroups()[0].Momentum, o2.ParamGroups()[0].Momentum)
			}
			require.Error(t, s2.all.LoadStateDict(map[string]any{"epoch": 3}))
			require.Error(t, s2.all.LoadStateDict(map[string]any{"_last_lr": []any{0.1}}))
			require.Error(t, s2.all.LoadStateDict(map[string]any{"_last_lr": "x"}))
			require.Equal(t, s.all.StateDict(), s2.all.StateDict())
		})
	}
}
