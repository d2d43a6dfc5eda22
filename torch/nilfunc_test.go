package torch_test

import (
	"context"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// A function that is nil is a *torch.Error that names who was given it.
func TestNilFunctions(t *testing.T) {
	x := torch.Ones(2).RequiresGrad_(true)
	for name, f := range map[string]func(){
		"torch.Scope":                           func() { torch.Scope(nil) },
		"torch.ScopeOf":                         func() { torch.ScopeOf[int](nil) },
		"torch.RunRank":                         func() { torch.RunRank(nil) },
		"torch.NoScope":                         func() { torch.NoScope(nil) },
		"torch.NoGrad":                          func() { torch.NoGrad(nil) },
		"torch.NoGradOf":                        func() { torch.NoGradOf[int](nil) },
		"torch.EnableGrad":                      func() { torch.EnableGrad(nil) },
		"torch.EnableGradOf":                    func() { torch.EnableGradOf[int](nil) },
		"torch.InferenceMode":                   func() { torch.InferenceMode(nil) },
		"torch.InferenceModeOf":                 func() { torch.InferenceModeOf[int](nil) },
		"torch.WithDevice":                      func() { torch.WithDevice(torch.CPU, nil) },
		"torch.WithNumThreads":                  func() { torch.WithNumThreads(1, nil) },
		"torch.WithDefaultDType":                func() { torch.WithDefaultDType(torch.Float32, nil) },
		"torch.WithGenerator":                   func() { torch.WithGenerator(nil, func() {}) },
		"torch.EachTensor":                      func() { torch.EachTensor(x, nil) },
		"Tensor.RegisterHook":                   func() { x.RegisterHook(nil) },
		"Tensor.RegisterPostAccumulateGradHook": func() { x.RegisterPostAccumulateGradHook(nil) },
		"torch.Function.Apply":                  func() { (&torch.Function{}).Apply(x) },
		"Tensor.Bytes":                          func() { x.Bytes(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var e *torch.Error
			require.ErrorAs(t, torch.Try(f), &e)
			require.Equal(t, name, e.Op)
		})
	}
	require.ErrorContains(t, torch.Try(nil), "nil")
	p := torch.NewPool(torch.PoolOptions{})
	defer p.Close()
	require.ErrorContains(t, p.Do(t.Context(), nil), "nil")
	var none context.Context
	require.ErrorContains(t, p.Do(none, func() {}), "no context")
}

// Close in a function of the pool would wait for its own end; it is an error of that function, and the pool goes on.
func TestPoolClosedByItsOwnFunction(t *testing.T) {
	p := torch.NewPool(torch.PoolOptions{Threads: 2})
	done := make(chan error, 1)
	go func() { done <- p.Do(context.Background(), p.Close) }()
	select {
	case err := <-done:
		require.ErrorContains(t, err, "torch.Pool.Close")
	case <-time.After(10 * time.Second):
		require.Fail(t, "Close inside of Do does not return")
	}
	require.NoError(t, p.Do(t.Context(), func() {}))
	p.Close()
	require.ErrorIs(t, p.Do(t.Context(), func() {}), torch.ErrPoolClosed)
}

// A function of the pool that hands it more work while all threads are taken runs it on its own.
func TestPoolDoInsideOfDo(t *testing.T) {
	p := torch.NewPool(torch.PoolOptions{Threads: 1})
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ran := 0
	require.NoError(t, p.Do(ctx, func() {
		ran++
		require.NoError(t, p.Do(ctx, func() { ran++ }))
		require.ErrorContains(t, p.Do(ctx, func() { torch.Ones(2).Add(torch.Ones(3)) }), "aten::add")
	}))
	require.Equal(t, 2, ran)
}

const manyThreads = "TORCH_TEST_THREADS"

// More goroutines in scopes than Go allows threads: an error of golite's, before Go ends the process.
func TestTooManyGoroutinesInScopes(t *testing.T) {
	if os.Getenv(manyThreads) != "" {
		crowd(t)
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTooManyGoroutinesInScopes$")
	c.Env = append(os.Environ(), manyThreads+"=1")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, strings.Contains(string(out), "PASS"), "%s", out)
}

// crowd holds 700 goroutines in scopes where Go allows 600 threads.
func crowd(t *testing.T) {
	debug.SetMaxThreads(600)
	var all sync.WaitGroup
	var in sync.WaitGroup
	leave := make(chan struct{})
	errs := make(chan error, 700)
	for range 700 {
		all.Add(1)
		in.Add(1)
		go func() {
			defer all.Done()
			arrived := false
			err := torch.Try(func() {
				torch.Scope(func() {
					torch.Ones(2)
					arrived = true
					in.Done()
					<-leave
				})
			})
			if !arrived {
				in.Done()
			}
			errs <- err
		}()
	}
	in.Wait()
	close(leave)
	all.Wait()
	refused := 0
	for range 700 {
		if err := <-errs; err != nil {
			require.ErrorContains(t, err, "torch.Pool")
			refused++
		}
	}
	require.Equal(t, 700-540, refused)
	torch.Scope(func() { require.Equal(t, 2.0, torch.Ones(2).Sum().Item()) })
}
