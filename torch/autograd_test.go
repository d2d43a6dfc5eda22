package torch

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// leaf is a tensor of one dimension that requires a gradient.
func leaf(values ...float32) *Tensor { return From(values).RequiresGrad_(true) }

func floats(t *Tensor) []float32 { return ToSlice[float32](t.Detach()) }

func TestBackwardOptions(t *testing.T) {
	Scope(func() {
		x, y := leaf(1, 2), leaf(3, 4)
		z := x.Mul(y) // dz/dx = y, dz/dy = x
		z.Backward(BackwardOptions{Gradient: From([]float32{1, 10}), RetainGraph: true})
		require.Equal(t, []float32{3, 40}, floats(x.Grad()))
		require.Equal(t, []float32{1, 20}, floats(y.Grad()))

		z.Backward(BackwardOptions{Gradient: From([]float32{1, 1}), Inputs: []*Tensor{x}, RetainGraph: true})
		require.Equal(t, []float32{6, 44}, floats(x.Grad()), "added to what was there")
		require.Equal(t, []float32{1, 20}, floats(y.Grad()), "not among the inputs")

		z.Backward(BackwardOptions{Gradient: Zeros(2)})
		err := Try(func() { z.Backward(BackwardOptions{Gradient: Ones(2)}) })
		require.ErrorContains(t, err, "a second time", "the graph was freed")
		require.ErrorContains(t, Try(func() { x.Mul(y).Backward() }), "scalar outputs")
		require.ErrorContains(t, Try(func() { x.Sum().Backward(BackwardOptions{Gradient: Ones(3)}) }), "[3]")

		ClearGrads([]*Tensor{x, y})
		require.Nil(t, x.Grad())
		BackwardAll([]*Tensor{x.Sum(), y.Mul(y)}, []*Tensor{nil, From([]float32{1, 2})}, BackwardOptions{})
		require.Equal(t, []float32{1, 1}, floats(x.Grad()))
		require.Equal(t, []float32{6, 16}, floats(y.Grad()))
	})
}

func TestGradOfGrad(t *testing.T) {
	Scope(func() {
		x, unused := leaf(1, 2, 3), leaf(1)
		y := x.Pow(4).Sum()
		first := Grad([]*Tensor{y}, []*Tensor{x}, GradOptions{CreateGraph: true})[0]
		require.Equal(t, []float32{4, 32, 108}, floats(first))
		second := Grad([]*Tensor{first}, []*Tensor{x}, GradOptions{Gradients: []*Tensor{Ones(3)}, CreateGraph: true})[0]
		require.Equal(t, []float32{12, 48, 108}, floats(second))
		third := Grad([]*Tensor{second.Sum()}, []*Tensor{x})[0]
		require.Equal(t, []float32{24, 48, 72}, floats(third))
		require.Nil(t, x.Grad(), "Grad accumulates nothing")

		y = x.Sum()
		require.ErrorContains(t, Try(func() { Grad([]*Tensor{y}, []*Tensor{unused}, GradOptions{RetainGraph: true}) }),
			"to not have been used")
		require.Nil(t, Grad([]*Tensor{y}, []*Tensor{unused}, GradOptions{AllowUnused: true})[0])
		for name, f := range map[string]func(){
			"nil output":             func() { Grad([]*Tensor{nil}, []*Tensor{x}) },
			"nil input":              func() { Grad([]*Tensor{x.Sum()}, []*Tensor{nil}) },
			"nil receiver":           func() { (*Tensor)(nil).Backward() },
			"no graph":               func() { Grad([]*Tensor{Ones(1)}, []*Tensor{x}) },
			"backward through a cut": func() { x.Detach().Sum().Backward() },
		} {
			var e *Error
			require.ErrorAs(t, Try(f), &e, name)
		}
	})
}

func TestRecordingIsSwitched(t *testing.T) {
	Scope(func() {
		x := leaf(1)
		NoGrad(func() {
			require.Equal(t, "", x.Add(x).GradFn())
			require.Equal(t, "AddBackward0", EnableGradOf(func() *Tensor { return x.Add(x) }).GradFn())
		})
		made := InferenceModeOf(func() *Tensor { return x.MulScalar(2) })
		require.True(t, made.IsInference())
		require.ErrorContains(t, Try(func() { x.Mul(made).Sum().Backward() }), "nference")

		y := x.MulScalar(2)
		require.False(t, y.IsLeaf())
		y.RetainGrad().MulScalar(3).Sum().Backward()
		require.Equal(t, []float32{3}, floats(y.Grad()))
		require.Equal(t, []float32{6}, floats(x.Grad()))
	})
}

func TestHooks(t *testing.T) {
	Scope(func() {
		x := leaf(1, 2)
		remove := x.RegisterHook(func(g *Tensor) *Tensor { return g.MulScalar(10) })
		x.Sum().Backward()
		require.Equal(t, []float32{10, 10}, floats(x.Grad()))
		remove()
		remove()
		x.Sum().Backward()
		require.Equal(t, []float32{11, 11}, floats(x.Grad()))

		var seen [][]float32
		x.RegisterPostAccumulateGradHook(func(leaf *Tensor) { seen = append(seen, floats(leaf.Grad())) })
		x.Sum().Backward()
		require.Equal(t, [][]float32{{12, 12}}, seen)

		y := leaf(1)
		late := y.RegisterHook(func(*Tensor) *Tensor { return nil })
		y.Release()
		late()
	})
}

