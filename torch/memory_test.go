package torch

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestTensorsOutsideScopesAreFreedByTheCollector(t *testing.T) {
	before := LiveTensors()
	for range 1000 {
		Ones(4)
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return LiveTensors() <= before+10
	}, 10*time.Second, time.Millisecond)
}

func TestLeaksAreFoundByOrigin(t *testing.T) {
	TrackOrigins(true)
	defer TrackOrigins(false)
	var kept []*Tensor
	Scope(func() {
		for range 7 {
			kept = append(kept, Ones(3).Keep()) // the leak
			Zeros(3)
		}
	})
	found := 0
	for place, n := range LiveByOrigin() {
		require.Contains(t, place, "memory_test.go:33")
		found += n
	}
	require.Equal(t, 7, found)
	runtime.KeepAlive(kept)
}

// Without gradients nothing but the scope holds an activation: large ones must go before it ends.
func TestLongScopesDontPileUpActivations(t *testing.T) {
	const mb = 1 << 20
	x, w := Randn(2*mb/4/512, 512), Randn(512, 512)
	Scope(func() {
		start := Memory(true).Live
		NoGrad(func() {
			y := x
			for range 100 { // 400 MiB in all
				y = y.MatMul(w).Tanh()
			}
		})
		require.Less(t, Memory(false).Peak-start, int64(48*mb))
	})
}

func TestReleasingWhileInUseIsAPanicOrWorks(t *testing.T) {
	for range 200 {
		x := Ones(64)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 20 {
					if err := Try(func() { x.Add(x).Release() }); err != nil && !strings.Contains(err.Error(), "released") {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(x.Release)
		wg.Wait()
	}
}

// A tensor that is released in the middle of an operation on it serves that to its end, and is freed then.
func TestReleasingWhileInUseFreesAtItsEnd(t *testing.T) {
	collectNow() // other tests' tensors are not to be counted
	live, bytes := LiveTensors(), Memory(false).Live
	for range 20 {
		x := Ones(400, 400).Keep()
		running := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			close(running)
			if err := Try(func() { Scope(func() { require.EqualValues(t, 400, x.MatMul(x).Index(0, 0).Item()) }) }); err != nil {
				require.ErrorContains(t, err, "released")
			}
		})
		<-running
		x.Release()
		require.True(t, x.Released())
		wg.Wait()
	}
	require.LessOrEqual(t, LiveTensors(), live)
	require.LessOrEqual(t, Memory(false).Live, bytes+1<<20)
}

func TestModesNeverLeakBetweenGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 30 {
				x := Options{RequiresGrad: true}.Ones(8)
				switch i % 4 {
				case 0:
					NoGrad(func() { require.False(t, x.MulScalar(2).RequiresGrad()) })
				case 1:
					InferenceMode(func() { require.True(t, x.MulScalar(2).IsInference()) })
				case 2:
					func() {
						defer func() { recover() }()
						NoGrad(func() { panic("out") })
					}()
				case 3:
					done := make(chan struct{})
					go func() {
						defer close(done)
						NoGrad(func() { runtime.Goexit() })
					}()
					<-done
				}
				require.True(t, GradEnabled())
				y := x.MulScalar(3).Sum()
				y.Backward()
				require.Equal(t, []float32{3, 3, 3, 3, 3, 3, 3, 3}, ToSlice[float32](x.Grad()))
			}
		})
	}
	wg.Wait()
}

func TestScopesCloseByToken(t *testing.T) {
	Scope(func() {
		outer := Ones(1)
		func() {
			defer func() { recover() }()
			Scope(func() {
				Ones(2)
				Scope(func() { panic("out") })
			})
		}()
		require.False(t, outer.Released())
		x := ScopeOf(func() []*Tensor { return []*Tensor{Ones(3), nil} })
		require.False(t, x[0].Released())
		outer = x[0]
		defer func() { require.False(t, outer.Released()) }()
	})
	done := make(chan int)
	go func() {
		defer close(done)
		Scope(func() {
			Ones(1)
			runtime.Goexit()
		})
	}()
	<-done
	var inner *Tensor
	Scope(func() {
		openScope(false) // never closed by its owner
		inner = Ones(5)
	})
	require.True(t, inner.Released())
}

func TestPool(t *testing.T) {
	p := NewPool(PoolOptions{Threads: 2, NoGrad: true})
	x := Options{RequiresGrad: true}.Ones(4)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := p.Do(t.Context(), func() { require.False(t, x.Add(x).RequiresGrad()) })
			require.NoError(t, err)
		})
	}
	wg.Wait()
	err := p.Do(t.Context(), func() { x.MatMul(Ones(3)) })
	var e *Error
	require.ErrorAs(t, err, &e)
	require.ErrorContains(t, p.Do(t.Context(), func() { panic("boom") }), "boom")
	p.Close()
	require.ErrorIs(t, p.Do(t.Context(), func() {}), ErrPoolClosed)
}

func TestScopeOfLeavesWhatBelongsElsewhere(t *testing.T) {
	kept := ScopeOf(func() *Tensor { return Ones(2).Keep() })
	Scope(func() {
		x := ScopeOf(func() []*Tensor { return []*Tensor{kept, Ones(3)} })
		require.False(t, x[0].Released())
		require.False(t, x[1].Released())
	})
	require.False(t, kept.Released())
}

// Reading a big tensor, whose memory may go back to the kernel, while another goroutine releases it.
func TestReadingWhileReleased(t *testing.T) {
	for range 40 {
		x := Ones(1 << 20)
		var wg sync.WaitGroup
		for _, read := range []func(){
			func() {
				for _, v := range ToSlice[float32](x) {
					if v != 1 {
						t.Errorf("read %v", v)
						return
					}
				}
			},
			func() { x.ToBytes() },
			func() {
				x.Bytes(func(b []byte) {
					for range 4 {
						if b[len(b)-2] != 0x80 || b[len(b)-1] != 0x3f {
							t.Error("the memory went away")
						}
						runtime.Gosched()
					}
				})
			},
		} {
			wg.Go(func() {
				if err := Try(read); err != nil && !strings.Contains(err.Error(), "released") {
					t.Error(err)
				}
			})
		}
		wg.Go(x.Release)
		wg.Wait()
	}
}

// A function that ends its goroutine costs the pool no thread, and its caller is told.
func TestPoolSurvivesGoexit(t *testing.T) {
	p := NewPool(PoolOptions{Threads: 1})
	defer p.Close()
	require.ErrorContains(t, p.Do(t.Context(), runtime.Goexit), "Goexit")
	for range 3 {
		require.NoError(t, p.Do(t.Context(), func() { Ones(2).Add(Ones(2)) }))
	}
}

// TestNoGoroutineIsLeft: the allocator's collections keep dropped tensors from piling up, and leave no goroutine that a
// user's test would take for leaked.
func TestNoGoroutineIsLeft(t *testing.T) {
	if os.Getenv("GOLITE_TEST_GOLEAK") == "" { // in a process of its own: other tests have goroutines
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoGoroutineIsLeft$")
		cmd.Env = append(os.Environ(), "GOLITE_TEST_GOLEAK=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	goleak.VerifyNone(t)
	for range 100 {
		Zeros(1 << 20)
	}
	goleak.VerifyNone(t)
	require.Less(t, Memory(false).Peak, int64(100<<20), "of 400 MB that were dropped")
}
