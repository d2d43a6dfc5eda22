package nn

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/cuda/gputest"
)

// spec is how an input is drawn.
type spec struct {
	Draw      string
	Shape     []int
	DType     string
	Low, High int
	Values    []any
	Then      []string
	Grad      bool
}

// recordedCase is what a case of layers, plain or losses says.
type recordedCase struct {
	Module  string
	Args    []any
	Kwargs  map[string]any
	Inputs  []json.RawMessage
	Call    map[string]json.RawMessage
	Train   bool
	NoGrad  bool `json:"no_grad"`
	DType   string
	Weights []int `json:"weighted"`
}

// number reads a JSON number, or {"float": "inf"}.
func number(v any) float64 {
	if m, ok := v.(map[string]any); ok {
		var f fixture.Float
		text, _ := json.Marshal(m)
		if err := json.Unmarshal(text, &f); err != nil {
			panic(err)
		}
		return float64(f)
	}
	return v.(float64)
}

func (s spec) draw() *torch.Tensor {
	o := torch.Options{}
	if s.DType != "" {
		d, err := torch.ParseDType(s.DType)
		if err != nil {
			panic(err)
		}
		o.DType = d
	}
	var t *torch.Tensor
	switch s.Draw {
	case "randn":
		t = o.Randn(s.Shape...)
	case "rand":
		t = o.Rand(s.Shape...)
	case "randint":
		t = torch.RandInt(s.Low, s.High, s.Shape...)
	case "values":
		list := make([]float64, len(s.Values))
		for i, v := range s.Values {
			list[i] = number(v)
		}
		t = aten.ToDtype(torch.From(list, s.Shape...), o.DType, false, false, 0)
	default:
		panic("unknown draw " + s.Draw)
	}
	for _, step := range s.Then {
		t = thens[step](t)
	}
	t = aten.Detach(t)
	if s.Grad {
		t.RequiresGrad_(true)
	}
	return t
}

var thens = map[string]func(*torch.Tensor) *torch.Tensor{
	"sigmoid":        aten.Sigmoid,
	"softmax(1)":     func(t *torch.Tensor) *torch.Tensor { return aten.SoftmaxInt(t, 1, 0) },
	"log_softmax(1)": func(t *torch.Tensor) *torch.Tensor { return aten.LogSoftmaxInt(t, 1, 0) },
	"log_softmax(2)": func(t *torch.Tensor) *torch.Tensor { return aten.LogSoftmaxInt(t, 2, 0) },
	"sign":           aten.Sign,
	"abs":            aten.Abs,
	"float32":        func(t *torch.Tensor) *torch.Tensor { return aten.ToDtype(t, torch.Float32, false, false, 0) },
	"mul(2)-sub(1)": func(t *torch.Tensor) *torch.Tensor {
		return aten.SubScalar(aten.MulScalar(t, torch.Int(2)), torch.Int(1), torch.Int(1))
	},
}

// recorded turns a tensor into what a fixture compares.
func recordedTensor(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

// site is where a case is computed.
type site struct{ gputest.Site }

var onCPU = site{gputest.OnCPU}

func (p site) equal(t *testing.T, c *fixture.Case, name string, got *torch.Tensor) {
	t.Helper()
	if p != onCPU {
		require.Equal(t, p.Device, got.Device(), name)
	}
	p.Equal(t, c, name, got, 2e-4)
}

// put is the tensor in that site, a leaf if it was one.
func (p site) put(x *torch.Tensor) *torch.Tensor {
	if p == onCPU {
		return x
	}
	return x.Detach().To(p.Device).RequiresGrad_(x.RequiresGrad())
}

// inputs are the drawn inputs of a case: the tensors in order, and those that want a gradient by name.
type inputs struct {
	list   []*torch.Tensor
	call   map[string]any
	leaves map[string]*torch.Tensor
}

func (in *inputs) take(t *testing.T, c *fixture.Case, key string, raw json.RawMessage) []*torch.Tensor {
	if raw[0] == '[' {
		var parts []json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &parts))
		var all []*torch.Tensor
		for i, p := range parts {
			all = append(all, in.take(t, c, fmt.Sprintf("%s.%d", key, i), p)...)
		}
		return all
	}
	var s spec
	require.NoError(t, json.Unmarshal(raw, &s))
	x := s.draw()
	c.Equal(t, "input."+key, recordedTensor(x))
	if s.Grad {
		in.leaves[key] = x
	}
	return []*torch.Tensor{x}
}

