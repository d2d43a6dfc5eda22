package torch_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// signGrad is a gradient that stands for zeros and has no memory: libtorch's derivative of a step function.
func signGrad() *torch.Tensor {
	x := torch.From([]float32{1, -2, 3, 4}, 2, 2).RequiresGrad_(true)
	x.Sgn().Sum().Backward()
	return x.Grad()
}

func sparse(t *torch.Tensor) *torch.Tensor {
	return aten.Call("aten::to_sparse", t)[0].(*torch.Tensor)
}

// reinterpret gives a tensor more elements than it has, as no operator for programs does.
func reinterpret(t *torch.Tensor, n int) *torch.Tensor {
	o := op.Op{Name: "inductor::_reinterpret_tensor"}
	var a op.Args
	var r op.Results
	abi := torch.ABI{}
	abi.Tensor(&a, t)
	a.Ints([]int{n})
	a.Ints([]int{1})
	a.Int(0)
	abi.Call(&o, &a, &r)
	return abi.Result(&r)
}

// tensorsWithoutPlainMemory are tensors whose values are not what a read of their memory gives, or that have none. A
// text in place of values is what the error of a read must contain, and bytes is that for Bytes, which gives the memory
// itself.
var tensorsWithoutPlainMemory = map[string]struct {
	make  func() *torch.Tensor
	want  []float32
	read  string
	bytes string
}{
	"zeros": {signGrad, []float32{0, 0, 0, 0}, "", "stands for zeros"},
	"zeros, detached": {func() *torch.Tensor { return signGrad().Detach() }, []float32{0, 0, 0, 0}, "",
		"stands for zeros"},
	"zeros, transposed": {func() *torch.Tensor {
		return signGrad().Transpose(0, 1)
	}, []float32{0, 0, 0, 0}, "", "contiguous"},
	"a row of zeros": {func() *torch.Tensor { return signGrad().Select(0, 1) }, []float32{0, 0}, "", "stands for zeros"},
	"zeros, cloned":  {func() *torch.Tensor { return signGrad().Clone() }, []float32{0, 0, 0, 0}, "", ""},
	"made as zeros": {func() *torch.Tensor {
		return aten.Efficientzerotensor([]int{3}, torch.Float32, 0, torch.CPU, nil)
	}, []float32{0, 0, 0}, "", "stands for zeros"},
	"no zeros": {func() *torch.Tensor {
		return aten.Efficientzerotensor([]int{0}, torch.Float32, 0, torch.CPU, nil)
	}, nil, "", ""},
	"second derivative of Abs": {func() *torch.Tensor {
		x := torch.From([]float32{1, -2}).RequiresGrad_(true)
		first := torch.Grad([]*torch.Tensor{x.Abs().Sum()}, []*torch.Tensor{x}, torch.GradOptions{CreateGraph: true})[0]
		return torch.Grad([]*torch.Tensor{first.Sum()}, []*torch.Tensor{x})[0]
	}, []float32{0, 0}, "", "stands for zeros"},
	"the imaginary part of a conjugate": {func() *torch.Tensor {
		return aten.Imag(torch.From([]complex64{1 + 2i, 3 - 4i}).Conj())
	}, []float32{-2, 4}, "", "contiguous"},
	"a negative view": {func() *torch.Tensor {
		return aten.Call("aten::_neg_view", torch.From([]float32{1, 2}))[0].(*torch.Tensor)
	}, []float32{-1, -2}, "", "a negative view"},
	"sparse":   {func() *torch.Tensor { return sparse(torch.Eye(2)) }, []float32{1, 0, 0, 1}, "", "contiguous"},
	"mkldnn":   {func() *torch.Tensor { return aten.ToMkldnn(torch.Ones(2), 0) }, []float32{1, 1}, "", "contiguous"},
	"meta":     {func() *torch.Tensor { return torch.Options{Device: torch.Meta}.Ones(2) }, nil, "meta", "on the CPU"},
	"nil":      {func() *torch.Tensor { return nil }, nil, "the tensor is nil", "the tensor is nil"},
	"empty":    {func() *torch.Tensor { return torch.Zeros(0, 3) }, nil, "", ""},
	"released": {func() *torch.Tensor { t := torch.Ones(2); t.Release(); return t }, nil, "released", "released"},
	"nested": {func() *torch.Tensor {
		return aten.NestedTensorFromTensorList([]*torch.Tensor{torch.Ones(2), torch.Ones(1)}, 0, 0, torch.Device{}, nil)
	}, nil, "nested float32[2, *]", "nested float32[2, *]"},
	"of inference mode": {func() *torch.Tensor {
		return torch.InferenceModeOf(func() *torch.Tensor { return torch.Ones(2).AddScalar(1) })
	}, []float32{2, 2}, "", ""},
	"more than any memory": {func() *torch.Tensor { return torch.Ones(1).Expand(1 << 45) }, nil, "memory", "contiguous"},
	"with too little storage": {func() *torch.Tensor {
		return reinterpret(torch.Ones(2), 1<<40)
	}, nil, "need 4398046511104 bytes, its storage has 8", "need 4398046511104 bytes, its storage has 8"},
}

