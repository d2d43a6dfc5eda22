package data_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// resumable is a loader of any kind whose batches are told as text.
type resumable struct {
	batches func() iter.Seq2[string, error]
	state   func() map[string]any
	load    func(map[string]any) error
	own     *torch.Generator
}

func told[B any](l *data.Loader[B], own *torch.Generator) resumable {
	return resumable{
		batches: func() iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for b, err := range l.Batches(ctx) {
					if !yield(fmt.Sprint(b), err) {
						return
					}
				}
			}
		},
		state: l.StateDict, load: l.LoadStateDict, own: own,
	}
}

// resumables are loaders of every kind.
var resumables = map[string]func() resumable{
	"in order": func() resumable { return told(numberLoader(11, 3, data.Options{}), nil) },
	"shuffled": func() resumable { return told(numberLoader(11, 3, data.Options{Shuffle: true}), nil) },
	"workers":  func() resumable { return told(numberLoader(11, 3, data.Options{Shuffle: true, Workers: 2}), nil) },
	"dropping": func() resumable {
		return told(numberLoader(11, 3, data.Options{Shuffle: true, DropLast: true}),
			nil)
	},
	"own generator": func() resumable { return ownGenerator(data.Options{Shuffle: true}) },
	"own, workers":  func() resumable { return ownGenerator(data.Options{Shuffle: true, Workers: 2}) },
	"zip":           func() resumable { return told(zippedLoader(0), nil) },
	"zip, workers":  func() resumable { return told(zippedLoader(2), nil) },
	"stream":        func() resumable { return told(data.NewIterableLoaderFunc(stream{0, 1}, 2, list), nil) },
	"stream, a worker": func() resumable {
		return told(data.NewIterableLoaderFunc(drawing{false}, 2, floats, data.Options{Workers: 1}), nil)
	},
	"zip of streams": func() resumable {
		return told(data.Zip(data.NewIterableLoaderFunc(stream{0, 1}, 2, list),
			numberLoader(11, 3, data.Options{Shuffle: true})), nil)
	},
	"distributed": func() resumable {
		return told(numberLoader(11, 3,
			data.Options{Sampler: sampler.NewDistributed(11, 2, 1, sampler.DistributedOptions{Seed: 4})}), nil)
	},
	"weighted": func() resumable {
		return told(numberLoader(11, 3,
			data.Options{Sampler: sampler.NewWeightedRandom([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1}, 11, true, nil)}), nil)
	},
	"batch sampler": func() resumable {
		return told(numberLoader(11, 0,
			data.Options{BatchSampler: sampler.NewShardBatches(sampler.NewBatch(sampler.NewRandom(11), 2, false), 2, 1, false)}),
			nil)
	},
}

func ownGenerator(o data.Options) resumable {
	o.Generator = torch.NewGenerator(9)
	return told(numberLoader(11, 3, o), o.Generator)
}

// passOf makes a pass, in which a model draws random numbers; at is called in each batch.
func passOf(t *testing.T, r resumable, at func()) (out []string) {
	t.Helper()
	for b, err := range r.batches() {
		require.NoError(t, err)
		out = append(out, b, fmt.Sprint(torch.Rand().Item()))
		if at != nil {
			at()
		}
	}
	return out
}

// checkpointOf is what is saved of a loader, with the default generator as lite saves it.
type checkpointOf struct {
	state  map[string]any
	stream []byte
}

func checkpoint(r resumable) checkpointOf {
	return checkpointOf{r.state(), torch.DefaultGenerator(torch.CPU).State().ToBytes()}
}

// resume makes a loader anew in another process, as it were.
func (c checkpointOf) resume(t *testing.T, kind string) resumable {
	t.Helper()
	torch.ManualSeed(rand.Uint64() & 0xffffffff)
	r := resumables[kind]()
	require.NoError(t, r.load(c.state))
	torch.DefaultGenerator(torch.CPU).SetState(torch.From(c.stream))
	return r
}

// A pass that had ended when the loader was saved is followed by the next one, which is what it would have been.
func TestAnEndedPassIsFollowedByAWholeOne(t *testing.T) {
	for kind := range resumables {
		t.Run(kind, func(t *testing.T) {
			torch.ManualSeed(7)
			r := resumables[kind]()
			var passes [][]string
			var saved []checkpointOf
			for range 4 {
				saved = append(saved, checkpoint(r)) // before the first pass as well
				passes = append(passes, passOf(t, r, nil))
				require.NotEmpty(t, passes[len(passes)-1])
			}
			for at, c := range saved {
				r := c.resume(t, kind)
				c = checkpointOf{r.state(), c.stream} // saved once more before a pass was begun
				r = c.resume(t, kind)
				for k, want := range passes[at:] {
					require.Equal(t, want, passOf(t, r, nil), "saved before pass %d, pass %d", at, at+k)
				}
			}
		})
	}
}

