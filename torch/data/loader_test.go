package data_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func TestMain(m *testing.M) { fixture.Main(m) }

var ctx = context.Background()

// numbers is a data set whose samples are their own indices.
type numbers int

func (n numbers) Len() int                                { return int(n) }
func (numbers) Get(_ context.Context, i int) (int, error) { return i, nil }
func list(samples []int) ([]int, error)                   { return samples, nil }
func numberLoader(n, size int, o data.Options) *data.Loader[[]int] {
	return data.NewLoaderFunc(numbers(n), size, list, o)
}

type recorded struct {
	Kind       string
	N, Epochs  int
	Generator  *uint64
	BreakAfter *int `json:"break_after"`
	Sampler    *string
	Length     int
	Passes     [][][]int
	BatchSize  int  `json:"batch_size"`
	Shuffle    bool `json:"shuffle"`
	DropLast   bool `json:"drop_last"`
	Workers    int  `json:"num_workers"`
}

func bits(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

func TestBatchesArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/loader.json.gz")
	n := 0
	for _, c := range file.Cases {
		var r recorded
		c.Decode(t, &r)
		if r.Kind != "loader" {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			torch.ManualSeed(c.Seed)
			o := data.Options{Shuffle: r.Shuffle, DropLast: r.DropLast, Workers: r.Workers}
			if r.Generator != nil {
				o.Generator = torch.NewGenerator(*r.Generator)
			}
			if r.Sampler != nil {
				weights := make([]float64, r.N)
				for i := range weights {
					weights[i] = float64(i%3 + 1)
				}
				o.Sampler = sampler.NewWeightedRandom(weights, r.N, true, nil)
			}
			l := numberLoader(r.N, r.BatchSize, o)
			require.Equal(t, r.Length, l.Len())
			for epoch, want := range r.Passes {
				var got [][]int
				for b, err := range l.Batches(ctx) {
					require.NoError(t, err)
					got = append(got, b)
					if r.BreakAfter != nil && len(got) == *r.BreakAfter {
						break
					}
				}
				require.Len(t, got, len(want))
				if c.Has("order") {
					c.Equal(t, "order", bits(torch.From(slices.Concat(got...))))
				}
				for i := range want { // of a long batch only the beginning was recorded
					require.Equal(t, want[i], got[i][:min(32, len(got[i]))], "epoch %d, batch %d", epoch, i)
				}
				c.Equal(t, fmt.Sprint("next.", epoch), bits(torch.Rand(2)))
				if o.Generator != nil {
					c.Equal(t, fmt.Sprint("own_next.", epoch), bits(torch.Options{Generator: o.Generator}.Rand(2)))
				}
			}
		})
	}
	require.Equal(t, 17, n)
}

// noisy draws from every random source that a sample may use.
type noisy struct{ n int }

func (d noisy) Len() int { return d.n }
func (d noisy) Get(ctx context.Context, i int) (data.Example, error) {
	w := data.WorkerFrom(ctx)
	return data.Example{Input: torch.Rand(3), Target: torch.From([]float64{w.Rand.Float64(), float64(i)})}, nil
}

func run(t *testing.T, l *data.Loader[data.Example], f func(b data.Example) bool) {
	t.Helper()
	torch.RunRank(func() {
		for b, err := range l.Batches(ctx) {
			require.NoError(t, err)
			if !f(b) {
				return
			}
		}
	})
}

func TestWorkersDontChangeWhatASampleDraws(t *testing.T) {
	var want [][]float64
	for _, workers := range []int{1, 2, 4} {
		torch.ManualSeed(5)
		var got [][]float64
		run(t, data.NewLoader(noisy{20}, 3, data.Options{Shuffle: true, Workers: workers}), func(b data.Example) bool {
			got = append(got, torch.ToSlice[float64](b.Target), torch.ToSlice[float64](b.Input))
			return true
		})
		if want == nil {
			want = got
		}
		require.Equal(t, want, got, "%d workers", workers)
	}
}

func TestLoopBodyIsAScope(t *testing.T) {
	l := data.NewLoader(noisy{40}, 2, data.Options{Workers: 2, Prefetch: 2})
	var carried *torch.Tensor
	before := torch.LiveTensors()
	most := 0
	run(t, l, func(b data.Example) bool {
		carried = b.Input.View(-1).Clone()
		most = max(most, torch.LiveTensors()-before)
		return true
	})
	require.LessOrEqual(t, most, 2*2*5+6, "batches read ahead, and one body")
	require.LessOrEqual(t, torch.LiveTensors(), before)
	require.ErrorContains(t, torch.Try(func() { carried.Clone() }), "Keep()")
}

