package nn_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// tower is some blocks, which it may checkpoint.
type tower struct {
	nn.Base
	Blocks     []*nn.Sequential
	checkpoint bool
}

func newTower(n, width int, checkpoint bool) *tower {
	t := &tower{checkpoint: checkpoint}
	torch.WithGenerator(torch.NewGenerator(1), func() {
		for range n {
			t.Blocks = append(t.Blocks, nn.NewSequential(nn.NewLinear(width, 2*width), nn.NewReLU(), nn.NewDropout(0.3),
				nn.NewLinear(2*width, width)))
		}
	})
	return t
}

func (t *tower) Forward(x *torch.Tensor) *torch.Tensor {
	for _, b := range t.Blocks {
		forward := b.Forward
		if t.checkpoint {
			forward = torch.Checkpoint(forward)
		}
		x = x.Add(forward(x))
	}
	return x
}

// gradients trains one step and returns the gradients, and what the default generator draws next.
func (t *tower) gradients(setup func(f func())) (out [][]float32) {
	torch.WithGenerator(torch.NewGenerator(7), func() {
		torch.Scope(func() {
			x := torch.Randn(4, 8).RequiresGrad_(true)
			var loss *torch.Tensor
			setup(func() { loss = t.Forward(x).To(torch.Float32).Mul(torch.Randn(4, 8)).Sum() })
			loss.Backward()
			for _, p := range nn.Parameters(t) {
				out = append(out, torch.ToSlice[float32](p.Grad().View(-1)))
			}
			out = append(out, torch.ToSlice[float32](x.Grad().View(-1)), torch.ToSlice[float32](torch.Randn(3)))
		})
	})
	return out
}

// Dropout draws the same the second time, in the types that autocast chose the first time, and the streams go on as
// without a checkpoint.
func TestCheckpointComputesTheSameBits(t *testing.T) {
	for name, setup := range map[string]func(f func()){
		"plain":    func(f func()) { f() },
		"autocast": func(f func()) { amp.Autocast(torch.CPUType, torch.BFloat16, f) },
		"dtype":    func(f func()) { torch.WithDefaultDType(torch.Float64, f) },
		"pinned":   func(f func()) { torch.SaveOnCPU(f, torch.SaveOnCPUOptions{PinMemory: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, newTower(3, 8, false).gradients(setup), newTower(3, 8, true).gradients(setup))
		})
	}
}

// A generator that the function is given is kept where it is named.
func TestCheckpointKeepsNamedGenerators(t *testing.T) {
	torch.Scope(func() {
		for _, named := range []bool{true, false} {
			g := torch.NewGenerator(3)
			var drawn [][]float32
			var o torch.CheckpointOptions
			if named {
				o.Generators = []*torch.Generator{g}
			}
			x := leafOf(1, 2)
			y := torch.Checkpoint(func(x *torch.Tensor) *torch.Tensor {
				noise := torch.Options{Generator: g}.Randn(2)
				drawn = append(drawn, torch.ToSlice[float32](noise))
				return x.Mul(noise).Exp()
			}, o)(x)
			y.Sum().Backward()
			require.Len(t, drawn, 2)
			if named {
				require.Equal(t, drawn[0], drawn[1])
			} else {
				require.NotEqual(t, drawn[0], drawn[1])
			}
		}
	})
}

// Goroutine ranks that checkpoint at the same time each have their own streams and frames.
func TestCheckpointsOfSeveralGoroutines(t *testing.T) {
	plain := func(f func()) { f() }
	want := newTower(2, 8, false).gradients(plain)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			torch.RunRank(func() {
				for range 10 {
					if got := newTower(2, 8, true).gradients(plain); !equal(want, got) {
						panic("a checkpoint computed other gradients")
					}
				}
			})
		})
	}
	all.Wait()
}

func equal(a, b [][]float32) bool {
	for i := range a {
		for k := range a[i] {
			if a[i][k] != b[i][k] {
				return false
			}
		}
	}
	return len(a) == len(b)
}

// Functions of other types are called by reflection: lists, values that are no tensors, missing tensors, several
// results.
func TestCheckpointOfAnyFunction(t *testing.T) {
	torch.Scope(func() {
		x, y := leafOf(2), leafOf(3)
		sum, list, n := torch.Checkpoint(func(by float64, none *torch.Tensor, in ...*torch.Tensor) (*torch.Tensor,
			[]*torch.Tensor, int) {
			if none != nil {
				panic("a missing tensor is there")
			}
			return in[0].Mul(in[1]).MulScalar(by), []*torch.Tensor{in[0].Exp()}, len(in)
		})(10, nil, x, y)
		require.Equal(t, 2, n)
		sum.Sum().Add(list[0].Sum().MulScalar(0)).Backward()
		require.Equal(t, []float32{30}, torch.ToSlice[float32](x.Grad()))
		require.Equal(t, []float32{20}, torch.ToSlice[float32](y.Grad()))
	})
	require.ErrorContains(t, torch.Try(func() { torch.Checkpoint(3) }), "want a function, got a int")
}

// What a checkpoint leaves after Backward, and after a graph that was dropped, is nothing.
func TestCheckpointsLeaveNothing(t *testing.T) {
	net := newTower(3, 8, true)
	step := func(backward bool) {
		torch.Scope(func() {
			loss := net.Forward(torch.Ones(2, 8)).Sum()
			if backward {
				loss.Backward()
			}
		})
		cgotorch.DrainClosures()
	}
	step(true)
	closures := settledClosures(t)
	tensors := torch.LiveTensors()
	for i := range 20 {
		step(i%2 == 0)
	}
	require.Equal(t, tensors, torch.LiveTensors())
	require.Equal(t, closures, cgotorch.Closures())
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
