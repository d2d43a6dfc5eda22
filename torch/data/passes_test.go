package data_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// Loops over one loader inside each other give, and leave in the generator, what PyTorch's iterators do.
func TestNestedPassesArePyTorchs(t *testing.T) {
	n := 0
	for _, c := range fixture.Open(t, "testdata/loader.json.gz").Cases {
		if !strings.HasPrefix(c.Name, "nested/") {
			continue
		}
		n++
		var r struct {
			N       int
			Batches [][]int
			Size    int `json:"batch_size"`
			Workers int `json:"num_workers"`
		}
		c.Decode(t, &r)
		torch.ManualSeed(c.Seed)
		l := numberLoader(r.N, r.Size, data.Options{Shuffle: true, Workers: r.Workers})
		var got [][]int
		for a, err := range l.Batches(ctx) {
			require.NoError(t, err)
			inner, err := pass(ctx, l)
			require.NoError(t, err)
			got = append(append(got, a), inner...)
		}
		require.Equal(t, r.Batches, got, c.Name)
		c.Equal(t, "next", bits(torch.Rand(4)))
	}
	require.Equal(t, 2, n)
}

// A checkpoint inside nested loops resumes the outer one.
func TestNestedPassesAreResumed(t *testing.T) {
	for stop := range 3 {
		torch.ManualSeed(2)
		l := numberLoader(7, 2, data.Options{Shuffle: true})
		var whole [][]int
		var state map[string]any
		var stream *torch.Tensor
		for a, err := range l.Batches(ctx) {
			require.NoError(t, err)
			whole = append(whole, a)
			for b, err := range l.Batches(ctx) {
				require.NoError(t, err)
				whole = append(whole, b)
			}
			if len(whole) == (stop+1)*5 {
				state, stream = l.StateDict(), torch.DefaultGenerator(torch.CPU).State()
			}
		}
		l = numberLoader(7, 2, data.Options{Shuffle: true})
		require.NoError(t, l.LoadStateDict(state))
		require.Equal(t, state["batches"], l.StateDict()["batches"], "before the pass is taken up")
		torch.DefaultGenerator(torch.CPU).SetState(stream)
		rest := whole[: (stop+1)*5 : (stop+1)*5]
		for a, err := range l.Batches(ctx) {
			require.NoError(t, err)
			rest = append(rest, a)
			for b, err := range l.Batches(ctx) {
				require.NoError(t, err)
				rest = append(rest, b)
			}
		}
		require.Equal(t, whole, rest)
		s := l.StateDict()
		require.Equal(t, true, s["ended"])
		require.Equal(t, 4, s["batches"], "of the outer pass")
	}
}

// A pass that was left in any way is over: the next one is whole, and is what a checkpoint tells of.
func TestALeftPassIsOver(t *testing.T) {
	for name, leave := range map[string]func(l *data.Loader[[]int]){
		"break": func(l *data.Loader[[]int]) {
			for range l.Batches(ctx) {
				break
			}
		},
		"panic": func(l *data.Loader[[]int]) {
			defer func() { recover() }()
			for range l.Batches(ctx) {
				panic("out")
			}
		},
		"goexit": func(l *data.Loader[[]int]) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range l.Batches(ctx) {
					runtime.Goexit()
				}
			}()
			<-done
		},
		"pulled": func(l *data.Loader[[]int]) {
			next, stop := iter.Pull2(l.Batches(ctx))
			next()
			stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := numberLoader(6, 2, data.Options{})
			leave(l)
			require.Equal(t, true, l.StateDict()["ended"])
			n := 0
			for range l.Batches(ctx) {
				n++
				require.Equal(t, n, l.StateDict()["batches"])
				require.Equal(t, 1, l.StateDict()["epoch"])
			}
			require.Equal(t, 3, n)
		})
	}
}

