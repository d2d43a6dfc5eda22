package nn

import (
	"fmt"
	"math"
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	nninit "github.com/golite/golite/torch/nn/init"
)

// RNNOptions are the optional arguments of NewRNN, NewLSTM and NewGRU.
type RNNOptions struct {
	NumLayers     int          // layers stacked on each other; 0 means 1
	ReLU          bool         // RNN only: the nonlinearity is ReLU, not tanh
	NoBias        bool         // no biases
	BatchFirst    bool         // input and output are [N, L, features], not [L, N, features]
	Dropout       float64      // of the outputs of all layers but the last, when training
	Bidirectional bool         // a second pass from the end; the outputs are joined
	ProjSize      int          // LSTM only: the size to which hidden states are projected; 0: they aren't
	DType         torch.DType  // of the parameters; default: the default floating type
	Device        torch.Device // of the parameters; default: the CPU
}

// recurrent is what RNN, LSTM and GRU have in common. Its keys are weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
// (and weight_hr_l0 with a projection), for the second direction with _reverse, then those of layer 1.
type recurrent struct {
	Base
	name          string
	input, hidden int
	options       RNNOptions
	keys          []string
	weights       []Parameter
}

func (r *recurrent) init(name string, gates, input, hidden int, o RNNOptions) {
	operation := "nn.New" + name
	if o.NumLayers == 0 {
		o.NumLayers = 1
	}
	positive(operation, "the number of inputs", input)
	positive(operation, "the hidden size", hidden)
	positive(operation, "NumLayers", o.NumLayers)
	switch {
	case !(o.Dropout >= 0 && o.Dropout <= 1):
		torch.Fail(operation, "Dropout must be between 0 and 1, got %g", o.Dropout)
	case o.ProjSize != 0 && name != "LSTM":
		torch.Fail(operation, "ProjSize is for LSTM")
	case o.ProjSize < 0 || o.ProjSize >= hidden:
		torch.Fail(operation, "ProjSize must be smaller than the hidden size %d, and not negative, got %d", hidden,
			o.ProjSize)
	case o.ReLU && name != "RNN":
		torch.Fail(operation, "ReLU is for RNN")
	}
	r.name, r.input, r.hidden, r.options = name, input, hidden, o
	for layer := range o.NumLayers {
		for direction := range r.directions() {
			r.addLayer(gates*hidden, layer, direction)
		}
	}
	r.ResetParameters()
}

func (r *recurrent) addLayer(gates, layer, direction int) {
	out, in := r.outSize(), r.input
	if layer > 0 {
		in = out * r.directions()
	}
	suffix := fmt.Sprintf("_l%d", layer)
	if direction == 1 {
		suffix += "_reverse"
	}
	f := factory{r.options.DType, r.options.Device}
	add := func(key string, shape ...int) {
		r.keys = append(r.keys, key+suffix)
		r.weights = append(r.weights, f.empty(shape...))
	}
	add("weight_ih", gates, in)
	add("weight_hh", gates, out)
	if !r.options.NoBias {
		add("bias_ih", gates)
		add("bias_hh", gates)
	}
	if r.options.ProjSize > 0 {
		add("weight_hr", r.options.ProjSize, r.hidden)
	}
}

func (r *recurrent) directions() int {
	if r.options.Bidirectional {
		return 2
	}
	return 1
}

// outSize is the size of a hidden state.
func (r *recurrent) outSize() int {
	if r.options.ProjSize > 0 {
		return r.options.ProjSize
	}
	return r.hidden
}

// ResetParameters draws the initial values anew (reset_parameters).
func (r *recurrent) ResetParameters() {
	bound := 1 / math.Sqrt(float64(r.hidden))
	for _, w := range r.weights {
		nninit.Uniform_(w.Tensor, -bound, bound)
	}
}

// Weight returns the parameter of that key, such as "weight_ih_l0"; it panics if there is none.
func (r *recurrent) Weight(key string) Parameter {
	i := slices.Index(r.keys, key)
	if i < 0 {
		torch.Fail("nn."+r.name, "there is no parameter %q among %v", key, r.keys)
	}
	return r.weights[i]
}

