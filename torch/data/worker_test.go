package data_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// The seeds of 64 workers on 64 ranks are all different, and Fabric's.
func TestWorkerSeeds(t *testing.T) {
	require.Equal(t, uint64(1), data.SeedOf(0, 0, 0))
	require.Equal(t, uint64(2645472128837983560), data.SeedOf(42, 0, 0))
	for _, base := range []uint64{0, 1, 42, 1<<63 - 1} {
		seen := map[uint64]bool{}
		for worker := range 64 {
			for rank := range 64 {
				seen[data.SeedOf(base, worker, rank)] = true
			}
		}
		require.Len(t, seen, 64*64, "base %d", base)
	}
}

// Workers begin with the seeds that PyTorch's have: of each, the seed and the first number drawn were recorded.
func TestWorkersSeedsArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/loader.json.gz")
	n := 0
	for _, c := range file.Cases {
		var r struct {
			Generator *uint64
			Workers   [][]struct {
				ID, Seed    int
				InitialSeed int `json:"initial_seed"`
				Rand        string
			}
		}
		if !strings.HasPrefix(c.Name, "workers/") {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			c.Decode(t, &r)
			torch.ManualSeed(c.Seed)
			var mu sync.Mutex
			type begun struct {
				seed uint64
				rand float64
			}
			got := map[int]begun{}
			o := data.Options{Workers: 2, WorkerInit: func(w *data.Worker) error {
				mu.Lock()
				defer mu.Unlock()
				got[w.ID] = begun{w.Generator.InitialSeed(), torch.Rand().Item()}
				return nil
			}}
			if r.Generator != nil {
				o.Generator = torch.NewGenerator(*r.Generator)
			}
			l := numberLoader(4, 1, o)
			for _, epoch := range r.Workers {
				for _, err := range l.Batches(ctx) {
					require.NoError(t, err)
				}
				for _, w := range epoch {
					require.Equal(t, uint64(w.InitialSeed), got[w.ID].seed)
					want, err := strconv.ParseFloat(w.Rand, 64)
					require.NoError(t, err)
					require.Equal(t, want, got[w.ID].rand)
				}
			}
			c.Equal(t, "next", bits(torch.Rand(4)))
		})
	}
	require.Equal(t, 2, n)
}

// drawing is an Iterable, and a data set, whose samples are drawn at random.
type drawing struct{ own bool }

func (d drawing) draw(ctx context.Context) float64 {
	if d.own {
		return data.WorkerFrom(ctx).Rand.Float64()
	}
	return torch.Rand().Item()
}

func (drawing) Len() int                                          { return 6 }
func (d drawing) Get(ctx context.Context, _ int) (float64, error) { return d.draw(ctx), nil }
func (d drawing) Shard(int, int) data.Iterable[float64]           { return d }
func (d drawing) Samples(ctx context.Context) iter.Seq2[float64, error] {
	return func(yield func(float64, error) bool) {
		for range 6 {
			if !yield(d.draw(ctx), nil) {
				return
			}
		}
	}
}

func floats(samples []float64) ([]float64, error) { return samples, nil }

// What two ranks draw differs, of a stream and of a data set, in a worker and in the loop; a rank draws the same again.
func TestRanksDrawDifferently(t *testing.T) {
	for _, c := range []struct {
		own     bool
		workers int
	}{{true, 0}, {true, 1}, {false, 1}} {
		for kind, loader := range map[string]*data.Loader[[]float64]{
			"stream":   data.NewIterableLoaderFunc(drawing{c.own}, 2, floats, data.Options{Workers: c.workers}),
			"data set": data.NewLoaderFunc(drawing{c.own}, 2, floats, data.Options{Workers: c.workers}),
		} {
			t.Run(fmt.Sprintf("%s, own %t, %d workers", kind, c.own, c.workers), func(t *testing.T) {
				draw := func(l *data.Loader[[]float64]) (all []float64) {
					torch.ManualSeed(3)
					for b, err := range l.Batches(ctx) {
						require.NoError(t, err)
						all = append(all, b...)
					}
					require.Len(t, all, 6)
					return all
				}
				r0, r1 := draw(loader.WithRank(0)), draw(loader.WithRank(1))
				for i := range r0 {
					require.NotEqual(t, r0[i], r1[i])
				}
				require.Equal(t, r1, draw(loader.WithRank(1)))
				require.Equal(t, draw(loader), draw(loader), "without a rank")
				require.NotEqual(t, draw(loader), r1)
			})
		}
	}
}

