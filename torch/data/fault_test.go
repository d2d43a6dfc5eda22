package data_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// within fails the test where f takes longer. What f left behind may hang for ever, so it isn't waited for.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		require.FailNow(t, "hangs", "after %v", limit)
	}
}

// pass makes one pass, and returns the batches and the error that it ended with.
func pass[B any](ctx context.Context, l *data.Loader[B]) (got []B, err error) {
	for b, e := range l.Batches(ctx) {
		if e != nil {
			err = e
			continue
		}
		got = append(got, b)
	}
	return got, err
}

// fault is a data set, and an Iterable, that calls a function in place of giving sample 3.
type fault struct{ do func() }

func (fault) Len() int { return 12 }
func (f fault) Get(_ context.Context, i int) (int, error) {
	if i == 3 {
		f.do()
	}
	return i, nil
}

func (f fault) Samples(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range 12 {
			if n, err := f.Get(ctx, i); !yield(n, err) {
				return
			}
		}
	}
}

// A worker that heeds nothing is left behind: the loop has the timeout's error, or what else ended it, and goes on.
func TestAWorkerThatIsStuckIsLeftBehind(t *testing.T) {
	defer data.SetStopGrace(100 * time.Millisecond)()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, how := range []string{"timeout", "cancelled", "break"} {
		release := make(chan struct{})
		stuck := fault{func() { <-release }}
		o := data.Options{Workers: 1}
		if how == "timeout" {
			o.Timeout = 100 * time.Millisecond
		}
		for kind, l := range map[string]*data.Loader[[]int]{
			"data set": data.NewLoaderFunc(stuck, 2, list, o),
			"stream":   data.NewIterableLoaderFunc(stuck, 2, list, o),
		} {
			t.Run(how+" "+kind, func(t *testing.T) {
				within(t, 5*time.Second, func() {
					ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
					defer cancel()
					var got error
					n := 0
					for _, err := range l.Batches(ctx) {
						if got = err; err == nil {
							n++
						}
						if how == "break" {
							break
						}
					}
					require.Equal(t, 1, n)
					if how != "break" {
						require.ErrorIs(t, got, context.DeadlineExceeded)
					}
					if how == "timeout" {
						require.ErrorContains(t, got, "data: batch 1: no batch within 100ms (Options.Timeout)")
					}
				})
			})
		}
		close(release) // those left behind end
	}
}

func TestATimeoutNeedsWorkers(t *testing.T) {
	o := data.Options{Timeout: time.Minute}
	for _, err := range []error{numberLoader(4, 2, o).Err(), data.NewIterableLoaderFunc(stream{0, 1}, 2, list, o).Err()} {
		require.ErrorContains(t, err, "a Timeout of 1m0s needs Workers")
	}
}

// Whatever a worker's code does to its goroutine, wherever it does so, is an error of the loop that says where.
func TestAWorkerThatDiesIsAnErrorOfTheLoop(t *testing.T) {
	wrong := errors.New("lost the disk")
	deaths := map[string]struct {
		die  func()
		want error
	}{"panic": {func() { panic(wrong) }, wrong}, "goexit": {runtime.Goexit, data.ErrGoexit}}
	for how, d := range deaths {
		for _, where := range []string{"WorkerInit", "Get", "collate", "transfer"} {
			for kind := range 2 {
				t.Run(fmt.Sprint(how, " in ", where, " ", []string{"data set", "stream"}[kind]), func(t *testing.T) {
					defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
					l := dying(where, d.die, kind)
					within(t, 10*time.Second, func() {
						got, err := pass(ctx, l)
						require.ErrorIs(t, err, d.want)
						require.ErrorContains(t, err, "fault_test.go", "where it died")
						var e *data.Error
						require.ErrorAs(t, err, &e)
						require.GreaterOrEqual(t, e.Worker, 0)
						if where == "WorkerInit" {
							require.ErrorContains(t, err, "WorkerInit")
							require.Empty(t, got)
							return
						}
						require.Equal(t, [][]int{{0, 1}}, got)
						require.Equal(t, 1, e.Batch)
						if where == "Get" && kind == 0 {
							require.Equal(t, 3, e.Index)
						}
					})
				})
			}
		}
	}
}

// dying makes a loader whose second batch, or whose workers, call die.
func dying(where string, die func(), kind int) *data.Loader[[]int] {
	at := func(place string, now bool) {
		if place == where && now {
			die()
		}
	}
	ds := fault{func() { at("Get", true) }}
	collate := func(s []int) ([]int, error) { at("collate", s[0] == 2); return s, nil }
	o := data.Options{Workers: 2 - kind, WorkerInit: func(*data.Worker) error { at("WorkerInit", true); return nil }}
	l := data.NewLoaderFunc(ds, 2, collate, o)
	if kind == 1 {
		l = data.NewIterableLoaderFunc(ds, 2, collate, o)
	}
	return l.WithTransfer(func(_ context.Context, b *[]int) (func(), error) {
		at("transfer", (*b)[0] == 2)
		return nil,
			nil
	})
}

// One worker of several that exits before its first sample must not leave its share unread.
func TestAWorkerThatExitsAloneIsAnErrorOfTheLoop(t *testing.T) {
	within(t, 10*time.Second, func() {
		var once sync.Once
		l := numberLoader(400, 1, data.Options{Workers: 3, WorkerInit: func(*data.Worker) error {
			once.Do(runtime.Goexit)
			return nil
		}})
		got, err := pass(ctx, l)
		require.ErrorIs(t, err, data.ErrGoexit)
		require.Less(t, len(got), 400)
	})
}

// gone gives tensors of a scope that has ended.
type gone struct{}

func (gone) Len() int { return 4 }
func (gone) Get(context.Context, int) (x *torch.Tensor, err error) {
	torch.Scope(func() { x = torch.Ones(1) })
	return x, nil
}

// Samples that were released are an error of the loop.
func TestReleasedSamplesAreAnErrorOfTheLoop(t *testing.T) {
	for _, workers := range []int{0, 1} {
		within(t, 10*time.Second, func() {
			got, err := pass(ctx, data.NewLoader[*torch.Tensor](gone{}, 2, data.Options{Workers: workers}))
			require.Empty(t, got)
			require.ErrorContains(t, err, "Keep()")
		})
	}
}

// A stream that never looks at its context ends with it all the same.
func TestCancellingEndsAStream(t *testing.T) {
	for _, workers := range []int{0, 1} {
		within(t, 10*time.Second, func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			var got error
			for _, err := range data.NewIterableLoader[*torch.Tensor](endless{}, 2,
				data.Options{Workers: workers}).Batches(ctx) {
				cancel()
				got = err
			}
			require.ErrorIs(t, got, context.Canceled)
		})
	}
}