// A callback may grow its goroutine's stack, and so move it, before it panics: the panic is found all the same.
func TestPanicOfAHookOnAStackThatMoves(t *testing.T) {
	boom := errors.New("boom")
	var deep func(n int) byte
	deep = func(n int) byte {
		var room [1 << 10]byte
		if n == 0 {
			runtime.GC()
			panic(boom)
		}
		room[n] = deep(n - 1)
		return room[n]
	}
	for range 20 {
		for name, pass := range map[string]func(x *Tensor){
			"Backward": func(x *Tensor) { x.Sum().Backward() },
			"Grad":     func(x *Tensor) { Grad([]*Tensor{x.MulScalar(2).Sum()}, []*Tensor{x}) },
		} {
			got := make(chan error)
			go func() {
				got <- Try(func() {
					x := leaf(1)
					x.RegisterHook(func(*Tensor) *Tensor { deep(500); return nil })
					pass(x)
				})
			}()
			err := <-got
			require.ErrorIs(t, err, boom, name)
			require.ErrorContains(t, err, "boom", name)
		}
	}
}

// Goexit in a hook, which is what testing's FailNow does, ends the goroutine; autograd works on, on other threads.
func TestGoexitInAHook(t *testing.T) {
	for range 8 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			x := leaf(1)
			x.RegisterHook(func(*Tensor) *Tensor { runtime.Goexit(); return nil })
			x.Sum().Backward()
		}()
		<-done
		x := leaf(2)
		x.Mul(x).Sum().Backward()
		require.Equal(t, []float32{4}, floats(x.Grad()))
	}
}

// cube is x^3, whose backward is recorded when CreateGraph asks for it.
func cube(fixed bool) *Function {
	return &Function{
		Name: "cube",
		Forward: func(c *FunctionCtx, in []*Tensor) []*Tensor {
			c.Save(in[0])
			out := []*Tensor{in[0].Pow(3), in[0].GtScalar(0)}
			if fixed {
				c.MarkNonDifferentiable(out[1])
			}
			return out
		},
		Backward: func(c *FunctionCtx, grads []*Tensor) []*Tensor {
			if !c.NeedsInputGrad(0) {
				return []*Tensor{nil, nil}
			}
			return []*Tensor{grads[0].Mul(c.Saved()[0].Pow(2)).MulScalar(3), nil}
		},
	}
}

func TestFunction(t *testing.T) {
	Scope(func() {
		x, other := leaf(1, 2), Ones(2)
		out := cube(true).Apply(x, other)
		require.Equal(t, "cube", out[0].GradFn())
		require.False(t, out[1].RequiresGrad(), "not differentiable")
		first := Grad([]*Tensor{out[0].Sum()}, []*Tensor{x}, GradOptions{CreateGraph: true})[0]
		require.Equal(t, []float32{3, 12}, floats(first))
		require.Equal(t, []float32{6, 12}, floats(Grad([]*Tensor{first.Sum()}, []*Tensor{x})[0]),
			"the backward was recorded too")

		out = cube(true).Apply(x, other)
		NoGrad(func() { x.Add_(Ones(2)) })
		require.ErrorContains(t, Try(func() { out[0].Sum().Backward() }), "modified by an inplace operation")

		out = cube(true).Apply(leaf(1), other)
		out[0].Sum().Backward()
		require.ErrorContains(t, Try(func() { out[0].Sum().Backward() }), "second time")

		require.Equal(t, "", cube(true).Apply(Ones(2), other)[0].GradFn(), "nothing requires a gradient")
		require.ErrorContains(t, Try(func() { cube(true).Apply(nil, other) }), "input 0 is nil")
	})
}

func TestFunctionInPlace(t *testing.T) {
	double := &Function{
		Name: "double_",
		Forward: func(c *FunctionCtx, in []*Tensor) []*Tensor {
			in[0].MulScalar_(2)
			c.MarkDirty(in[0])
			return in
		},
		Backward: func(_ *FunctionCtx, grads []*Tensor) []*Tensor { return []*Tensor{grads[0].MulScalar(2)} },
	}
	Scope(func() {
		x := leaf(1, 2)
		y := x.MulScalar(1)
		version := y.Version()
		z := double.Apply(y)[0]
		require.Equal(t, []float32{2, 4}, floats(y))
		require.Greater(t, y.Version(), version)
		z.Mul(z).Sum().Backward() // (2x)^2
		require.Equal(t, []float32{8, 16}, floats(x.Grad()))

		wrong := &Function{Name: "wrong",
			Forward:  func(_ *FunctionCtx, in []*Tensor) []*Tensor { return []*Tensor{in[0].Clone()} },
			Backward: func(*FunctionCtx, []*Tensor) []*Tensor { return nil }}
		require.ErrorContains(t, Try(func() { wrong.Apply(x)[0].Sum().Backward() }), "0 gradients for 1 inputs")
	})
}

// Closures that died with their graphs are forgotten.
func TestClosuresGoWithTheirGraphs(t *testing.T) {
	x, before := leaf(1), closures()
	for range 100 {
		Scope(func() { cube(true).Apply(x, Ones(1))[0].Sum().Backward() })
	}
	require.Eventually(t, func() bool {
		Scope(func() { x.Sum().Backward() }) // passes by
		return closures() < before+10
	}, 5*time.Second, time.Millisecond)
}
