package nn

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

// runningNorm is a user's module with everything that a tag can say.
type runningNorm struct {
	Base
	Weight, Bias Parameter
	RunningMean  Buffer
	Seen         Buffer      `torch:"num_batches_tracked"`
	Shift        Buffer      `torch:"shift,nonpersistent"`
	Gate         *Linear     `torch:"gate,optional"`
	Scales       []Parameter // a ParameterList
	Left         *Linear     `torch:"-"`
	cache        *torch.Tensor
	hidden       *Linear // unexported, and counts all the same
}

func newRunningNorm() *runningNorm {
	return &runningNorm{
		Weight: NewParameter(torch.Ones(2)), RunningMean: NewBuffer(torch.Zeros(2)), Seen: NewBuffer(torch.Zeros()),
		Shift: NewBuffer(torch.Zeros(2)), Scales: []Parameter{NewParameter(torch.Ones(2)), NewParameter(torch.Ones(2))},
		Left: NewLinear(1, 1), cache: torch.Ones(1), hidden: NewLinear(2, 2),
	}
}

func TestTags(t *testing.T) {
	n := newRunningNorm()
	require.Equal(t, []string{"weight", "running_mean", "num_batches_tracked", "scales.0", "scales.1", "hidden.weight",
		"hidden.bias"}, keys(n))
	var buffers []string
	for k := range NamedBuffers(n) {
		buffers = append(buffers, k)
	}
	require.Equal(t, []string{"running_mean", "num_batches_tracked", "shift"}, buffers)
	n.Gate = NewLinear(2, 2)
	require.Contains(t, keys(n), "gate.weight")
}

type block struct {
	Base
	Norm1 *LayerNorm
	MLP   *Sequential
}

type tower struct {
	Base
	Tok    *Embedding
	Blocks []*block
	Pos    Parameter
	Value  Linear   // a module by value
	Any    Layer    // a module in an interface
	Pair   [2]Layer // an array
	Head   *Linear  `torch:"lm_head"`
}

func newTower() *tower {
	w := &tower{Tok: NewEmbedding(5, 2), Pos: NewParameter(torch.Ones(2)), Value: *NewLinear(2, 2), Any: NewLinear(2, 1),
		Pair: [2]Layer{NewReLU(), NewLinear(1, 1)}, Head: NewLinear(2, 5, LinearOptions{NoBias: true})}
	for range 2 {
		w.Blocks = append(w.Blocks, &block{Norm1: NewLayerNorm(2), MLP: NewSequential(NewLinear(2, 2), NewGELU(),
			NewLinear(2, 2))})
	}
	w.Head.Weight = w.Tok.Weight
	return w
}

// The order is that of the same Python class: a module's parameters, its buffers, its children.
func TestOrderAndSharing(t *testing.T) {
	w := newTower()
	want := []string{"pos", "tok.weight"}
	for _, b := range []string{"blocks.0.", "blocks.1."} {
		want = append(want, b+"norm1.weight", b+"norm1.bias", b+"mlp.0.weight", b+"mlp.0.bias", b+"mlp.2.weight",
			b+"mlp.2.bias")
	}
	want = append(want, "value.weight", "value.bias", "any.weight", "any.bias", "pair.1.weight", "pair.1.bias")
	var named []string
	for k := range NamedParameters(w) {
		named = append(named, k)
	}
	require.Equal(t, want, named, "a shared parameter comes once")
	require.Equal(t, append(want, "lm_head.weight"), keys(w), "and is saved under both keys")
	require.Len(t, Parameters(w), len(want))
	var modules []string
	for k := range NamedModules(w) {
		modules = append(modules, k)
	}
	require.Equal(t, []string{"", "tok", "blocks.0", "blocks.0.norm1", "blocks.0.mlp", "blocks.0.mlp.0", "blocks.0.mlp.1",
		"blocks.0.mlp.2",
		"blocks.1", "blocks.1.norm1", "blocks.1.mlp", "blocks.1.mlp.0", "blocks.1.mlp.1", "blocks.1.mlp.2", "value", "any",
		"pair.0", "pair.1", "lm_head"}, modules)
	require.Len(t, Modules(w), len(modules))
	var children []string
	for k := range Children(w) {
		children = append(children, k)
	}
	require.Equal(t, []string{"tok", "blocks.0", "blocks.1", "value", "any", "pair.0", "pair.1", "lm_head"}, children)
}

