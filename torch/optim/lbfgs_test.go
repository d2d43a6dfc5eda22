package optim_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// lbfgsCase is what a case of LBFGS says.
type lbfgsCase struct {
	Kind    string
	Kwargs  kwargs
	Losses  fixture.Floats
	Numbers map[string]fixture.Float
}

// lbfgsProblem is the case's parameters and closure.
func lbfgsProblem(t *testing.T, c *fixture.Case, k kwargs) (*optim.LBFGS, []nn.Parameter, func() *torch.Tensor) {
	torch.ManualSeed(c.Seed)
	p := []nn.Parameter{nn.NewParameter(torch.Randn(6)), nn.NewParameter(torch.Randn(3))}
	a, target := torch.Randn(9, 9), torch.Randn(9)
	c.Equal(t, "a", bitsOf(a))
	o := optim.NewLBFGS(p, k.float("lr", 1), optim.LBFGSOptions{StrongWolfe: k.text("line_search_fn") == "strong_wolfe",
		MaxIter: k.wholePointer("max_iter"), MaxEval: k.wholePointer("max_eval"), HistorySize: k.wholePointer("history_size"),
		ToleranceChange: k.pointer("tolerance_change")})
	closure := func() *torch.Tensor {
		o.ZeroGrad()
		x := aten.Cat([]*torch.Tensor{p[0].Tensor, p[1].Tensor}, 0)
		miss := aten.SubTensor(aten.Mv(a, x), target, torch.Float(1))
		loss := aten.AddTensor(aten.Mean(aten.PowTensorScalar(miss, torch.Int(2)), 0),
			aten.MulScalar(aten.Sum(aten.PowTensorScalar(x, torch.Int(4)), 0), torch.Float(0.1)), torch.Float(1))
		loss.Backward()
		return loss
	}
	return o, p, closure
}

func TestLBFGSEqualsPyTorch(t *testing.T) {
	n := 0
	for _, c := range fixture.Open(t, "testdata/optim.json.gz").Cases {
		var r lbfgsCase
		var kind struct{ Kind string }
		if c.Decode(t, &kind); kind.Kind != "lbfgs" {
			continue
		}
		n++
		c.Decode(t, &r)
		t.Run(c.Name, func(t *testing.T) {
			o, p, closure := lbfgsProblem(t, c, r.Kwargs)
			var losses []float64
			for range 5 {
				losses = append(losses, o.StepFunc(closure).Item())
			}
			tol := fixture.Tolerance{ULP: 1 << 12, Abs: 1e-3, Why: "matrix products"}
			c.EqualFloats(t, "losses", r.Losses, losses, tol)
			for i := range p {
				c.Equal(t, fmt.Sprintf("param.%d", i), bitsOf(p[i].Tensor), tol)
			}
			state := o.StateDict()["state"].(map[int]any)[0].(map[string]any)
			for _, key := range []string{"d", "H_diag", "prev_flat_grad"} {
				c.Equal(t, "state.0."+key, bitsOf(state[key].(*torch.Tensor)), tol)
			}
			for name, want := range r.Numbers {
				checkLBFGSNumber(t, name[len("state.0."):], float64(want), state)
			}
		})
	}
	require.Equal(t, 3, n)
}

func checkLBFGSNumber(t *testing.T, key string, want float64, state map[string]any) {
	switch v := state[key].(type) {
	case int:
		require.EqualValues(t, want, v, key)
	case float64:
		require.Equal(t, want, v, key)
	case *torch.Tensor:
		require.Equal(t, want, v.Item(), key)
	case []any:
		given := 0
		for _, x := range v {
			if x != nil {
				given++
			}
		}
		require.EqualValues(t, want, given, key)
	default:
		t.Errorf("%s is a %T", key, v)
	}
}

// TestLBFGSGoesOn saves the state after two steps, loads it into another optimizer, and compares the third.
func TestLBFGSGoesOn(t *testing.T) {
	c := fixture.Open(t, "testdata/optim.json.gz").Case(t, "LBFGS/strong_wolfe")
	var r lbfgsCase
	c.Decode(t, &r)
	o, p, closure := lbfgsProblem(t, c, r.Kwargs)
	o2, p2, closure2 := lbfgsProblem(t, c, r.Kwargs)
	o.StepFunc(closure)
	require.NoError(t, o2.LoadStateDict(o.StateDict()))
	torch.NoGrad(func() {
		for i := range p {
			p2[i].Copy_(p[i].Tensor)
		}
	})
	o.StepFunc(closure)
	o2.StepFunc(closure2)
	for i := range p {
		require.Equal(t, p[i].Detach().ToBytes(), p2[i].Detach().ToBytes())
	}
	optim.MoveState(o2)
	bad := o.StateDict()
	bad["state"] = map[int]any{0: map[string]any{"func_evals": 1, "n_iter": 1, "d": torch.Zeros(2)}}
	require.ErrorContains(t, o2.LoadStateDict(bad), "d has 2 elements, and the parameters 9")
	require.Error(t, torch.Try(o.Step))
}

// pythonRosenbrock minimises Rosenbrock's function, whose curved valley makes the line search bracket and interpolate.
const pythonRosenbrock = `
import torch
p = torch.nn.Parameter(torch.tensor([-1.5, 2.0]))
o = torch.optim.LBFGS([p], lr=0.3, max_iter=8, line_search_fn="strong_wolfe")
def closure():
    o.zero_grad()
    x, y = p[0], p[1]
    u, v = 1 - x, y - x * x
    loss = u * u + v * v * 100
    loss.backward()
    return loss
for _ in range(5):
    print(o.step(closure).item().hex(), *[float(v).hex() for v in p.detach()], o.state[p]["func_evals"])
`

// TestLineSearchEqualsPython compares the line search with Python's.
func TestLineSearchEqualsPython(t *testing.T) {
	py := python.Find(t)
	out, err := exec.Command(py, "-c", pythonRosenbrock).Output()
	require.NoError(t, err)
	p := nn.NewParameter(torch.From([]float32{-1.5, 2}))
	o := optim.NewLBFGS([]nn.Parameter{p}, 0.3, optim.LBFGSOptions{MaxIter: new(8), StrongWolfe: true})
	closure := func() *torch.Tensor {
		o.ZeroGrad()
		x, y := p.Select(0, 0), p.Select(0, 1)
		u, v := x.Neg().AddScalar(1), y.Sub(x.Mul(x))
		loss := u.Mul(u).Add(v.Mul(v).MulScalar(100))
		loss.Backward()
		return loss
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 5)
	for i, line := range lines {
		loss := o.StepFunc(closure).Item()
		at := torch.ToSlice[float32](p.Detach())
		var want []float64
		fields := strings.Fields(line)
		for _, f := range fields[:3] {
			v, err := strconv.ParseFloat(f, 64)
			require.NoError(t, err)
			want = append(want, v)
		}
		require.Equal(t, want, []float64{loss, float64(at[0]), float64(at[1])}, "step %d", i)
		evals := o.StateDict()["state"].(map[int]any)[0].(map[string]any)["func_evals"].(int)
		require.Equal(t, fields[3], strconv.Itoa(evals), "step %d", i)
	}
}