func TestLeavingTheLoopStopsWorkersAndClosesScopes(t *testing.T) {
	leaves := map[string]func(l *data.Loader[data.Example]){
		"break": func(l *data.Loader[data.Example]) {
			for range l.Batches(ctx) {
				break
			}
		},
		"panic": func(l *data.Loader[data.Example]) {
			defer func() { recover() }()
			for range l.Batches(ctx) {
				panic("out")
			}
		},
		"goexit": func(l *data.Loader[data.Example]) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				torch.RunRank(func() {
					for range l.Batches(ctx) {
						runtime.Goexit()
					}
				})
			}()
			<-done
		},
		"zip": func(l *data.Loader[data.Example]) {
			other := data.NewLoader(noisy{6}, 2, data.Options{Workers: 1})
			for p, err := range data.Zip(l, other).Batches(ctx) {
				require.NoError(t, err)
				require.Equal(t, []int{2, 3}, p.First.Input.Shape())
				break
			}
		},
		"two pulled": func(l *data.Loader[data.Example]) {
			a, stopA := iter.Pull2(l.Batches(ctx))
			b, stopB := iter.Pull2(data.NewLoader(noisy{6}, 2).Batches(ctx))
			defer stopB()
			defer stopA()
			for range 3 {
				x, err, ok := a()
				require.True(t, ok)
				require.NoError(t, err)
				y, err, ok := b()
				require.True(t, ok)
				require.NoError(t, err)
				torch.Scope(func() { require.Equal(t, x.Input.Shape(), y.Input.Shape()) })
			}
		},
	}
	for name, leave := range leaves {
		for _, workers := range []int{0, 2} {
			t.Run(fmt.Sprint(name, workers), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				l := data.NewLoader(noisy{100}, 2, data.Options{Workers: workers})
				torch.RunRank(func() { leave(l) })
				// Whatever was left open would now hold what is made here.
				x := torch.Ones(1)
				torch.Scope(func() {})
				require.False(t, x.Released())
			})
		}
	}
}

type broken struct{ how string }

func (broken) Len() int { return 6 }
func (b broken) Get(ctx context.Context, i int) (data.Example, error) {
	if i == 3 {
		switch b.how {
		case "error":
			return data.Example{}, errors.New("no such file")
		case "panic":
			panic("index out of range")
		case "hang":
			<-ctx.Done()
			return data.Example{}, ctx.Err()
		case "shape":
			return data.Example{Input: torch.Zeros(2), Target: torch.Zeros(1)}, nil
		}
	}
	return data.Example{Input: torch.Zeros(1), Target: torch.Zeros(1)}, nil
}

func TestWhatGoesWrongIsAnErrorOfTheLoop(t *testing.T) {
	for _, workers := range []int{0, 2} {
		for how, want := range map[string]string{
			"error": "batch 1, sample 3", "panic": "panic: index out of range", "hang": "Options.Timeout",
			"shape": "collate of the sample.Input",
		} {
			if how == "hang" && workers == 0 {
				continue
			}
			t.Run(fmt.Sprint(how, workers), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				o := data.Options{Workers: workers}
				if how == "hang" {
					o.Timeout = 50 * time.Millisecond
				}
				var got error
				n := 0
				for _, err := range data.NewLoader(broken{how}, 2, o).Batches(ctx) {
					if got = err; err == nil {
						n++
					}
				}
				require.ErrorContains(t, got, want)
				require.Equal(t, 1, n)
				var e *data.Error
				require.ErrorAs(t, got, &e)
				require.Equal(t, 1, e.Batch)
				if workers > 0 && how != "hang" {
					require.Contains(t, got.Error(), "worker")
				}
			})
		}
	}
}

func TestCancellingEndsTheLoop(t *testing.T) {
	for _, workers := range []int{0, 2} {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var got error
		for _, err := range data.NewLoader(noisy{1000}, 2, data.Options{Workers: workers}).Batches(ctx) {
			cancel()
			got = err
		}
		require.ErrorIs(t, got, context.Canceled)
	}
}