func (r *recurrent) self() any { return r }

func (r *recurrent) members() []member {
	out := make([]member, len(r.keys))
	for i, k := range r.keys {
		out[i] = member{k, r.weights[i]}
	}
	return out
}

// sequence is a checked input of three dimensions.
type sequence struct {
	x        *torch.Tensor
	batched  bool // as it came
	batchDim int
}

func (r *recurrent) sequence(x *torch.Tensor) sequence {
	operation := "nn." + r.name
	wantDims(operation, x, 2, 3)
	s := sequence{x: x, batched: x.Dim() == 3, batchDim: 1}
	if r.options.BatchFirst {
		s.batchDim = 0
	}
	if !s.batched {
		s.x = aten.Unsqueeze(x, s.batchDim)
	}
	if n := x.Size(-1); n != r.input {
		torch.Fail(operation, "want an input whose last dimension is %d, got %v", r.input, x.Shape())
	}
	return s
}

// state checks a hidden state, or makes one of zeros.
func (r *recurrent) state(s sequence, h *torch.Tensor, size int) *torch.Tensor {
	shape := []int{r.options.NumLayers * r.directions(), s.x.Size(s.batchDim), size}
	if h == nil {
		return torch.Options{DType: s.x.DType(), Device: s.x.Device()}.Zeros(shape...)
	}
	want := shape
	if !s.batched {
		want = []int{shape[0], shape[2]}
	}
	if have := h.Shape(); !slices.Equal(have, want) {
		torch.Fail("nn."+r.name, "want a hidden state of shape %v, got %v", want, have)
	}
	if !s.batched {
		return aten.Unsqueeze(h, 1)
	}
	return h
}

// results undoes what sequence did to an input without a batch.
func (s sequence) results(out *torch.Tensor, states ...*torch.Tensor) (*torch.Tensor, []*torch.Tensor) {
	if s.batched {
		return out, states
	}
	for i, h := range states {
		states[i] = aten.SqueezeDim(h, 1)
	}
	return aten.SqueezeDim(out, s.batchDim), states
}

// given returns the only state in a trailing parameter, or nil.
func (r *recurrent) given(h []*torch.Tensor) *torch.Tensor { return one("nn."+r.name, h) }

// RNN is an Elman network of one or more layers (torch.nn.RNN). Keys: weight_ih_l0, weight_hh_l0, bias_ih_l0,
// bias_hh_l0, the second direction's with _reverse, then layer 1's.
type RNN struct{ recurrent }

// NewRNN makes a network from input to hidden features, of one layer by default; parameters are drawn from ±1/√hidden
// (torch.nn.RNN). It panics if a size is below 1, Dropout is not from 0 to 1, or ProjSize is given.
func NewRNN(input, hidden int, opts ...RNNOptions) *RNN {
	r := &RNN{}
	r.init("RNN", 1, input, hidden, one("nn.NewRNN", opts))
	return r
}

// Forward takes x [L, N, input], [N, L, input] with BatchFirst, or [L, input], and at most one hidden state h0
// [layers·directions, N, hidden], without N for an x without it; by default zeros. It returns the outputs
// [L, N, directions·hidden], or as x is, and the last hidden state.
func (r *RNN) Forward(x *torch.Tensor, h0 ...*torch.Tensor) (output, h *torch.Tensor) {
	if r.hooks == nil {
		return r.forward(x, h0)
	}
	out := r.hooks.run(r, append([]*torch.Tensor{x}, h0...), func(in []*torch.Tensor) []*torch.Tensor {
		output, h := r.forward(in[0], in[1:])
		return []*torch.Tensor{output, h}
	})
	return out[0], out[1]
}

func (r *RNN) forward(x *torch.Tensor, h0 []*torch.Tensor) (output, h *torch.Tensor) {
	s := r.sequence(x)
	h = r.state(s, r.given(h0), r.hidden)
	o := r.options
	call := aten.RnnTanhInput
	if o.ReLU {
		call = aten.RnnReluInput
	}
	output, h = call(s.x, h, tensorsOf(r.weights), !o.NoBias, o.NumLayers, o.Dropout, r.Training(), o.Bidirectional,
		o.BatchFirst)
	output, states := s.results(output, h)
	return output, states[0]
}