func TestZipRefusesALoaderTwice(t *testing.T) {
	l := numberLoader(4, 2, data.Options{})
	_, err := pass(ctx, data.Zip(l, l))
	require.ErrorContains(t, err, "make two loaders")
}

// The sizes at which counting goes wrong.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		n, size int
		o       data.Options
		want    []int // the batches' sizes
	}{
		{1, 1, data.Options{}, []int{1}},
		{1, 5, data.Options{Shuffle: true}, []int{1}},
		{3, 5, data.Options{}, []int{3}},
		{3, 5, data.Options{DropLast: true}, nil},
		{3, 3, data.Options{DropLast: true}, []int{3}},
		{4, 2, data.Options{}, []int{2, 2}},
		{5, 2, data.Options{}, []int{2, 2, 1}},
		{5, 2, data.Options{DropLast: true}, []int{2, 2}},
	} {
		for _, workers := range []int{0, 1, 2, 9} { // more workers than batches, too
			for prefetch := range 3 {
				o := c.o
				o.Workers, o.Prefetch = workers, prefetch
				l := numberLoader(c.n, c.size, o)
				require.Equal(t, len(c.want), l.Len())
				for range 2 {
					got, err := pass(ctx, l)
					require.NoError(t, err)
					var sizes []int
					for _, b := range got {
						sizes = append(sizes, len(b))
					}
					require.Equal(t, c.want, sizes, "%+v", c)
				}
			}
		}
	}
	for _, workers := range []int{0, 1} {
		got, err := pass(ctx, data.NewIterableLoaderFunc[int](empty{}, 2, list, data.Options{Workers: workers}))
		require.NoError(t, err)
		require.Empty(t, got, "a stream may have nothing")
	}
}

var errOutside = errors.New("no such sample")

type empty struct{}

func (empty) Samples(context.Context) iter.Seq2[int, error] { return func(func(int, error) bool) {} }

// growing is a data set whose length changes.
type growing struct{ n *int }

func (g growing) Len() int { return *g.n }
func (g growing) Get(_ context.Context, i int) (int, error) {
	if i >= *g.n {
		return 0, errOutside
	}
	return i, nil
}

// A loader's length is the data set's when the loader is made: what comes later isn't read, what went is the data set's
// error.
func TestADataSetWhoseLengthChanges(t *testing.T) {
	n := 4
	l := data.NewLoaderFunc(growing{&n}, 2, list)
	n = 6
	got, err := pass(ctx, l)
	require.NoError(t, err)
	require.Equal(t, [][]int{{0, 1}, {2, 3}}, got)
	n = 3
	got, err = pass(ctx, l)
	require.Equal(t, [][]int{{0, 1}}, got)
	require.ErrorIs(t, err, errOutside)
	require.ErrorContains(t, err, "batch 1, sample 3")
}

// TestGate: its error ends the pass as it is, and the batch that it held back counts as not given, of each of two
// zipped loaders as well.
func TestGate(t *testing.T) {
	for _, workers := range []int{0, 2} {
		closed, enough := false, errors.New("enough")
		gated := numberLoader(10, 2, data.Options{Workers: workers}).WithGate(func() error {
			if closed {
				return enough
			}
			return nil
		})
		state := func(l *data.Loader[[]int]) int { return l.StateDict()["batches"].(int) }
		n := 0
		for _, err := range gated.Batches(ctx) {
			if err != nil {
				require.Equal(t, enough, err, "as it is")
				break
			}
			n++
			closed = n == 3
		}
		require.Equal(t, 3, n)
		require.Equal(t, 3, state(gated))

		closed, n = false, 0
		other := numberLoader(10, 2, data.Options{Workers: workers})
		for _, err := range data.Zip(gated, other).Batches(ctx) {
			if err != nil {
				require.Equal(t, enough, err)
				break
			}
			n++
			closed = n == 2
		}
		require.Equal(t, []int{2, 2, 2}, []int{n, state(gated), state(other)})
	}
}