// inherits has the keys of the module that it embeds, as a subclass has in Python.
type inherits struct {
	*Sequential
	Extra *Linear
	group struct{ Inner *Linear }
}

func TestEmbeddedStructs(t *testing.T) {
	n := &inherits{Sequential: NewSequential(NewLinear(1, 1), NewDropout()), Extra: NewLinear(1, 1)}
	n.group.Inner = NewLinear(1, 1)
	require.Equal(t, []string{"0.weight", "0.bias", "extra.weight", "extra.bias", "group.inner.weight",
		"group.inner.bias"}, keys(n))
	Eval(n)
	require.False(t, n.Training())
	require.False(t, n.At(1).(*Dropout).Training())
	Train(n)
	require.True(t, n.Extra.Training())
}

type withMap struct {
	Base
	Layers map[string]*Linear
}

type plainHolder struct{ L *Linear }

type withPointer struct {
	Base
	H *plainHolder
}

type badTag struct {
	Base
	L *Linear `torch:"l,optinal"`
}

type dotted struct {
	Base
	L *Linear `torch:"a.b"`
}

type twice struct {
	Base
	FC1 *Linear
	Fc1 *Linear
}

type cyclic struct {
	Base
	Parent *cyclic `torch:",optional"`
}

type wrongTag struct {
	Base
	N int `torch:"n"`
}

func TestMistakes(t *testing.T) {
	loop := &cyclic{}
	loop.Parent = loop
	tests := map[string]struct {
		m    Module
		says []string
	}{
		"nil field": {&mlp{FC1: NewLinear(1, 1)}, []string{"fc2 is nil", "optional"}},
		"nil in slice": {&tower{Tok: NewEmbedding(1, 1), Blocks: []*block{nil}, Any: NewReLU(),
			Pair: [2]Layer{NewReLU(), NewReLU()}, Head: NewLinear(1, 1)}, []string{"blocks.0 is nil"}},
		"nil interface": {&tower{Tok: NewEmbedding(1, 1), Head: NewLinear(1, 1)}, []string{"any is nil"}},
		"deep":          {&block{Norm1: NewLayerNorm(1), MLP: nil}, []string{"mlp is nil"}},
		"nil model":     {(*mlp)(nil), []string{"the model is nil"}},
		"none":          {nil, []string{"the model is nil"}},
		"map":           {&withMap{}, []string{"withMap.Layers", "ModuleDict"}},
		"pointer":       {&withPointer{}, []string{"withPointer.H", "embed nn.Base"}},
		"tag":           {&badTag{}, []string{"optinal", "want optional or nonpersistent"}},
		"dot":           {&dotted{}, []string{"a.b", "must not contain a dot"}},
		"twice":         {&twice{FC1: NewLinear(1, 1), Fc1: NewLinear(1, 1)}, []string{"two members have the key fc1"}},
		"cycle":         {loop, []string{"parent", "must not contain itself"}},
		"wrong tag":     {&wrongTag{}, []string{"wrongTag.N", "int"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(func() { Parameters(test.m) })
			require.Error(t, err)
			for _, part := range test.says {
				require.ErrorContains(t, err, part)
			}
			require.Error(t, LoadStateDict(test.m, &torch.StateDict{}), "LoadStateDict returns it")
		})
	}
}