func drawInputs(t *testing.T, c *fixture.Case, r *recordedCase) *inputs {
	in := &inputs{call: map[string]any{}, leaves: map[string]*torch.Tensor{}}
	for i, raw := range r.Inputs {
		in.list = append(in.list, in.take(t, c, fmt.Sprint(i), raw)...)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Call)) {
		if raw := r.Call[k]; raw[0] == '{' {
			in.call[k] = in.take(t, c, k, raw)[0]
		} else {
			var v any
			require.NoError(t, json.Unmarshal(raw, &v))
			in.call[k] = v
		}
	}
	return in
}

// move puts the inputs where the case is computed.
func (in *inputs) move(p site) {
	there := map[*torch.Tensor]*torch.Tensor{}
	for i, x := range in.list {
		there[x] = p.put(x)
		in.list[i] = there[x]
	}
	for k, v := range in.call {
		if x, ok := v.(*torch.Tensor); ok {
			there[x] = p.put(x)
			in.call[k] = there[x]
		}
	}
	for k, x := range in.leaves {
		in.leaves[k] = there[x]
	}
}

// forward calls a module's Forward by reflection and flattens what it returns.
func forward(m Module, in *inputs) []*torch.Tensor {
	if f, ok := forwards[strings.TrimPrefix(fmt.Sprintf("%T", m), "*nn.")]; ok && len(in.call) > 0 {
		return f(m, in)
	}
	if len(in.call) > 0 {
		panic(fmt.Sprintf("no call for %T with %v", m, in.call))
	}
	method := reflect.ValueOf(m).MethodByName("Forward")
	var args []reflect.Value
	for _, x := range in.list {
		args = append(args, reflect.ValueOf(x))
	}
	var out []*torch.Tensor
	for _, v := range method.Call(args) {
		if x := v.Interface().(*torch.Tensor); x != nil {
			out = append(out, x)
		}
	}
	return out
}

// prepared is a case's module with its inputs, ready to be called.
type prepared struct {
	m      Module
	in     *inputs
	run    func() []*torch.Tensor
	before map[string][]byte // the state's bytes
}

func prepare(t *testing.T, c *fixture.Case, r *recordedCase) *prepared {
	torch.ManualSeed(c.Seed)
	m, call := build(t, r.Module, r.Args, r.Kwargs, r.DType)
	p := &prepared{m: m, before: map[string][]byte{}}
	compareState(t, c, m, p.before)
	p.in = drawInputs(t, c, r)
	if !r.Train {
		Eval(m)
	}
	p.run = func() []*torch.Tensor {
		if r.NoGrad {
			return torch.NoGradOf(func() []*torch.Tensor { return call(p.in) })
		}
		return call(p.in)
	}
	return p
}

// draws says whether a case's forward draws random numbers, which every kind of device does in its own way.
func draws(t *testing.T, c *fixture.Case) bool {
	var r recordedCase // of its own: building the module takes its arguments
	c.Decode(t, &r)
	p := prepare(t, c, &r)
	before := torch.DefaultGenerator(torch.CPU).State().ToBytes()
	p.run()
	return !slices.Equal(before, torch.DefaultGenerator(torch.CPU).State().ToBytes())
}

// wholeInCuDNN are the modules that cuDNN computes as a whole: without training it keeps nothing for a backward pass,
// in PyTorch as well.
var wholeInCuDNN = []string{"RNN", "LSTM", "GRU"}

