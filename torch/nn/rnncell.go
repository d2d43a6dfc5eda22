package nn

import (
	"math"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	nninit "github.com/golite/golite/torch/nn/init"
)

// RNNCellOptions are the optional arguments of NewRNNCell, NewLSTMCell and NewGRUCell.
type RNNCellOptions struct {
	NoBias bool         // no biases
	ReLU   bool         // RNNCell only: the nonlinearity is ReLU, not tanh
	DType  torch.DType  // of the parameters; default: the default floating type
	Device torch.Device // of the parameters; default: the CPU
}

// cell holds the settings that the cells have in common.
type cell struct {
	name          string
	input, hidden int
	noBias, relu  bool
}

func (c *cell) init(name string, gates, input, hidden int, o RNNCellOptions) (weightIH, weightHH, biasIH,
	biasHH Parameter) {
	operation := "nn.New" + name
	positive(operation, "the number of inputs", input)
	positive(operation, "the hidden size", hidden)
	if o.ReLU && name != "RNNCell" {
		torch.Fail(operation, "ReLU is for RNNCell")
	}
	*c = cell{name: name, input: input, hidden: hidden, noBias: o.NoBias, relu: o.ReLU}
	f := factory{o.DType, o.Device}
	weightIH, weightHH = f.empty(gates*hidden, input), f.empty(gates*hidden, hidden)
	if !o.NoBias {
		biasIH, biasHH = f.empty(gates*hidden), f.empty(gates*hidden)
	}
	c.draw(weightIH, weightHH, biasIH, biasHH)
	return weightIH, weightHH, biasIH, biasHH
}

// draw gives the parameters their initial values.
func (c *cell) draw(params ...Parameter) {
	bound := 1 / math.Sqrt(float64(c.hidden))
	for _, p := range params {
		if p.Tensor != nil {
			nninit.Uniform_(p.Tensor, -bound, bound)
		}
	}
}

// inputs gives an input and states a batch dimension; a nil state is zeros.
func (c *cell) inputs(x *torch.Tensor, states ...*torch.Tensor) (*torch.Tensor, []*torch.Tensor, bool) {
	operation := "nn." + c.name
	wantDims(operation, x, 1, 2)
	batched := x.Dim() == 2
	if !batched {
		x = aten.Unsqueeze(x, 0)
	}
	var zeros *torch.Tensor
	for i, h := range states {
		switch {
		case h == nil:
			if zeros == nil {
				zeros = torch.Options{DType: x.DType(), Device: x.Device()}.Zeros(x.Size(0), c.hidden)
			}
			states[i] = zeros
		case !batched:
			wantDims(operation, h, 1, 2)
			states[i] = aten.Unsqueeze(h, 0)
		}
	}
	return x, states, batched
}

func unbatch(t *torch.Tensor, batched bool) *torch.Tensor {
	if batched {
		return t
	}
	return aten.SqueezeDim(t, 0)
}

// RNNCell is one step of an Elman network (torch.nn.RNNCell). Keys: weight_ih, weight_hh, bias_ih, bias_hh.
type RNNCell struct {
	Base
	WeightIH Parameter `torch:"weight_ih"` // [hidden, input]
	WeightHH Parameter `torch:"weight_hh"` // [hidden, hidden]
	BiasIH   Parameter `torch:"bias_ih"`   // [hidden]; the zero Parameter with NoBias
	BiasHH   Parameter `torch:"bias_hh"`   // [hidden]; the zero Parameter with NoBias
	cell
}

// NewRNNCell makes a cell from input to hidden features; parameters are drawn from ±1/√hidden (torch.nn.RNNCell).
func NewRNNCell(input, hidden int, opts ...RNNCellOptions) *RNNCell {
	c := &RNNCell{}
	c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH = c.init("RNNCell", 1, input, hidden, one("nn.NewRNNCell", opts))
	return c
}

// ResetParameters draws the initial values anew (RNNCell.reset_parameters).
func (c *RNNCell) ResetParameters() { c.draw(c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH) }

// Forward takes x [N, input] or [input] and at most one hidden state [N, hidden] or [hidden], by default zeros, and
// returns the next one.
func (c *RNNCell) Forward(x *torch.Tensor, h ...*torch.Tensor) *torch.Tensor {
	if c.hooks == nil {
		return c.forward(x, h)
	}
	return c.hooks.run(c, append([]*torch.Tensor{x}, h...), func(in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{c.forward(in[0], in[1:])}
	})[0]
}

func (c *RNNCell) forward(x *torch.Tensor, h []*torch.Tensor) *torch.Tensor {
	x, states, batched := c.inputs(x, one("nn.RNNCell", h))
	call := aten.RnnTanhCell
	if c.relu {
		call = aten.RnnReluCell
	}
	return unbatch(call(x, states[0], c.WeightIH.Tensor, c.WeightHH.Tensor, c.BiasIH.Tensor, c.BiasHH.Tensor), batched)
}