func TestContainers(t *testing.T) {
	list := NewModuleList(NewLinear(1, 1), NewLinear(1, 2))
	require.Equal(t, 2, list.Len())
	require.Equal(t, []int{2, 1}, list.At(-1).Weight.Shape())
	require.Equal(t, []string{"0.weight", "0.bias", "1.weight", "1.bias"}, keys(list))
	dict := NewModuleDict[Layer]().Set("z", NewLinear(1, 1)).Set("a", NewReLU()).Set("b", NewPReLU())
	require.Equal(t, []string{"z", "a", "b"}, dict.Keys())
	require.Equal(t, []string{"z.weight", "z.bias", "b.weight"}, keys(dict))
	dict.Delete("z")
	_, ok := dict.Get("z")
	require.False(t, ok)
	require.Equal(t, []string{"b.weight"}, keys(dict))
	params := NewParameterList(NewParameter(torch.Ones(1))).Append(NewParameter(torch.Ones(2)))
	require.Equal(t, []string{"0", "1"}, keys(params))
	named := NewParameterDict().Set("w", NewParameter(torch.Ones(1)))
	require.Equal(t, []string{"w"}, keys(named))
	require.ErrorContains(t, torch.Try(func() { NewSequential(NewReLU(), nil) }), "layer 1 is nil")
	require.ErrorContains(t, torch.Try(func() { NewSequential(NewReLU()).At(1) }), "no number 1 among 1")
	require.ErrorContains(t, torch.Try(func() { dict.Set("a.b", NewReLU()) }), "a.b")
}

func TestLoadStateDict(t *testing.T) {
	a, b := newMLP(), newMLP()
	weight := b.FC1.Weight.Tensor
	require.NoError(t, LoadStateDict(b, StateDict(a)))
	require.Same(t, weight, b.FC1.Weight.Tensor, "copied in place")
	require.Equal(t, a.FC1.Weight.ToBytes(), b.FC1.Weight.ToBytes())

	sd := StateDict(newMLP())
	sd.Delete("fc1.bias")
	sd.Set("fc2.weight", torch.Ones(7))
	sd.Set("extra", torch.Ones(1))
	before := b.FC1.Weight.ToBytes()
	err := LoadStateDict(b, sd)
	var misfit *StateDictError
	require.ErrorAs(t, err, &misfit)
	require.Equal(t, []string{"fc1.bias"}, misfit.Missing)
	require.Equal(t, []string{"extra"}, misfit.Unexpected)
	require.Equal(t, []Mismatch{{Key: "fc2.weight", Saved: []int{7}, Want: []int{2, 3}}}, misfit.Mismatched)
	require.ErrorContains(t, err, "*nn.mlp")
	require.Equal(t, before, b.FC1.Weight.ToBytes(), "nothing was copied")
	require.Error(t, LoadStateDict(b, sd, LoadOptions{NonStrict: true}), "another shape is an error all the same")

	sd.Delete("fc2.weight")
	var found IncompatibleKeys
	require.NoError(t, LoadStateDict(b, sd, LoadOptions{NonStrict: true, Keys: &found}))
	require.Equal(t, IncompatibleKeys{[]string{"fc1.bias", "fc2.weight"}, []string{"extra"}}, found)
	require.NotEqual(t, before, b.FC1.Weight.ToBytes())
	require.ErrorContains(t, LoadStateDict(b, nil), "nil")
}

func TestClone(t *testing.T) {
	a := newTower()
	b := Clone(a)
	require.Equal(t, keys(a), keys(b))
	require.NotSame(t, a.Head.Weight.Tensor, b.Head.Weight.Tensor)
	require.Same(t, b.Head.Weight.Tensor, b.Tok.Weight.Tensor, "what is shared stays shared")
	for k, v := range StateDict(a).All() {
		w, _ := StateDict(b).Get(k)
		require.Equal(t, v.ToBytes(), w.ToBytes(), k)
		require.False(t, v.SameStorage(w), k)
	}
	require.True(t, b.Pos.RequiresGrad())
	d := NewModuleDict[*Linear]().Set("a", NewLinear(1, 1))
	e := Clone(d)
	x, _ := d.Get("a")
	y, _ := e.Get("a")
	require.NotSame(t, x, y)
}

