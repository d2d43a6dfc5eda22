package data_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

type pairs = data.Pair[[]int, []int]

// zippedLoader walks 11 and 9 shuffled numbers, in batches of 2: 5 pairs a pass.
func zippedLoader(workers int) *data.Loader[pairs] {
	a := numberLoader(11, 2, data.Options{Shuffle: true, Workers: workers})
	return data.Zip(a, numberLoader(9, 2, data.Options{Shuffle: true, Workers: workers}))
}

// A Zip that was stopped anywhere in a pass and resumed gives the pairs, and leaves the random numbers, of one that was
// not.
func TestZipIsResumedInMidPass(t *testing.T) {
	const passes, length = 3, 5
	for _, workers := range []int{0, 2} {
		torch.ManualSeed(7)
		var whole []pairs
		var noise []float64
		var states []map[string]any
		var streams []*torch.Tensor
		l := zippedLoader(workers)
		require.Equal(t, length, l.Len())
		root(func() {
			for range passes {
				for p, err := range l.Batches(ctx) {
					require.NoError(t, err)
					whole = append(whole, p)
					noise = append(noise, torch.Rand().Item())
					torch.NoScope(func() {
						states, streams = append(states, l.StateDict()), append(streams, torch.DefaultGenerator(torch.CPU).State())
					})
				}
			}
		})
		require.Len(t, whole, passes*length)
		for at := range whole {
			t.Run(fmt.Sprintf("workers %d, after %d", workers, at+1), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				torch.ManualSeed(rand.Uint64() & 0xffffffff)
				torch.DefaultGenerator(torch.CPU).SetState(streams[at])
				l := zippedLoader(workers)
				require.NoError(t, l.LoadStateDict(states[at]))
				got, again := whole[:at+1:at+1], noise[:at+1:at+1]
				root(func() {
					for range passes - at/length {
						for p, err := range l.Batches(ctx) {
							require.NoError(t, err)
							got, again = append(got, p), append(again, torch.Rand().Item())
						}
					}
				})
				require.Equal(t, whole, got)
				require.Equal(t, noise, again)
			})
		}
	}
}

// root is what lite.Run is to a rank: a locked thread with a generator of its own, and scopes around.
func root(f func()) { torch.RunRank(func() { torch.Scope(f) }) }

// midPass is a loader's state in the first batch of a pass.
func midPass[B any](l *data.Loader[B]) (state map[string]any) {
	for range l.Batches(ctx) {
		state = l.StateDict()
		break
	}
	return state
}

// A loader that is resumed can be pulled as well: whoever pulls holds another goroutine than the loop does.
func TestAResumedLoaderCanBePulled(t *testing.T) {
	state := midPass(numberLoader(10, 2, data.Options{Shuffle: true}))
	again := numberLoader(10, 2, data.Options{Shuffle: true})
	require.NoError(t, again.LoadStateDict(state))
	root(func() {
		next, stop := iter.Pull2(again.Batches(ctx))
		defer stop()
		for range 4 {
			_, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
		}
		_, _, ok := next()
		require.False(t, ok)
	})
}

// A state that doesn't fit changes nothing, of either loader.
func TestZipRefusesAStateAsAWhole(t *testing.T) {
	state := midPass(zippedLoader(0))
	delete(state, "loader1")
	other := zippedLoader(0)
	require.ErrorContains(t, other.LoadStateDict(state), "none for loader 1")
	n := 0
	for range other.Batches(ctx) {
		n++
	}
	require.Equal(t, 5, n, "a whole pass")
}

// A sampler that panics while its order is drawn again leaves the default generator as the checkpoint did.
func TestASamplerThatPanicsGivesTheGeneratorBack(t *testing.T) {
	fails := false
	l := numberLoader(6, 2, data.Options{Sampler: panicking{&fails}})
	require.NoError(t, l.LoadStateDict(midPass(l)))
	fails = true
	before := torch.DefaultGenerator(torch.CPU).State().ToBytes()
	require.PanicsWithValue(t, "no order", func() {
		for range l.Batches(ctx) {
			continue
		}
	})
	require.Equal(t, before, torch.DefaultGenerator(torch.CPU).State().ToBytes())
}

type panicking struct{ fails *bool }

func (panicking) Len() int { return 6 }
func (p panicking) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range sampler.NewRandom(6).Indices() {
			if *p.fails {
				panic("no order")
			}
			if !yield(i) {
				return
			}
		}
	}
}