// A pass that was begun after a resume is saved and resumed as any other.
func TestPassesAfterAResumeAreResumed(t *testing.T) {
	for kind := range resumables {
		t.Run(kind, func(t *testing.T) {
			torch.ManualSeed(3)
			r := resumables[kind]()
			atStart := checkpoint(r)
			first := passOf(t, r, nil)
			afterFirst := checkpoint(r)
			second := passOf(t, r, nil)
			third := passOf(t, r, nil)
			for _, c := range []struct {
				from checkpointOf
				want []string
			}{{atStart, append(append(append([]string{}, first...), second...), third...)},
				{afterFirst, append(append([]string{}, second...), third...)}} {
				for stop := 1; stop <= 3; stop++ { // batches between two kills
					at, got := c.from, []string{}
					for tries := 0; len(got) < len(c.want); tries++ {
						require.Less(t, tries, 2*len(c.want), "passes without a batch")
						r := at.resume(t, kind)
						n := 0
						for b, err := range r.batches() {
							require.NoError(t, err)
							got = append(got, b, fmt.Sprint(torch.Rand().Item()))
							n++
							if at = checkpoint(r); n == stop {
								break
							}
						}
						if n < stop { // the pass ended
							at = checkpoint(r)
						}
						require.LessOrEqual(t, len(got), len(c.want))
					}
					require.Equal(t, c.want, got, "killed every %d batches", stop)
				}
			}
		})
	}
}

// A validation set that was walked to its end before a checkpoint in mid-epoch is walked whole after the resume.
func TestAValidationLoaderIsWholeAfterAResumeInMidEpoch(t *testing.T) {
	train := func() *data.Loader[[]int] { return numberLoader(12, 2, data.Options{Shuffle: true}) }
	valid := func() *data.Loader[[]int] { return numberLoader(5, 2, data.Options{}) }
	a, v := train(), valid()
	require.Len(t, passOf(t, told(v, nil), nil), 6)
	var states [2]map[string]any
	for range a.Batches(ctx) {
		states = [2]map[string]any{a.StateDict(), v.StateDict()}
		break
	}
	a, v = train(), valid()
	require.NoError(t, a.LoadStateDict(states[0]))
	require.NoError(t, v.LoadStateDict(states[1]))
	rest, err := pass(ctx, a)
	require.NoError(t, err)
	require.Len(t, rest, 5)
	whole, err := pass(ctx, v)
	require.NoError(t, err)
	require.Equal(t, [][]int{{0, 1}, {2, 3}, {4}}, whole)
}

// States that an earlier version wrote say how many batches a pass had given, and no more.
func TestStatesOfEarlierVersionsAreRead(t *testing.T) {
	earlier := func(s map[string]any) map[string]any {
		out := map[string]any{}
		for key, v := range s {
			switch key {
			case "replicas", "consumed", "seed":
			default:
				out[key] = v
			}
		}
		return out
	}
	torch.ManualSeed(5)
	l := numberLoader(11, 3, data.Options{Shuffle: true})
	var whole [][]int
	var state map[string]any
	for b, err := range l.Batches(ctx) {
		require.NoError(t, err)
		if whole = append(whole, b); len(whole) == 2 {
			state = earlier(l.StateDict())
		}
	}
	ended := earlier(l.StateDict())
	l = numberLoader(11, 3, data.Options{Shuffle: true})
	require.NoError(t, l.LoadStateDict(state))
	rest, err := pass(ctx, l)
	require.NoError(t, err)
	require.Equal(t, whole[2:], rest)
	l = numberLoader(11, 3, data.Options{Shuffle: true})
	require.NoError(t, l.LoadStateDict(ended))
	next, err := pass(ctx, l)
	require.NoError(t, err)
	require.Len(t, next, 4)
	require.Equal(t, 1, l.StateDict()["epoch"])
}

// With another batch size what is left is read in batches of that size.
func TestAnotherBatchSizeAfterAResume(t *testing.T) {
	torch.ManualSeed(5)
	l := numberLoader(11, 3, data.Options{Shuffle: true})
	var whole []int
	var state map[string]any
	for b, err := range l.Batches(ctx) {
		require.NoError(t, err)
		if whole = append(whole, b...); len(whole) == 6 {
			state = l.StateDict()
		}
	}
	l = numberLoader(11, 4, data.Options{Shuffle: true})
	require.NoError(t, l.LoadStateDict(state))
	rest, err := pass(ctx, l)
	require.NoError(t, err)
	require.Equal(t, [][]int{whole[6:10], whole[10:]}, rest)
}

func TestDamagedLoaderStatesAreRefused(t *testing.T) {
	l := numberLoader(11, 3, data.Options{Shuffle: true})
	for key, v := range map[string]any{"consumed": -1, "replicas": 0, "seed": "x", "batches": -1, "epoch": nil,
		"generator": 3} {
		s := midPass(numberLoader(11, 3, data.Options{Shuffle: true}))
		s[key] = v
		require.ErrorContains(t, l.LoadStateDict(s), "loader's state", key)
	}
	n := 0
	for range l.Batches(context.Background()) {
		n++
	}
	require.Equal(t, 4, n)
}