func TestWorkerInitThatFails(t *testing.T) {
	wrong := errors.New("no licence")
	for name, f := range map[string]func(*data.Worker) error{
		"error": func(*data.Worker) error { return wrong },
		"panic": func(*data.Worker) error { panic(wrong) },
	} {
		for kind, l := range map[string]*data.Loader[[]int]{
			"data set": numberLoader(6, 2, data.Options{Workers: 2, WorkerInit: f}),
			"stream":   data.NewIterableLoaderFunc(stream{0, 1}, 3, list, data.Options{Workers: 1, WorkerInit: f}),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				var got error
				for _, err := range l.Batches(ctx) {
					got = err
				}
				require.ErrorIs(t, got, wrong)
				require.ErrorContains(t, got, "WorkerInit")
			})
		}
	}
}

// badStream goes wrong after two samples.
type badStream struct{ how string }

func (s badStream) Samples(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range 2 {
			if !yield(i, nil) {
				return
			}
		}
		switch s.how {
		case "panic":
			panic("lost the line")
		case "error":
			yield(0, errors.New("lost the line"))
		case "hang":
			<-ctx.Done()
		}
	}
}

func TestAStreamThatGoesWrong(t *testing.T) {
	for _, workers := range []int{0, 1} {
		for _, how := range []string{"panic", "error", "hang"} {
			o := data.Options{Workers: workers}
			if how == "hang" {
				if workers == 0 {
					continue // the loop itself hangs then
				}
				o.Timeout = 50 * time.Millisecond
			}
			t.Run(fmt.Sprint(how, workers), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				n := 0
				var got error
				for _, err := range data.NewIterableLoaderFunc(badStream{how}, 2, list, o).Batches(ctx) {
					if got = err; err == nil {
						n++
					}
				}
				require.Equal(t, 1, n)
				var e *data.Error
				require.ErrorAs(t, got, &e)
				require.Equal(t, 1, e.Batch)
				if how == "hang" {
					require.ErrorIs(t, got, context.DeadlineExceeded)
				} else {
					require.ErrorContains(t, got, "lost the line")
				}
			})
		}
		t.Run(fmt.Sprint("the body panics", workers), func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			require.PanicsWithValue(t, "body", func() {
				for range data.NewIterableLoaderFunc(badStream{}, 2, list, data.Options{Workers: workers}).Batches(ctx) {
					panic("body")
				}
			})
		})
	}
}

// A stream is resumed by reading it again: what its worker draws for the rest is what it would have drawn.
func TestAStreamIsResumed(t *testing.T) {
	for _, c := range []struct {
		own     bool
		workers int
	}{{true, 0}, {true, 1}, {false, 1}} {
		loader := func() *data.Loader[[]float64] {
			return data.NewIterableLoaderFunc(drawing{c.own}, 2, floats, data.Options{Workers: c.workers}).WithRank(1)
		}
		torch.ManualSeed(4)
		var whole [][]float64
		var state map[string]any
		l := loader()
		for range 2 {
			for b, err := range l.Batches(ctx) {
				require.NoError(t, err)
				if whole = append(whole, b); len(whole) == 2 {
					state = l.StateDict()
				}
			}
		}
		torch.ManualSeed(4)
		torch.Options{DType: torch.Int64}.Empty().Random_() // what the pass had drawn when it was saved
		l = loader()
		require.NoError(t, l.LoadStateDict(state))
		var rest [][]float64
		for range 2 {
			for b, err := range l.Batches(ctx) {
				require.NoError(t, err)
				rest = append(rest, b)
			}
		}
		require.Equal(t, whole[2:], rest, "own %t, %d workers", c.own, c.workers)
	}
}
