package optim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { fixture.Main(m) }

const steps = 20

var shapes = [][]int{{5, 4}, {7}, {16, 15}, {1}}

// sqrt is how far results may be on another vendor's processor.
var sqrt = fixture.Tolerance{ULP: 4, Abs: 1e-6, Why: "sqrt"}

// kwargs are a case's options, by PyTorch's names.
type kwargs map[string]any

func (k kwargs) float(name string, otherwise float64) float64 {
	if v, ok := k[name]; ok {
		return v.(float64)
	}
	return otherwise
}

func (k kwargs) pointer(name string) *float64 {
	if v, ok := k[name].(float64); ok {
		return &v
	}
	return nil
}

func (k kwargs) pair(name string) *[2]float64 {
	l, ok := k[name].([]any)
	if !ok {
		return nil
	}
	return &[2]float64{l[0].(float64), l[1].(float64)}
}

func (k kwargs) flag(name string) bool { v, _ := k[name].(bool); return v }

// build makes the optimizer that a case names.
func build(t *testing.T, name string, groups []optim.Group, k kwargs, fused bool) optim.Optimizer {
	wd, most := k.float("weight_decay", 0), k.flag("maximize")
	switch name {
	case "SGD":
		return optim.NewSGDGroups(groups, k.float("lr", 1e-3), optim.SGDOptions{Momentum: k.float("momentum", 0),
			Dampening: k.float("dampening", 0), WeightDecay: wd, Nesterov: k.flag("nesterov"), Maximize: most, Fused: fused})
	case "Adam":
		return optim.NewAdamGroups(groups, k.float("lr", 1e-3), optim.AdamOptions{Betas: k.pair("betas"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, Decoupled: k.flag("decoupled_weight_decay"), AMSGrad: k.flag("amsgrad"), Maximize: most,
			Fused: fused})
	case "AdamW":
		return optim.NewAdamWGroups(groups, k.float("lr", 1e-3), optim.AdamWOptions{Betas: k.pair("betas"),
			Eps:         k.pointer("eps"),
			WeightDecay: k.pointer("weight_decay"), AMSGrad: k.flag("amsgrad"), Maximize: most, Fused: fused})
	case "RMSprop":
		return optim.NewRMSpropGroups(groups, k.float("lr", 1e-2), optim.RMSpropOptions{Alpha: k.pointer("alpha"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, Momentum: k.float("momentum", 0), Centered: k.flag("centered"), Maximize: most})
	case "Adagrad":
		return optim.NewAdagradGroups(groups, k.float("lr", 1e-2), optim.AdagradOptions{LRDecay: k.float("lr_decay", 0),
			WeightDecay:  wd,
			InitialValue: k.float("initial_accumulator_value", 0), Eps: k.pointer("eps"), Maximize: most, Fused: fused})
	case "Adadelta":
		return optim.NewAdadeltaGroups(groups, k.float("lr", 1), optim.AdadeltaOptions{Rho: k.pointer("rho"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, Maximize: most})
	case "Adamax":
		return optim.NewAdamaxGroups(groups, k.float("lr", 2e-3), optim.AdamaxOptions{Betas: k.pair("betas"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, Maximize: most})
	case "NAdam":
		return optim.NewNAdamGroups(groups, k.float("lr", 2e-3), optim.NAdamOptions{Betas: k.pair("betas"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, MomentumDecay: k.pointer("momentum_decay"), Decoupled: k.flag("decoupled_weight_decay"),
			Maximize: most})
	case "RAdam":
		return optim.NewRAdamGroups(groups, k.float("lr", 1e-3), optim.RAdamOptions{Betas: k.pair("betas"),
			Eps:         k.pointer("eps"),
			WeightDecay: wd, Decoupled: k.flag("decoupled_weight_decay"), Maximize: most})
	case "ASGD":
		return optim.NewASGDGroups(groups, k.float("lr", 1e-2), optim.ASGDOptions{Lambd: k.pointer("lambd"),
			Alpha: k.pointer("alpha"),
			T0:    k.pointer("t0"), WeightDecay: wd, Maximize: most})
	case "Rprop":
		return optim.NewRpropGroups(groups, k.float("lr", 1e-2), optim.RpropOptions{Etas: k.pair("etas"),
			StepSizes: k.pair("step_sizes"),
			Maximize:  most})
	}
	t.Fatalf("no optimizer %s", name)
	return nil
}

// recorded is what a case of optimizers says.
type recorded struct {
	Kind, Optimizer, DType string
	Kwargs                 kwargs
	Groups                 []struct {
		Params      []int
		LR          *float64
		WeightDecay *float64 `json:"weight_decay"`
	}
	NoneGrads       bool `json:"none_grads"`
	Implementations map[string]string
	Layout          layout
}

// layout is a state dict without its tensors.
type layout struct {
	State       [][2]json.RawMessage
	ParamGroups [][][2]any `json:"param_groups"`
}

func bitsOf(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.Detach().ToBytes()}
}

func TestOptimizersEqualPyTorch(t *testing.T)     { runOptimizers(t, gputest.OnCPU) }
func TestOptimizersOnAGPUAsRecorded(t *testing.T) { runOptimizers(t, gputest.OnGPU(t)) }

func runOptimizers(t *testing.T, at gputest.Site) {
	file := fixture.Open(t, "testdata/optim.json.gz")
	n := 0
	for _, c := range file.Cases {
		var r recorded
		c.Decode(t, &r)
		if r.Kind != "optimizer" {
			continue
		}
		for _, impl := range []string{"default", "fused"} {
			if r.Implementations[impl] == "" {
				continue
			}
			n++
			t.Run(c.Name+"/"+impl, func(t *testing.T) { runRecorded(t, c, r, impl, at) })
		}
	}
	require.Greater(t, n, 70)
}

func runRecorded(t *testing.T, c *fixture.Case, r recorded, impl string, at gputest.Site) {
	params, o := startRecorded(t, c, r, impl == "fused", at)
	for step := range steps {
		recordedGrads(params, r.NoneGrads, step)
		o.Step()
	}
	prefix := ""
	if r.Implementations[impl] == "fused" {
		prefix = "fused/"
	}
	for i, p := range params {
		at.Equal(t, c, fmt.Sprintf("%sparam.%d", prefix, i), p.Tensor, 1e-4, sqrt)
	}
	compareState(t, c, r, prefix, o.StateDict(), at)
	checkLayout(t, r.Layout, o.StateDict(), impl == "fused")
}

// startRecorded makes a case's parameters and optimizer.
func startRecorded(t *testing.T, c *fixture.Case, r recorded, fused bool, at gputest.Site) ([]nn.Parameter,
	optim.Optimizer) {
	torch.ManualSeed(c.Seed)
	dtype, err := torch.ParseDType(r.DType)
	require.NoError(t, err)
	params := make([]nn.Parameter, len(shapes))
	for i, s := range shapes {
		start := torch.Options{DType: dtype}.Randn(s...)
		c.Equal(t, fmt.Sprintf("start.%d", i), bitsOf(start))
		params[i] = nn.NewParameter(start.To(at.Device))
	}
	groups := []optim.Group{{Params: params}}
	if r.Groups != nil {
		groups = nil
		for _, g := range r.Groups {
			out := optim.Group{LR: g.LR, WeightDecay: g.WeightDecay}
			for _, i := range g.Params {
				out.Params = append(out.Params, params[i])
			}
			groups = append(groups, out)
		}
	}
	return params, build(t, r.Optimizer, groups, r.Kwargs, fused)
}

func recordedGrads(params []nn.Parameter, none bool, step int) {
	for i, p := range params {
		p.SetGrad(torch.Options{DType: p.DType()}.Randn(p.Shape()...).To(p.Device()))
		if none && i == 1 && step >= 5 && step <= 8 {
			p.SetGrad(nil)
		}
	}
}

// compareState compares all recorded tensors of the state, which is numbered through the groups, with the recorded
// ones, which are numbered as the parameters.
func compareState(t *testing.T, c *fixture.Case, r recorded, prefix string, sd map[string]any, at gputest.Site) {
	number := []int{0, 1, 2, 3}
	if r.Groups != nil {
		k := 0
		for _, g := range r.Groups {
			for _, i := range g.Params {
				number[i] = k
				k++
			}
		}
	}
	for _, name := range c.Names(prefix + "state.") {
		i, key := int(name[0]-'0'), name[2:]
		state := sd["state"].(map[int]any)[number[i]].(map[string]any)
		got, ok := state[key].(*torch.Tensor)
		if !ok {
			t.Errorf("state %d has no %s", i, key)
			continue
		}
		at.Equal(t, c, prefix+"state."+name, got, 1e-4, sqrt)
	}
}

// checkLayout compares a state dict with the one that PyTorch made.
func checkLayout(t *testing.T, want layout, sd map[string]any, fused bool) {
	states := sd["state"].(map[int]any)
	require.Len(t, states, len(want.State))
	for _, entry := range want.State {
		var i int
		var keys [][2]string
		require.NoError(t, json.Unmarshal(entry[0], &i))
		require.NoError(t, json.Unmarshal(entry[1], &keys))
		state := states[i].(map[string]any)
		require.Len(t, state, len(keys))
		for _, k := range keys {
			got := state[k[0]].(*torch.Tensor)
			require.Equal(t, k[1], fmt.Sprintf("Tensor %s %s", strings.TrimPrefix(got.DType().String(), "torch."),
				strings.ReplaceAll(fmt.Sprint(got.Shape()), " ", ", ")), k[0])
		}
	}
	groups := sd["param_groups"].([]any)
	require.Len(t, groups, len(want.ParamGroups))
	for i, entries := range want.ParamGroups {
		group := groups[i].(map[string]any)
		require.Len(t, group, len(entries))
		for _, e := range entries {
			key := e[0].(string)
			if key == "fused" && fused {
				require.Equal(t, true, group[key])
				continue
			}
			require.Equal(t, plain(t, e[1]), plain(t, group[key]), key)
		}
	}
}

// plain is a value as JSON has it.
func plain(t *testing.T, v any) any {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var out any
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

func TestClipEqualsPyTorch(t *testing.T) {
	file := fixture.Open(t, "testdata/optim.json.gz")
	n := 0
	for _, c := range file.Cases {
		var r struct {
			Kind   string
			Scale  float64
			Kwargs map[string]any
		}
		c.Decode(t, &r)
		if r.Kind != "clip" {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			torch.ManualSeed(c.Seed)
			params := make([]nn.Parameter, len(shapes))
			for i, s := range shapes {
				params[i] = nn.NewParameter(torch.Zeros(s...))
				params[i].SetGrad(aten.MulScalar(torch.Randn(s...), torch.Float(r.Scale)))
				c.Equal(t, fmt.Sprintf("g.%d", i), bitsOf(params[i].Grad()))
			}
			if v, ok := r.Kwargs["clip_value"]; ok {
				nn.ClipGradValue_(params, v.(float64))
			} else {
				var o nn.ClipGradOptions
				if v, ok := r.Kwargs["norm_type"]; ok {
					o.NormType = new(normType(t, v))
				}
				c.Equal(t, "total", bitsOf(nn.ClipGradNorm_(params, r.Kwargs["max_norm"].(float64), o)), sqrt)
			}
			for i, p := range params {
				c.Equal(t, fmt.Sprintf("clipped.%d", i), bitsOf(p.Grad()), sqrt)
			}
		})
	}
	require.Equal(t, 7, n)
}

func normType(t *testing.T, v any) float64 {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var f fixture.Float
	require.NoError(t, json.Unmarshal(text, &f))
	return float64(f)
}
