package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/stacks"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch"
)

// abandonGrace is how long goroutine ranks may go on after one of them failed, before Launch returns without them.
const abandonGrace = 5 * time.Second

// Goroutines runs each rank as a goroutine of this process, with a default generator of its own, whose state is that of
// the process's. Its name is "goroutines".
type Goroutines struct{}

// Name returns "goroutines".
func (Goroutines) Name() string { return "goroutines" }

// rankEnd is the end of a goroutine rank.
type rankEnd struct {
	rank int
	err  error
}

// Launch runs the ranks. A goroutine can't be killed: ranks that do not end within 5 s of the failure of another are
// left running, and the error names them.
func (Goroutines) Launch(ctx context.Context, j *Job) error {
	n := len(j.Ranks)
	ctx, stop := WatchSignals(ctx, j.Log)
	defer stop.Close()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	world := dist.NewLocalWorld(n)
	defer world.Close()
	seed := torch.DefaultGenerator(torch.CPU).State()

	ends := make(chan rankEnd, n)
	for rank := range n {
		r := &Rank{Devices: j.Ranks[rank], Stop: stop, Placement: cluster.Placement{MainAddress: j.Placement.MainAddress,
			GlobalRank: rank, LocalRank: rank, WorldSize: n, LocalWorldSize: n}}
		r.Join = func(ctx context.Context, o dist.Options) (*dist.Group, error) { return world.Group(ctx, rank, o) }
		go func() {
			end := rankEnd{rank, errors.New("the rank's goroutine ended itself (runtime.Goexit)")}
			defer func() { ends <- end }()
			end.err = Try(func() error { return runGoroutine(ctx, j, r, seed) })
		}()
	}
	return awaitRanks(ctx, n, ends, abort)
}

// runGoroutine runs one rank. Its default generator starts in the state of the process's.
func runGoroutine(ctx context.Context, j *Job, r *Rank, seed *torch.Tensor) (err error) {
	own := torch.NewGenerator(0)
	own.SetState(seed)
	torch.WithGenerator(own, func() { err = j.Body(ctx, r) })
	return err
}

// awaitRanks waits for all ranks. When one has failed, or the context has ended, the others are freed from their
// collectives, and have a grace period to end in.
func awaitRanks(ctx context.Context, n int, ends <-chan rankEnd, abort context.CancelCauseFunc) error {
	var first, secondary error
	var absent []int
	var late <-chan time.Time
	cancelled := ctx.Done()
	running := map[int]bool{}
	for rank := range n {
		running[rank] = true
	}
	for len(running) > 0 {
		select {
		case e := <-ends:
			delete(running, e.rank)
			if e.err == nil || first != nil {
				continue
			}
			switch err := rankFailure(e); {
			case fromPeer(e.err):
				secondary = errors.Join(secondary, err) // the rank that caused it fails as well, or hangs
			case errors.Is(e.err, ErrStopped):
				first = ErrStopped
			case late != nil && errors.Is(e.err, context.Canceled):
				absent = append(absent, e.rank) // it was in no collective when the run was aborted
			default:
				first = err
			}
			if late == nil {
				late = time.After(abandonGrace)
			}
			abort(fmt.Errorf("rank %d failed: %w", e.rank, e.err))
		case <-cancelled:
			cancelled = nil
			if late == nil {
				late = time.After(abandonGrace)
			}
		case <-late:
			return stuckRanks(slices.Sorted(maps.Keys(running)), errors.Join(first, secondary), first != nil)
		}
	}
	switch {
	case first != nil:
		return first
	case len(absent) > 0 && secondary != nil:
		return &RankError{Rank: absent[0],
			Err: fmt.Errorf("did not join the collective that its peers are blocked in: %w", secondary)}
	case len(absent) > 0:
		return &RankError{Rank: absent[0], Err: context.Cause(ctx)}
	}
	return secondary
}

// stuckRanks is the error of a run that left ranks running. Where no other cause is known for what the others met
// (explained), it is the first of those.
func stuckRanks(left []int, others error, explained bool) error {
	stuck := fmt.Errorf("lite: ranks %v did not end within %v, and were left running: a goroutine can't be killed "+
		"(strategy \"ddp\" uses processes, which can)", left, abandonGrace)
	if explained {
		return errors.Join(others, stuck)
	}
	return &RankError{Rank: left[0], Err: errors.Join(stuck, others), Stack: stacks.All(1 << 20)}
}

// rankFailure names the rank. A run that was asked to stop gives ErrStopped as it is.
func rankFailure(e rankEnd) error {
	if errors.Is(e.err, ErrStopped) {
		return ErrStopped
	}
	var p *PanicError
	if errors.As(e.err, &p) {
		return &RankError{Rank: e.rank, Err: fmt.Errorf("panic: %v", p.Value), Stack: p.Stack}
	}
	return &RankError{Rank: e.rank, Err: e.err}
}

// fromPeer reports whether another rank caused an error.
func fromPeer(err error) bool {
	var re *dist.RankError
	return errors.As(err, &re)
}
