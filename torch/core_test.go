package torch

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/op"
)

var opAddForTest = op.Op{Name: "aten::add.Tensor"}
var opMulForTest = op.Op{Name: "aten::mul.Tensor"}
var opMM = op.Op{Name: "aten::mm"}

func add(x, y *Tensor) *Tensor {
	var a op.Args
	var r op.Results
	abi.Tensor(&a, x)
	abi.Tensor(&a, y)
	a.Int(1)
	abi.Call(&opAddForTest, &a, &r)
	return abi.Result(&r)
}

func mul(x, y *Tensor) *Tensor {
	return unary(&opMulForTest, x, func(a *op.Args) { abi.Tensor(a, y) })
}

func TestAddAndScope(t *testing.T) {
	x := From([]float32{1, 2, 3, 4})
	require.Equal(t, []float32{2, 4, 6, 8}, ToSlice[float32](add(x, x)))
	var leaked *Tensor
	before := LiveTensors()
	Scope(func() { leaked = add(x, x) })
	require.LessOrEqual(t, LiveTensors(), before)
	err := Try(func() { add(leaked, x) })
	require.ErrorContains(t, err, "core_test.go:")
	require.ErrorContains(t, err, "released")
	t.Log(err)
	k := ScopeOf(func() *Tensor { return add(x, x) })
	require.Equal(t, []float32{2, 4, 6, 8}, ToSlice[float32](k))
	err = Try(func() { unary(&opMM, x, func(a *op.Args) { abi.Tensor(a, x) }) })
	t.Log(err)
	require.ErrorContains(t, err, "float32[4]")
}

func TestBackwardFunctionHook(t *testing.T) {
	x := Options{RequiresGrad: true}.Full(3, 2)
	sq := &Function{Name: "square",
		Forward: func(c *FunctionCtx, in []*Tensor) []*Tensor { c.Save(in[0]); return []*Tensor{mul(in[0], in[0])} },
		Backward: func(c *FunctionCtx, g []*Tensor) []*Tensor {
			s := c.Saved()[0]
			return []*Tensor{mul(g[0], add(s, s))}
		}}
	n := 0
	remove := x.RegisterHook(func(g *Tensor) *Tensor { n++; return add(g, g) })
	y := sq.Apply(x)[0]
	y.Backward(BackwardOptions{Gradient: Ones(2)})
	require.Equal(t, []float32{12, 12}, ToSlice[float32](x.Grad()))
	require.Equal(t, 1, n)
	remove()
	bad := &Function{Name: "bad",
		Forward:  func(c *FunctionCtx, in []*Tensor) []*Tensor { return []*Tensor{add(in[0], in[0])} },
		Backward: func(c *FunctionCtx, g []*Tensor) []*Tensor { panic("boom") }}
	err := Try(func() { bad.Apply(x)[0].Backward(BackwardOptions{Gradient: Ones(2)}) })
	require.ErrorContains(t, err, "boom")
}

func TestManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 50 {
				Scope(func() {
					x := Options{RequiresGrad: true}.Ones(4)
					NoGrad(func() { require.False(t, add(x, x).RequiresGrad()) })
					require.True(t, add(x, x).RequiresGrad())
				})
			}
		})
	}
	wg.Wait()
	runtime.GC()
}

func BenchmarkAddScope(b *testing.B) {
	SetNumThreads(1)
	x, y := Randn(4), Randn(4)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 100 {
		Scope(func() {
			for range 100 {
				add(x, y)
			}
		})
	}
}
