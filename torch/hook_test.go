package torch

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
)

// A hook that is registered and removed at each step of a long loop leaves nothing at its leaf.
func TestHooksThatAreRemovedLeaveNothing(t *testing.T) {
	x := leaf(1)
	before := settledClosures(t)
	for range 1000 {
		x.RegisterHook(func(*Tensor) *Tensor { return nil })()
		x.RegisterPostAccumulateGradHook(func(*Tensor) {})()
	}
	require.Equal(t, before, cgotorch.Closures())
	x.Sum().Backward()
	require.Equal(t, []float32{1}, floats(x.Grad()))
}

// The hook of a tensor that was released can be removed while its graph lives.
func TestHookOfAReleasedTensor(t *testing.T) {
	x := leaf(1)
	y := x.MulScalar(2)
	calls := 0
	remove := y.RegisterHook(func(*Tensor) *Tensor { calls++; return nil })
	z := y.Sum()
	y.Release()
	z.Backward(BackwardOptions{RetainGraph: true})
	require.Equal(t, 1, calls)
	remove()
	z.Backward()
	require.Equal(t, 1, calls)
}

// Goroutines register and remove hooks of one leaf while others run its hooks.
func TestHooksOfSeveralGoroutines(t *testing.T) {
	x := leaf(1)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				remove := x.RegisterHook(func(*Tensor) *Tensor { return nil })
				Grad([]*Tensor{x.MulScalar(2).Sum()}, []*Tensor{x})
				remove()
			}
		})
	}
	all.Wait()
}

// What shares a storage finds its values again once the storage has its memory back, autograd's views among it.
func TestResizeStorage(t *testing.T) {
	Scope(func() {
		w, x := leaf(1, 2, 3, 4), From([]float32{1, 1, 1, 1})
		y := w.View(2, 2).Mul(x.View(2, 2)).Mul(w.View(2, 2)) // saves views of w
		alias := w.Detach()
		version := w.Version()
		abi.ResizeStorage(w, 0)
		require.Zero(t, alias.StorageBytes())
		require.Equal(t, []int{4}, w.Shape())
		require.ErrorContains(t, Try(func() { floats(alias) }), "its elements need 16 bytes, its storage has 0")

		abi.ResizeStorage(w, 16)
		require.Equal(t, version, w.Version())
		values := Empty(4)
		values.SetData(alias)
		NoGrad(func() { values.Copy_(From([]float32{5, 6, 7, 8})) })
		y.Sum().Backward()
		require.Equal(t, []float32{6, 8, 10, 12}, floats(w.Grad()), "x times the old and the new values")

		abi.ResizeStorage(w, 8)
		abi.ResizeStorage(w, 16)
		require.Equal(t, []float32{5, 6}, floats(w)[:2])

		require.ErrorContains(t, Try(func() { abi.ResizeStorage(w, -1) }), "can't have -1 bytes")
	})
}

func TestResizeStorageFreesMemory(t *testing.T) {
	Scope(func() {
		x := Zeros(1 << 20)
		view := x.View(1024, 1024)
		runtime.GC()
		before := cgotorch.Memory(false).Big
		abi.ResizeStorage(x, 0)
		require.InDelta(t, 4<<20, before-cgotorch.Memory(false).Big, 1<<14)
		abi.ResizeStorage(view, 4<<20)
		require.Equal(t, before, cgotorch.Memory(false).Big)
	})
}

func TestAfterBackward(t *testing.T) {
	Scope(func() {
		var seen []string
		x := leaf(1)
		y := x.MulScalar(2)
		y.RegisterHook(func(*Tensor) *Tensor {
			abi.AfterBackward(func() { seen = append(seen, "first") })
			abi.AfterBackward(func() { seen = append(seen, "second") })
			seen = append(seen, "hook")
			return nil
		})
		x.RegisterPostAccumulateGradHook(func(*Tensor) { seen = append(seen, "accumulated") })
		y.Sum().Backward()
		require.Equal(t, []string{"hook", "accumulated", "first", "second"}, seen)
		y = x.MulScalar(2)
		y.Sum().Backward()
		require.Len(t, seen, 5, "a callback runs once")

		require.ErrorContains(t, Try(func() { abi.AfterBackward(func() {}) }), "during one only")

		boom := errors.New("boom")
		y = x.MulScalar(2)
		y.RegisterHook(func(*Tensor) *Tensor { abi.AfterBackward(func() { panic(boom) }); return nil })
		require.ErrorIs(t, Try(func() { y.Sum().Backward() }), boom)
	})
}