func TestToKeepsParameters(t *testing.T) {
	net := NewSequential(NewLinear(2, 2), NewBatchNorm1d(2))
	p := Parameters(net)[0].Tensor
	F.MSELoss(net.Forward(torch.Ones(2, 2)), torch.Ones(2, 2)).Backward()
	To(net, torch.Float64)
	require.Same(t, p, Parameters(net)[0].Tensor)
	require.Equal(t, torch.Float64, p.DType())
	require.Equal(t, torch.Float64, p.Grad().DType())
	require.Equal(t, torch.Int64, net.At(1).(*BatchNorm1d).NumBatchesTracked.DType(), "integers stay")
	out := net.Forward(torch.Options{DType: torch.Float64}.Ones(3, 2))
	require.Equal(t, torch.Float64, out.DType())
	aGrad := p.Grad()
	torch.ClearGrads([]*torch.Tensor{p})
	F.MSELoss(out, torch.Options{DType: torch.Float64}.Ones(3, 2)).Backward()
	require.NotNil(t, p.Grad())
	require.NotNil(t, aGrad)
}

// A model that is made inside a scope outlives it, and a state dict too.
func TestOutlivesScope(t *testing.T) {
	var net *mlp
	var sd *torch.StateDict
	torch.Scope(func() {
		net = newMLP()
		NewParameter(torch.Ones(2))
		sd = StateDict(net)
	})
	require.False(t, net.FC1.Weight.Released())
	torch.Scope(func() { net.Forward(torch.Ones(1, 4)) })
	w, _ := sd.Get("fc1.weight")
	require.Equal(t, net.FC1.Weight.ToBytes(), w.ToBytes())
	require.ErrorContains(t, torch.Try(func() { NewParameter(torch.Options{DType: torch.Int64}.Ones(1)) }), "int64")
	require.False(t, NewParameter(torch.Options{DType: torch.Int64}.Ones(1),
		ParameterOptions{NoGrad: true}).RequiresGrad())
	require.Nil(t, NewParameter(nil).Tensor)
	require.Nil(t, NewBuffer(nil).Tensor)
}

// In evaluation mode one model serves many goroutines at once.
func TestConcurrentEval(t *testing.T) {
	net := NewSequential(NewConv2d(1, 4, 3), NewBatchNorm2d(4), NewReLU(), NewDropout(), NewFlatten(), NewLinear(4*16, 3),
		NewLayerNorm(3))
	Eval(net)
	x := torch.Randn(2, 1, 6, 6)
	want := torch.NoGradOf(func() []byte { return net.Forward(x).ToBytes() })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				torch.Scope(func() {
					got := torch.NoGradOf(func() []byte { return net.Forward(x).ToBytes() })
					if string(got) != string(want) {
						t.Error("another goroutine's forward shows")
					}
				})
			}
		})
	}
	wg.Wait()
	runtime.GC()
}

func TestModes(t *testing.T) {
	net := NewSequential(NewLinear(2, 2), NewSequential(NewDropout(0.9)))
	require.True(t, net.Training())
	Eval(net)
	x := torch.Ones(4, 2)
	require.Equal(t, net.Forward(x).ToBytes(), net.Forward(x).ToBytes())
	RequiresGrad(net, false)
	require.False(t, net.Forward(x).RequiresGrad())
	RequiresGrad(net, true)
	net.Forward(x).Backward(torch.BackwardOptions{Gradient: torch.Ones(4, 2)})
	ZeroGrad(net, ZeroGradOptions{KeepMemory: true})
	require.Equal(t, []float32{0, 0}, torch.ToSlice[float32](net.At(0).(*Linear).Bias.Grad()))
	var order []string
	Apply(net, func(m Module) { order = append(order, fmt.Sprintf("%T", m)) })
	require.Equal(t, []string{"*nn.Linear", "*nn.Dropout", "*nn.Sequential", "*nn.Sequential"}, order)
}