func TestWrongOptionsAreReported(t *testing.T) {
	type mixed struct {
		X    *torch.Tensor
		Name string
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"batch size of 0": {data.NewLoader(noisy{4}, 0).Err(), "batch size is 0"},
		"empty":           {data.NewLoader(noisy{0}, 2).Err(), "no samples"},
		"empty, shuffled": {data.NewLoader(noisy{0}, 2, data.Options{Shuffle: true}).Err(), "no samples to shuffle"},
		"sampler and shuffle": {data.NewLoader(noisy{4}, 2,
			data.Options{Shuffle: true, Sampler: sampler.NewSequential(4)}).Err(), "exclude each other"},
		"negative workers": {data.NewLoader(noisy{4}, 2, data.Options{Workers: -1}).Err(), "can't be negative"},
		"field": {func() error { _, err := data.Collate([]mixed{{torch.Ones(1), "a"}}); return err }(),
			"NewLoaderFunc"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, c.err, c.want) })
	}
	for _, err := range data.NewLoader(noisy{4}, 0).Batches(ctx) {
		require.ErrorContains(t, err, "batch size is 0")
	}
}

// A pass that was stopped anywhere and resumed gives the batches, and leaves the random numbers, of one that was not.
func TestResumeIsExactToTheBatch(t *testing.T) {
	for _, o := range []data.Options{
		{Shuffle: true}, {Shuffle: true, Workers: 3}, {}, {Shuffle: true, Generator: torch.NewGenerator(9)},
		{Sampler: sampler.NewWeightedRandom([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1}, 11, true, nil)},
	} {
		for stop := range 12 {
			if o.Generator != nil {
				o.Generator.ManualSeed(9)
			}
			torch.ManualSeed(7)
			var whole [][]int
			var state map[string]any
			var stream, own *torch.Tensor
			l := numberLoader(11, 3, o)
			var noise []float64
			for range 3 {
				for b, err := range l.Batches(ctx) {
					require.NoError(t, err)
					whole = append(whole, b)
					noise = append(noise, torch.Rand().Item()) // the model's dropout
					if len(whole) == stop {
						state, stream = l.StateDict(), torch.DefaultGenerator(torch.CPU).State()
						if o.Generator != nil {
							own = o.Generator.State()
						}
					}
				}
			}
			if stop == 0 {
				continue
			}
			torch.ManualSeed(rand.Uint64() & 0xffffffff)
			torch.DefaultGenerator(torch.CPU).SetState(stream)
			if own != nil {
				o.Generator.SetState(own)
			}
			l = numberLoader(11, 3, o)
			require.NoError(t, l.LoadStateDict(state))
			got := append([][]int{}, whole[:stop]...)
			again := append([]float64{}, noise[:stop]...)
			for range (len(whole)+3)/4 - (stop-1)/4 {
				for b, err := range l.Batches(ctx) {
					require.NoError(t, err)
					got = append(got, b)
					again = append(again, torch.Rand().Item())
				}
			}
			require.Equal(t, whole, got, "%+v stopped after %d", o, stop)
			require.Equal(t, noise, again, "%+v stopped after %d", o, stop)
		}
	}
}

func TestIterable(t *testing.T) {
	for _, workers := range []int{0, 1} {
		var got [][]int
		l := data.NewIterableLoaderFunc(stream{0, 1}, 3, list, data.Options{Workers: workers})
		require.Equal(t, -1, l.Len())
		for b, err := range l.Batches(ctx) {
			require.NoError(t, err)
			got = append(got, b)
		}
		require.Equal(t, [][]int{{0, 1, 2}, {3, 4, 5}, {6}}, got)
	}
	part, err := data.NewIterableLoaderFunc(stream{0, 1}, 3, list).Shard(1, 2)
	require.NoError(t, err)
	for b, err := range part.Batches(ctx) {
		require.NoError(t, err)
		require.Equal(t, []int{1, 3, 5}, b)
	}
	_, err = data.NewIterableLoaderFunc[int](struct{ data.Iterable[int] }{stream{0, 1}}, 3, list).Shard(1, 2)
	require.ErrorContains(t, err, "Shard(rank, replicas)")
}

type stream struct{ rank, replicas int }

func (s stream) Shard(rank, replicas int) data.Iterable[int] { return stream{rank, replicas} }
func (s stream) Samples(context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := s.rank; i < 7; i += s.replicas {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func TestBatchesOfTheLoopItselfOutliveTheBodyBefore(t *testing.T) {
	for _, workers := range []int{0, 1} {
		before := torch.LiveTensors()
		run(t, data.NewLoader(noisy{10}, 2, data.Options{Workers: workers}), func(b data.Example) bool {
			require.False(t, b.Input.Released())
			require.Equal(t, []int{2, 3}, b.Input.Clone().Shape())
			return true
		})
		torch.Scope(func() {
			run(t, data.NewLoader(noisy{10}, 2, data.Options{Workers: workers}), func(b data.Example) bool {
				require.Equal(t, []int{2, 3}, b.Input.Clone().Shape())
				return true
			})
		})
		require.LessOrEqual(t, torch.LiveTensors(), before)
	}
}
