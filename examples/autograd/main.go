package main

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// roundSTE rounds to a grid of n steps and lets the gradient through where the input was in range.
// What is not a tensor is captured; what is saved goes through the context, never through a variable.
func roundSTE(n float64) *torch.Function {
	return &torch.Function{
		Name: "roundSTE",
		Forward: func(c *torch.FunctionCtx, in []*torch.Tensor) []*torch.Tensor {
			x := in[0]
			c.Save(x)
			return []*torch.Tensor{x.Clamp(-1, 1).MulScalar(n).Round().DivScalar(n)}
		},
		Backward: func(c *torch.FunctionCtx, grads []*torch.Tensor) []*torch.Tensor {
			x := c.Saved()[0]
			inside := x.GeScalar(-1).LogicalAnd(x.LeScalar(1))
			return []*torch.Tensor{grads[0].Mul(inside.To(torch.Float32))}
		},
	}
}

// RunningNorm normalises by a running mean and variance, as BatchNorm1d does.
type RunningNorm struct {
	nn.Base
	Weight, Bias nn.Parameter   // weight, bias
	RunningMean  nn.Buffer      // running_mean
	RunningVar   nn.Buffer      // running_var
	Seen         nn.Buffer      `torch:"num_batches_tracked"`
	Shift        nn.Buffer      `torch:"shift,nonpersistent"` // moved with the module, not saved
	Gate         *nn.Linear     `torch:"gate,optional"`       // may be nil, as None in Python
	Scales       []nn.Parameter // scales.0, scales.1: a ParameterList
	momentum     float64
}

func NewRunningNorm(dim int, affine bool) *RunningNorm {
	n := &RunningNorm{
		RunningMean: nn.NewBuffer(torch.Zeros(dim)),
		RunningVar:  nn.NewBuffer(torch.Ones(dim)),
		Seen:        nn.NewBuffer(torch.Options{DType: torch.Int64}.Zeros()),
		Shift:       nn.NewBuffer(torch.Zeros(dim)),
		momentum:    0.1,
	}
	if affine { // a zero Parameter is register_parameter(name, None)
		n.Weight = nn.NewParameter(torch.Ones(dim))
		n.Bias = nn.NewParameter(torch.Zeros(dim))
	}
	for range 2 {
		n.Scales = append(n.Scales, nn.NewParameter(torch.Ones(dim)))
	}
	return n
}

func (n *RunningNorm) Forward(x *torch.Tensor) *torch.Tensor {
	mean, variance := n.RunningMean.Tensor, n.RunningVar.Tensor
	if n.Training() {
		mean = x.Mean(0)
		variance = x.Sub(mean).Pow(2).Mean(0)
		torch.NoGrad(func() { // buffers are written in place; an assignment would put a tensor of this scope into the module
			n.RunningMean.Lerp_(mean, n.momentum)
			n.RunningVar.Lerp_(variance, n.momentum)
			n.Seen.AddScalar_(1)
		})
	}
	x = x.Sub(mean).Div(variance.AddScalar(1e-5).Sqrt()).Add(n.Shift.Tensor)
	if n.Weight.Tensor != nil {
		x = x.Mul(n.Weight.Tensor).Add(n.Bias.Tensor)
	}
	for _, s := range n.Scales {
		x = x.Mul(s.Tensor)
	}
	if n.Gate != nil {
		x = x.Mul(n.Gate.Forward(x))
	}
	return x
}

type Net struct {
	nn.Base
	In   *nn.Linear
	Norm *RunningNorm
	Out  *nn.Linear
}

func main() {
	net := &Net{In: nn.NewLinear(4, 8), Norm: NewRunningNorm(8, true), Out: nn.NewLinear(8, 1)}
	round := roundSTE(16)
	opt := optim.NewSGD(nn.Parameters(net), 0.05)
	x, y := torch.Randn(32, 4), torch.Randn(32, 1)

	var last float64
	for range 100 {
		torch.Scope(func() { // no loader here, so the scope is spelled out
			opt.ZeroGrad()
			h := round.Apply(net.Norm.Forward(net.In.Forward(x)))[0]
			loss := net.Out.Forward(h).Sub(y).Pow(2).Mean()
			loss.Backward()
			opt.Step()
			last = loss.Item() // a number leaves the scope; the tensor does not
		})
	}
	fmt.Println("loss", last)
	for name, t := range nn.StateDict(net).All() {
		fmt.Println(name, t.Shape())
	}

	// A cache that grows from one step to the next: what is made in a scope and carried out of it is kept by name,
	// and what it replaces is released.
	nn.Eval(net)
	cache := torch.Zeros(0, 8)
	for range 1000 {
		older := cache
		cache = torch.ScopeOf(func() *torch.Tensor {
			return torch.NoGradOf(func() *torch.Tensor {
				return torch.Cat([]*torch.Tensor{older, net.In.Forward(torch.Randn(1, 4))}, 0)
			})
		})
		older.Release()
	}
	fmt.Println(cache.Shape())

	if err := torch.Try(func() { net.Out.Forward(x) }); err != nil {
		fmt.Println("as it should:", err) // names the op and both shapes
	}
}