// GRU is a gated recurrent network of one or more layers (torch.nn.GRU). Its keys are as RNN's.
type GRU struct{ recurrent }

// NewGRU makes a network from input to hidden features, of one layer by default; parameters are drawn from ±1/√hidden
// (torch.nn.GRU). It panics if a size is below 1, Dropout is not from 0 to 1, or ProjSize or ReLU is given.
func NewGRU(input, hidden int, opts ...RNNOptions) *GRU {
	r := &GRU{}
	r.init("GRU", 3, input, hidden, one("nn.NewGRU", opts))
	return r
}

// Forward takes and returns what RNN's does.
func (r *GRU) Forward(x *torch.Tensor, h0 ...*torch.Tensor) (output, h *torch.Tensor) {
	if r.hooks == nil {
		return r.forward(x, h0)
	}
	out := r.hooks.run(r, append([]*torch.Tensor{x}, h0...), func(in []*torch.Tensor) []*torch.Tensor {
		output, h := r.forward(in[0], in[1:])
		return []*torch.Tensor{output, h}
	})
	return out[0], out[1]
}

func (r *GRU) forward(x *torch.Tensor, h0 []*torch.Tensor) (output, h *torch.Tensor) {
	s := r.sequence(x)
	h = r.state(s, r.given(h0), r.hidden)
	o := r.options
	output, h = aten.GruInput(s.x, h, tensorsOf(r.weights), !o.NoBias, o.NumLayers, o.Dropout, r.Training(),
		o.Bidirectional, o.BatchFirst)
	output, states := s.results(output, h)
	return output, states[0]
}

// LSTM is a long short-term memory of one or more layers (torch.nn.LSTM). Its keys are as RNN's, with weight_hr_l0 for
// a projection.
type LSTM struct{ recurrent }

// NewLSTM makes a network from input to hidden features, of one layer by default; parameters are drawn from ±1/√hidden
// (torch.nn.LSTM). It panics if a size is below 1, Dropout is not from 0 to 1, ProjSize is negative or not below
// hidden, or ReLU is given.
func NewLSTM(input, hidden int, opts ...RNNOptions) *LSTM {
	r := &LSTM{}
	r.init("LSTM", 4, input, hidden, one("nn.NewLSTM", opts))
	return r
}

// Forward takes x as RNN's does, and either no state or both h0 [layers·directions, N, hidden or ProjSize] and c0
// [layers·directions, N, hidden]; by default zeros. It returns the outputs, the last hidden and the last cell state.
func (r *LSTM) Forward(x *torch.Tensor, state ...*torch.Tensor) (output, h, c *torch.Tensor) {
	if r.hooks == nil {
		return r.forward(x, state)
	}
	out := r.hooks.run(r, append([]*torch.Tensor{x}, state...), func(in []*torch.Tensor) []*torch.Tensor {
		output, h, c := r.forward(in[0], in[1:])
		return []*torch.Tensor{output, h, c}
	})
	return out[0], out[1], out[2]
}

func (r *LSTM) forward(x *torch.Tensor, state []*torch.Tensor) (output, h, c *torch.Tensor) {
	s := r.sequence(x)
	switch len(state) {
	case 0:
	case 2:
		h, c = state[0], state[1]
	default:
		torch.Fail("nn.LSTM", "want no state, or a hidden and a cell state, got %d tensors", len(state))
	}
	hx := []*torch.Tensor{r.state(s, h, r.outSize()), r.state(s, c, r.hidden)}
	o := r.options
	output, h, c = aten.LstmInput(s.x, hx, tensorsOf(r.weights), !o.NoBias, o.NumLayers, o.Dropout, r.Training(),
		o.Bidirectional, o.BatchFirst)
	output, states := s.results(output, h, c)
	return output, states[0], states[1]
}