// GRUCell is one step of a gated recurrent network (torch.nn.GRUCell). Keys: weight_ih, weight_hh, bias_ih, bias_hh.
type GRUCell struct {
	Base
	WeightIH Parameter `torch:"weight_ih"` // [3·hidden, input]
	WeightHH Parameter `torch:"weight_hh"` // [3·hidden, hidden]
	BiasIH   Parameter `torch:"bias_ih"`   // [3·hidden]; the zero Parameter with NoBias
	BiasHH   Parameter `torch:"bias_hh"`   // [3·hidden]; the zero Parameter with NoBias
	cell
}

// NewGRUCell makes a cell from input to hidden features; parameters are drawn from ±1/√hidden (torch.nn.GRUCell). It
// panics if ReLU is given.
func NewGRUCell(input, hidden int, opts ...RNNCellOptions) *GRUCell {
	c := &GRUCell{}
	c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH = c.init("GRUCell", 3, input, hidden, one("nn.NewGRUCell", opts))
	return c
}

// ResetParameters draws the initial values anew (GRUCell.reset_parameters).
func (c *GRUCell) ResetParameters() { c.draw(c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH) }

// Forward takes x [N, input] or [input] and at most one hidden state [N, hidden] or [hidden], by default zeros, and
// returns the next one.
func (c *GRUCell) Forward(x *torch.Tensor, h ...*torch.Tensor) *torch.Tensor {
	if c.hooks == nil {
		return c.forward(x, h)
	}
	return c.hooks.run(c, append([]*torch.Tensor{x}, h...), func(in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{c.forward(in[0], in[1:])}
	})[0]
}

func (c *GRUCell) forward(x *torch.Tensor, h []*torch.Tensor) *torch.Tensor {
	x, states, batched := c.inputs(x, one("nn.GRUCell", h))
	return unbatch(aten.GruCell(x, states[0], c.WeightIH.Tensor, c.WeightHH.Tensor, c.BiasIH.Tensor, c.BiasHH.Tensor),
		batched)
}

// LSTMCell is one step of a long short-term memory (torch.nn.LSTMCell). Keys: weight_ih, weight_hh, bias_ih, bias_hh.
type LSTMCell struct {
	Base
	WeightIH Parameter `torch:"weight_ih"` // [4·hidden, input]
	WeightHH Parameter `torch:"weight_hh"` // [4·hidden, hidden]
	BiasIH   Parameter `torch:"bias_ih"`   // [4·hidden]; the zero Parameter with NoBias
	BiasHH   Parameter `torch:"bias_hh"`   // [4·hidden]; the zero Parameter with NoBias
	cell
}

// NewLSTMCell makes a cell from input to hidden features; parameters are drawn from ±1/√hidden (torch.nn.LSTMCell). It
// panics if ReLU is given.
func NewLSTMCell(input, hidden int, opts ...RNNCellOptions) *LSTMCell {
	c := &LSTMCell{}
	c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH = c.init("LSTMCell", 4, input, hidden, one("nn.NewLSTMCell", opts))
	return c
}

// ResetParameters draws the initial values anew (LSTMCell.reset_parameters).
func (c *LSTMCell) ResetParameters() { c.draw(c.WeightIH, c.WeightHH, c.BiasIH, c.BiasHH) }

// Forward takes x [N, input] or [input] and either no state or a hidden and a cell state [N, hidden] or [hidden], by
// default zeros, and returns the next ones.
func (c *LSTMCell) Forward(x *torch.Tensor, state ...*torch.Tensor) (h, cellState *torch.Tensor) {
	if c.hooks == nil {
		return c.forward(x, state)
	}
	out := c.hooks.run(c, append([]*torch.Tensor{x}, state...), func(in []*torch.Tensor) []*torch.Tensor {
		h, cellState := c.forward(in[0], in[1:])
		return []*torch.Tensor{h, cellState}
	})
	return out[0], out[1]
}

func (c *LSTMCell) forward(x *torch.Tensor, state []*torch.Tensor) (h, cellState *torch.Tensor) {
	if len(state) == 0 {
		state = []*torch.Tensor{nil, nil}
	}
	if len(state) != 2 {
		torch.Fail("nn.LSTMCell", "want no state, or a hidden and a cell state, got %d tensors", len(state))
	}
	x, states, batched := c.inputs(x, state[0], state[1])
	h, cellState = aten.LstmCell(x, states, c.WeightIH.Tensor, c.WeightHH.Tensor, c.BiasIH.Tensor, c.BiasHH.Tensor)
	return unbatch(h, batched), unbatch(cellState, batched)
}
