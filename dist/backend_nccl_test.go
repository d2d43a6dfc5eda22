package dist_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

func TestAttachNCCLSaysWhyThereIsNone(t *testing.T) {
	path, why := cgotorch.CUDALibrary()
	if path != "" {
		t.Skip("skipped: libcgotorch_cuda.so is open")
	}
	world := dist.NewLocalWorld(1)
	defer world.Close()
	g, err := world.Group(t.Context(), 0)
	require.NoError(t, err)
	defer g.Close()
	require.ErrorContains(t, g.AttachNCCL(), why)
}

// onEachGPU runs f as goroutine ranks, one a device, with NCCL.
func onEachGPU(t *testing.T, f func(ctx context.Context, g *dist.Group, on torch.Options)) {
	t.Helper()
	n := cuda.DeviceCount()
	if n == 0 {
		t.Skip("skipped: no CUDA device")
	}
	world := dist.NewLocalWorld(n)
	defer world.Close()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for rank := range n {
		wg.Go(func() {
			torch.RunRank(func() {
				g, err := world.Group(t.Context(), rank)
				if errs[rank] = err; err != nil {
					return
				}
				defer g.Close()
				if errs[rank] = g.AttachNCCL(); errs[rank] != nil {
					return
				}
				cuda.WithDevice(rank, func() {
					errs[rank] = dist.Try(func() { f(t.Context(), g, torch.Options{Device: torch.CUDA(rank)}) })
				})
			})
		})
	}
	wg.Wait()
	for rank, err := range errs {
		require.NoError(t, err, "rank %d", rank)
	}
}

func TestNCCLCollectives(t *testing.T) {
	onEachGPU(t, func(_ context.Context, g *dist.Group, on torch.Options) {
		n := float64(g.Size())
		x := on.Full(float64(g.Rank()+1), 3)
		g.AllReduce(x, dist.Sum)
		if got := x.Index(0).Item(); got != n*(n+1)/2 {
			t.Errorf("rank %d: the sum is %v", g.Rank(), got)
		}
		all := g.AllGather(on.Full(float64(g.Rank()), 2))
		for r, part := range all {
			if got := part.Index(1).Item(); got != float64(r) {
				t.Errorf("rank %d: rank %d's part is %v", g.Rank(), r, got)
			}
		}
		g.Broadcast(x.Fill_(float64(g.Rank())), 0)
		if got := x.Index(2).Item(); got != 0 {
			t.Errorf("rank %d: rank 0's value is %v", g.Rank(), got)
		}
		// From a stream of its own.
		s := cuda.NewStream(g.Rank())
		s.WaitStream(cuda.CurrentStream(g.Rank()))
		cuda.WithStream(s, func() { g.AllReduce(x.Fill_(1), dist.Sum) })
		cuda.CurrentStream(g.Rank()).WaitStream(s)
		if got := x.Index(0).Item(); got != n {
			t.Errorf("rank %d: the second sum is %v", g.Rank(), got)
		}
		g.Barrier()
	})
}

func TestNCCLSubGroups(t *testing.T) {
	onEachGPU(t, func(_ context.Context, g *dist.Group, on torch.Options) {
		sub, err := g.Sub(0)
		if err != nil {
			t.Error(err)
			return
		}
		if g.Rank() == 0 {
			x := on.Ones(2)
			sub.AllReduce(x, dist.Sum)
			if got := x.Index(0).Item(); got != 1 {
				t.Errorf("the sum of one rank is %v", got)
			}
			sub.Close()
		}
		g.Barrier()
	})
}

// A rank whose group was aborted meets the reason in its next collective.
func TestNCCLAbort(t *testing.T) {
	onEachGPU(t, func(_ context.Context, g *dist.Group, on torch.Options) {
		g.AllReduce(on.Ones(2), dist.Sum)
		g.Barrier()
		g.Abort("enough")
		err := dist.Try(func() { g.AllReduce(on.Ones(2), dist.Sum) })
		if err == nil {
			t.Error("an aborted group goes on")
			return
		}
		require.ErrorContains(t, err, "enough")
	})
}

// Closing a group in good order lets what the devices were given end: nothing is aborted, though no rank has waited for
// it.
func TestNCCLCloseLetsWorksEnd(t *testing.T) {
	onEachGPU(t, func(ctx context.Context, g *dist.Group, on torch.Options) {
		all := make([]int, g.Size())
		for i := range all {
			all[i] = i
		}
		sub, err := g.Sub(all...)
		if err != nil {
			t.Error(err)
			return
		}
		a := on.Ones(4096, 4096)
		for range 20 { // the device is busy for a while
			a = a.MatMul(on.Ones(4096, 4096)).MulScalar(1. / 4096)
		}
		x := on.Ones(1 << 20)
		sub.AllReduce(x, dist.Sum)
		sub.Close()
		if got := x.Index(0).Item(); got != float64(g.Size()) {
			t.Errorf("rank %d: the sum is %v", g.Rank(), got)
		}
		g.Barrier()
	})
}
