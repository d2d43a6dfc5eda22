package cuda_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/cuda/gputest"
	F "github.com/golite/golite/torch/nn/functional"
)

// A recording that fails leaves libtorch as it was: random numbers are drawn on, memory that a side stream used is
// given back, and the next recording works.
func TestARecordingThatFailsLeavesNothingBehind(t *testing.T) {
	on := gputest.Need(t)
	torch.Scope(func() {
		x := on.Ones(1 << 20)
		_ = F.Dropout(x, 0.5, true).Sum().Item()
		for range 3 {
			g := cuda.NewGraph(0)
			err := g.Capture(func() { F.Dropout(x, 0.5, true).Sum().Item() })
			require.Error(t, err)
			require.NoError(t, g.Capture(func() { x.Add(x) }), "the same graph can be recorded then")
		}
		y := F.Dropout(x, 0.5, true)
		share := y.Eq(torch.Options{Device: on.Device}.Zeros()).Float().Mean().Item()
		require.InDelta(t, 0.5, share, 0.01, "dropout drops half, eagerly")

		before := cuda.MemoryStats(0).Active.Current
		side := cuda.NewStream(0)
		for range 20 {
			z := on.Ones(1 << 20)
			side.WaitStream(cuda.CurrentStream(0))
			cuda.WithStream(side, func() { z.Sum().Release() })
			side.Uses(z)
			z.Release()
		}
		cuda.Synchronize(0)
		on.Ones(8).Release() // the allocator looks at what is done when it is asked for memory
		require.Less(t, cuda.MemoryStats(0).Active.Current, before+4<<20, "what the side stream used is free")
	})
}

func TestGraphsAreRecordedAnewAfterReset(t *testing.T) {
	on := gputest.Need(t)
	torch.Scope(func() {
		x := on.Ones(4)
		var y *torch.Tensor
		g := cuda.NewGraph(0)
		require.NoError(t, g.Capture(func() { y = x.MulScalar(2).Keep() }))
		g.Replay()
		require.Equal(t, 8.0, y.Sum().Item())
		y.Release()
		g.Reset()
		require.NoError(t, g.Capture(func() { y = x.MulScalar(3).Keep() }))
		g.Replay()
		require.Equal(t, 12.0, y.Sum().Item())

		second := cuda.NewGraph(0)
		pool := g.Pool()
		require.NoError(t, second.Capture(func() { x.Add(x) }, cuda.CaptureOptions{Pool: pool}), "a shared pool")
		g.Reset()
		require.ErrorContains(t, cuda.NewGraph(0).Capture(func() {}, cuda.CaptureOptions{Pool: pool}), "was reset")
		require.ErrorContains(t, cuda.NewGraph(0).Capture(func() {},
			cuda.CaptureOptions{Generators: []*torch.Generator{torch.NewGenerator(1)}}), "a generator is one of cpu")
		nested := cuda.NewGraph(0).Capture(func() {
			require.ErrorContains(t, cuda.NewGraph(0).Capture(func() {}), "another graph is being recorded here")
			x.Add(x)
		})
		require.NoError(t, nested)
	})
}

func TestReplaysDrawAnew(t *testing.T) {
	on := gputest.Need(t)
	torch.Scope(func() {
		own := torch.NewGeneratorOn(on.Device, 7)
		x := on.Zeros(1000)
		var a, b *torch.Tensor
		draw := func() {
			a = F.Dropout(x.AddScalar(1), 0.5, true).Keep()
			b = torch.Options{Device: on.Device, Generator: own}.Rand(1000).Keep()
		}
		draw()
		g := cuda.NewGraph(0)
		require.NoError(t, g.Capture(draw, cuda.CaptureOptions{Generators: []*torch.Generator{own}}))
		g.Replay()
		a1, b1 := a.Clone(), b.Clone()
		g.Replay()
		require.False(t, a.Equal(a1))
		require.False(t, b.Equal(b1))
	})
}

func TestTheCaptureStreamIsNobodyElses(t *testing.T) {
	gputest.Need(t)
	s := cuda.CaptureStream(0)
	require.Equal(t, s, cuda.CaptureStream(0))
	for range 100 { // the pool has 32
		require.NotEqual(t, s, cuda.NewStream(0))
	}
	cuda.WithStream(s, func() { require.Equal(t, s, cuda.CurrentStream(0)) })
}

// Autograd runs a GPU's backward on threads of its own. Hooks run there, in Go, and their panics come back.
func TestHooksOfABackwardOnTheGPU(t *testing.T) {
	on := gputest.Need(t)
	torch.Scope(func() {
		x := on.Ones(8).RequiresGrad_(true)
		var lock sync.Mutex
		calls := 0
		x.MulScalar(3).RegisterHook(func(g *torch.Tensor) *torch.Tensor { return g })
		y := x.MulScalar(3)
		y.RegisterHook(func(g *torch.Tensor) *torch.Tensor {
			lock.Lock()
			defer lock.Unlock()
			calls++
			runtime.GC()
			return g.MulScalar(2)
		})
		y.Sum().Backward()
		require.Equal(t, 1, calls)
		require.Equal(t, 48.0, x.Grad().Sum().Item())
		z := x.MulScalar(1)
		z.RegisterHook(func(*torch.Tensor) *torch.Tensor { torch.Fail("my.Hook", "enough"); return nil })
		require.ErrorContains(t, torch.Try(func() { z.Sum().Backward() }), "enough")
		require.Equal(t, 8.0, on.Ones(8).Sum().Item(), "the device goes on")
	})
}

func TestPinnedMemoryAndCopiesThatDontWait(t *testing.T) {
	on := gputest.Need(t)
	torch.Scope(func() {
		x := torch.Arange(0, 1<<16, 1).Float()
		p := x.PinMemory()
		require.True(t, p.IsPinned())
		y := p.ToNonBlocking(on.Device)
		require.True(t, x.Equal(y.CPU()))
	})
}

func TestOutOfMemoryOfALargeProgram(t *testing.T) {
	on := gputest.Need(t)
	free, _ := cuda.MemoryInfo(0)
	var held []*torch.Tensor
	err := torch.Try(func() {
		for range 64 {
			held = append(held, torch.Options{Device: on.Device, DType: torch.UInt8}.Empty(int(free/16)).Keep())
		}
	})
	var te *torch.Error
	require.ErrorAs(t, err, &te)
	require.True(t, te.OutOfMemory)
	for _, h := range held {
		h.Release()
	}
	cuda.EmptyCache()
	torch.Scope(func() {
		require.NoError(t, torch.Try(func() { torch.Options{Device: on.Device, DType: torch.UInt8}.Empty(int(free / 2)) }),
			"the memory is there again")
	})
}