// SetMaterializeGrads(false) gives Backward nil where nothing was computed from an output.
func TestFunctionMaterializesGrads(t *testing.T) {
	for _, on := range []bool{true, false} {
		var got []*Tensor
		f := &Function{
			Name: "two",
			Forward: func(c *FunctionCtx, in []*Tensor) []*Tensor {
				c.SetMaterializeGrads(on)
				return []*Tensor{in[0].MulScalar(2), in[0].MulScalar(3)}
			},
			Backward: func(_ *FunctionCtx, grads []*Tensor) []*Tensor {
				got = grads
				return []*Tensor{grads[1]}
			},
		}
		x := leaf(1)
		f.Apply(x)[1].Sum().Backward()
		require.Equal(t, on, got[0] != nil)
		require.Equal(t, []float32{1}, floats(x.Grad()))
	}
}

// What a graph that was never run backward held by hooks of Go is collected.
func TestSavedTensorsHooksLeaveNothing(t *testing.T) {
	before := settledClosures(t)
	for range 20 {
		Scope(func() {
			x := leaf(1)
			SavedTensorsHooks(func(t *Tensor) *Tensor { return t }, func(t *Tensor) *Tensor { return t }, func() {
				x.Mul(x).Exp()
			})
		})
	}
	require.Equal(t, before, settledClosures(t))
}

// Hooks on saved tensors are those of the calling goroutine: ranks at once each have their own.
func TestSavedTensorsHooksOfSeveralGoroutines(t *testing.T) {
	var all sync.WaitGroup
	for rank := range 4 {
		all.Go(func() {
			for range 30 {
				RunRank(func() {
					Scope(func() {
						x := leaf(float32(rank))
						packed := 0
						var y *Tensor
						SavedTensorsHooks(
							func(t *Tensor) *Tensor { packed++; return t.MulScalar(float64(rank + 1)) },
							func(t *Tensor) *Tensor { return t },
							func() { y = x.Mul(x) })
						if rank%2 == 0 {
							SaveOnCPU(func() { y = y.MulScalar(1).Mul(From([]float32{1})) })
						}
						y.Sum().Backward()
						if got, want := floats(x.Grad())[0], float32(2*rank*(rank+1)); packed != 2 || got != want {
							panic("hooks of another goroutine were used")
						}
					})
				})
			}
		})
	}
	all.Wait()
}

// A ThreadContext takes the hooks along, and a goroutine without one has none.
func TestForkTakesSavedTensorsHooksAlong(t *testing.T) {
	Scope(func() {
		x := leaf(3)
		packed := 0
		inner := func() *Tensor { return x.Mul(x) }
		var with, without *Tensor
		SavedTensorsHooks(func(t *Tensor) *Tensor { packed++; return t }, func(t *Tensor) *Tensor { return t }, func() {
			fork := NewThreadContext()
			done := make(chan struct{})
			go func() { defer close(done); fork.Do(func() { with = inner() }) }()
			<-done
			require.Equal(t, 2, packed)
			done = make(chan struct{})
			go func() { defer close(done); without = inner() }()
			<-done
			require.Equal(t, 2, packed)
			fork.Join()
		})
		with.Add(without).Sum().Backward()
		require.Equal(t, []float32{12}, floats(x.Grad()))
	})
}

func TestSaveOnCPU(t *testing.T) {
	for _, pin := range []bool{false, true} {
		Scope(func() {
			x := leaf(1, 2)
			var y *Tensor
			SaveOnCPU(func() { y = x.Mul(x).Exp() }, SaveOnCPUOptions{PinMemory: pin})
			y.Sum().Backward()
			want := leaf(1, 2)
			want.Mul(want).Exp().Sum().Backward()
			require.Equal(t, floats(want.Grad()), floats(x.Grad()))
		})
	}
	boom := errors.New("boom")
	require.PanicsWithValue(t, boom, func() { SaveOnCPU(func() { panic(boom) }) })
	require.PanicsWithValue(t, boom, func() {
		SavedTensorsHooks(func(t *Tensor) int { return 0 }, func(int) *Tensor { return nil }, func() { panic(boom) })
	})
	x := leaf(2)
	x.Mul(x).Sum().Backward()
	require.Equal(t, []float32{4}, floats(x.Grad()))

	var y *Tensor
	SavedTensorsHooks(func(t *Tensor) int { return 0 }, func(int) *Tensor { return nil }, func() { y = x.Mul(x) })
	require.ErrorContains(t, Try(func() { y.Sum().Backward() }), "unpack returned nil")
}

// settledClosures returns the number of closures once what earlier tests left to the collector is freed.
func settledClosures(t *testing.T) int {
	for range 3 {
		done := make(chan struct{})
		runtime.AddCleanup(&struct{ p *int }{new(int)}, func(done chan struct{}) { close(done) }, done)
		runtime.GC()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the collector runs no cleanup")
		}
		cgotorch.DrainClosures()
	}
	return cgotorch.Closures()
}