// runCase does what a case says and compares everything that was recorded.
func runCase(t *testing.T, c *fixture.Case, at site) {
	var r recordedCase
	c.Decode(t, &r)
	if at != onCPU && draws(t, c) {
		t.Skip("skipped: it draws random numbers, and a GPU draws others")
	}
	p := prepare(t, c, &r)
	if at != onCPU {
		To(p.m, at.Device)
		p.in.move(at)
	}
	outs := p.run()
	var total *torch.Tensor
	for i, out := range outs {
		at.equal(t, c, fmt.Sprintf("output.%d", i), out)
		if !out.RequiresGrad() {
			require.NotContains(t, r.Weights, i)
			continue
		}
		require.Contains(t, r.Weights, i)
		weight := at.put(torch.Options{DType: out.DType()}.Randn(out.Shape()...))
		term := aten.Sum(aten.MulTensor(out, weight), 0)
		if total == nil {
			total = term
		} else {
			total = aten.AddTensor(total, term, torch.Int(1))
		}
	}
	require.Len(t, outs, len(c.Names("output.")))
	if total != nil && at != onCPU && !r.Train && slices.Contains(wholeInCuDNN, r.Module) {
		require.ErrorContains(t, torch.Try(func() { total.Backward() }),
			"cudnn RNN backward can only be called in training mode")
		return
	}
	if total != nil {
		total.Backward()
	}
	compareAfter(t, c, p, at)
	c.Equal(t, "next", recordedTensor(torch.Rand(4)))
}

// compareState compares the state dict before the forward, its keys' order included.
func compareState(t *testing.T, c *fixture.Case, m Module, before map[string][]byte) {
	sd := StateDict(m)
	want := c.Names("state.")
	if len(want)+sd.Len() > 0 {
		require.Equal(t, want, sd.Keys())
	}
	for k, v := range sd.All() {
		c.Equal(t, "state."+k, recordedTensor(v))
		before[k] = v.ToBytes()
	}
}

func compareAfter(t *testing.T, c *fixture.Case, p *prepared, at site) {
	grads := map[string]*torch.Tensor{}
	for k, leaf := range p.in.leaves {
		grads["input."+k] = leaf.Grad()
	}
	params := map[string]bool{}
	for k, param := range NamedParameters(p.m) {
		params[k] = true
		g := param.Grad()
		if g != nil && g.Layout() != torch.Strided {
			g = aten.ToDense(g, 0, nil)
		}
		grads[k] = g
	}
	for k, g := range grads {
		if g == nil {
			require.False(t, c.Has("grad."+k), "no gradient for %s", k)
			continue
		}
		at.equal(t, c, "grad."+k, g)
	}
	for _, k := range c.Names("grad.") {
		require.Contains(t, grads, k)
	}
	for k, v := range StateDict(p.m).All() {
		if c.Has("after." + k) {
			at.equal(t, c, "after."+k, v)
		} else {
			require.True(t, params[k], "the buffer %s wasn't recorded", k)
			require.Equal(t, p.before[k], v.ToBytes(), "Forward must not change %s", k)
		}
	}
}

func TestLayers(t *testing.T) { runFile(t, "layers", onCPU) }
func TestPlain(t *testing.T)  { runFile(t, "plain", onCPU) }
func TestLosses(t *testing.T) { runFile(t, "losses", onCPU) }

func TestLayersOnAGPU(t *testing.T) { runFile(t, "layers", onGPU(t)) }
func TestPlainOnAGPU(t *testing.T)  { runFile(t, "plain", onGPU(t)) }
func TestLossesOnAGPU(t *testing.T) { runFile(t, "losses", onGPU(t)) }

func onGPU(t *testing.T) site { return site{gputest.OnGPU(t)} }

func runFile(t *testing.T, stem string, at site) {
	file := fixture.Open(t, "testdata/"+stem+".json.gz")
	require.NotEmpty(t, file.Cases)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, torch.Try(func() { torch.Scope(func() { runCase(t, c, at) }) }))
		})
	}
}