// failure runs f, which may panic with a *torch.Error alone.
func failure(t *testing.T, f func()) string {
	err := torch.Try(f)
	if err == nil {
		return ""
	}
	var e *torch.Error
	require.True(t, errors.As(err, &e), "%T: %v", err, err)
	return err.Error()
}

// TestReadsOfMemory: every way to read a tensor gives its values, or an error, whether its memory holds them or not.
func TestReadsOfMemory(t *testing.T) {
	for name, c := range tensorsWithoutPlainMemory {
		t.Run(name, func(t *testing.T) {
			var got []float32
			err := failure(t, func() { got = torch.ToSlice[float32](c.make()) })
			var raw []byte
			rawErr := failure(t, func() { raw = c.make().ToBytes() })
			if c.read != "" {
				require.Contains(t, err, c.read)
				require.Contains(t, rawErr, c.read)
			} else {
				require.Empty(t, err)
				require.Empty(t, rawErr)
				require.Equal(t, append([]float32{}, c.want...), got)
				back := torch.FromBytes(raw, torch.Float32, len(raw)/4)
				require.Equal(t, append([]float32{}, c.want...), torch.ToSlice[float32](back))
			}
			var inPlace []byte
			err = failure(t, func() { c.make().Bytes(func(b []byte) { inPlace = append(inPlace, b...) }) })
			if c.bytes != "" {
				require.Contains(t, err, c.bytes)
			} else {
				require.Empty(t, err)
				require.Equal(t, len(raw), len(inPlace))
			}
		})
	}
}

// TestConversionsInInferenceMode: what comes from Go, and goes back to it, does so in inference mode as well.
func TestConversionsInInferenceMode(t *testing.T) {
	torch.InferenceMode(func() {
		x := torch.From([]float32{1, 2, 3})
		require.True(t, x.IsInference())
		require.Equal(t, []float32{2, 4, 6}, torch.ToSlice[float32](x.Add(x)))
		y := torch.FromBytes(x.ToBytes(), torch.Float32, 3)
		require.True(t, y.Equal(x))
		require.True(t, x.SameStorage(x.View(3)))
		require.False(t, x.SameStorage(y))
		require.Contains(t, failure(t, func() { x.Version() }), "Inference tensors do not track version counter")
	})
}

// TestTensorsWithoutStorage: a version is of every tensor, a storage is not.
func TestTensorsWithoutStorage(t *testing.T) {
	s := sparse(torch.Eye(2))
	require.Equal(t, 0, s.Version())
	require.Contains(t, failure(t, func() { s.SameStorage(s) }), "has no storage")
	z := signGrad()
	require.True(t, z.SameStorage(z.Detach()))
	require.False(t, z.SameStorage(signGrad()), "both have no memory, and not the same storage")
	m := torch.Options{Device: torch.Meta}.Ones(2)
	require.True(t, m.SameStorage(m.View(2, 1)))
}

// TestCollateWithoutMemory: samples that are zeros, or views with conjugated values, become a batch of their values.
func TestCollateWithoutMemory(t *testing.T) {
	negative := aten.Call("aten::_neg_view", torch.Ones(2, 2))[0].(*torch.Tensor)
	samples := []*torch.Tensor{signGrad(), torch.Ones(2, 2), negative}
	want := []float32{0, 0, 0, 0, 1, 1, 1, 1, -1, -1, -1, -1}
	batch, err := data.Collate(samples)
	require.NoError(t, err)
	require.Equal(t, want, torch.ToSlice[float32](batch))
	batch, err = data.Collate(samples[:1])
	require.NoError(t, err)
	require.Equal(t, want[:4], torch.ToSlice[float32](batch))
	set := data.NewTensorDatasetOf(signGrad())
	for batch, err := range data.NewLoader(set, 2).Batches(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, want[:4], torch.ToSlice[float32](batch))
	}
	require.Equal(t, []float32{0, 0, 0, 0}, torch.ToSlice[float32](torch.Zeros(2, 2).Copy_(signGrad())))
}

// TestStepWithoutMemory: an optimizer's step takes a gradient that stands for zeros as zeros, in each of its ways.
func TestStepWithoutMemory(t *testing.T) {
	for name, c := range map[string]struct {
		make func(p []nn.Parameter) optim.Optimizer
		want float32
	}{
		"SGD": {func(p []nn.Parameter) optim.Optimizer { return optim.NewSGD(p, 0.5) }, 1},
		"SGD with decay and momentum": {func(p []nn.Parameter) optim.Optimizer {
			return optim.NewSGD(p, 0.5, optim.SGDOptions{WeightDecay: 0.25, Momentum: 0.5})
		}, 0.703125},
		"Adam":  {func(p []nn.Parameter) optim.Optimizer { return optim.NewAdam(p, 0.5) }, 1},
		"AdamW": {func(p []nn.Parameter) optim.Optimizer { return optim.NewAdamW(p, 0.5) }, 0.990025},
	} {
		p := nn.NewParameter(torch.Ones(2))
		o := c.make([]nn.Parameter{p})
		for range 2 {
			p.Sgn().Sum().Backward()
			require.Equal(t, []float32{0, 0}, torch.ToSlice[float32](p.Grad()))
			o.Step()
			o.ZeroGrad()
		}
		require.InDeltaSlice(t, []float32{c.want, c.want}, torch.ToSlice[float32](p.Detach()), 1e-6, name)
	}
}
