package dist_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// noGoroutinesLeft returns what fails the test if there are more goroutines than now.
func noGoroutinesLeft(t *testing.T) func() {
	before := runtime.NumGoroutine()
	return func() {
		// one polls
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, time.Millisecond)
	}
}

// A group of one that is not used starts no goroutine, and answers what is asked of it without one.
func TestAloneUnused(t *testing.T) {
	before := runtime.NumGoroutine()
	g := dist.Alone(t.Context(), dist.Options{Timeout: 1})
	require.Equal(t, 0, g.Rank())
	require.Equal(t, 1, g.Size())
	require.EqualValues(t, 1, g.Timeout())
	require.True(t, g.InProcess())
	require.Empty(t, g.Pending())
	aborted, _ := g.Aborted()
	require.False(t, aborted)
	ran := false
	g.WithoutTimeout(func() { ran = true })
	require.True(t, ran)
	g.WithoutTimeout(nil)
	g.TranslateErrors(func() {})
	require.NoError(t, g.Leave())
	g.Close()
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	require.ErrorContains(t, torch.Try(func() { g.Barrier() }), "the group is closed")
	require.ErrorContains(t, torch.Try(func() { dist.Alone(t.Context(), dist.Options{}, dist.Options{}) }), "dist.Alone")
}

// Its collectives give what those of a world of one give, and Close leaves nothing behind.
func TestAloneCollectives(t *testing.T) {
	defer noGoroutinesLeft(t)()
	g := dist.Alone(t.Context())
	defer g.Close()
	require.Equal(t, []float32{3, 3}, floats(g.AllReduce(filled(3, 2), dist.Mean)))
	require.Equal(t, []float32{3, 3}, floats(g.AllGather(filled(3, 2))[0]))
	require.Equal(t, []int{7}, dist.AllGatherValues(g, 7))
	sub, err := g.Sub(0)
	require.NoError(t, err)
	require.Equal(t, []float32{2}, floats(sub.Broadcast(filled(2, 1), 0)))
	sub.Close()
	require.NoError(t, g.Leave())
}

// The end of its context, and an abort before the first collective, end it as they end any group.
func TestAloneEnds(t *testing.T) {
	defer noGoroutinesLeft(t)()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancelled := dist.Alone(ctx)
	defer cancelled.Close()
	cancel(errors.New("the end of a test"))
	require.ErrorContains(t, dist.Try(cancelled.Barrier), "the end of a test")

	aborted := dist.Alone(t.Context())
	defer aborted.Close()
	aborted.Abort("a test")
	require.ErrorContains(t, dist.Try(aborted.Barrier), "rank 0 aborted the group: a test")
}
