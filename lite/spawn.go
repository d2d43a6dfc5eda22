package lite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
)

// spawnGrace is how long goroutine ranks may go on after one of them failed, before Run leaves them.
const spawnGrace = 5 * time.Second

// rankEnd is how a goroutine rank ended.
type rankEnd struct {
	rank int
	err  error
}

// runGoroutines runs each rank as a goroutine of this process.
func (j *job) runGoroutines(ctx context.Context) error {
	n := len(j.plan.devices)
	ctx, stop := watchSignals(ctx, j.log)
	defer stop.close()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	world := dist.NewLocalWorld(n)
	defer world.Close()
	seed := torch.DefaultGenerator(torch.CPU).State()

	ends := make(chan rankEnd, n)
	for rank := range n {
		go func() {
			end := rankEnd{rank, errors.New("the rank's goroutine ended itself (runtime.Goexit)")}
			defer func() { ends <- end }()
			end.err = guard(func() error { return j.goroutineRank(ctx, world, rank, seed, stop) })
		}()
	}
	return j.awaitRanks(ctx, n, ends, abort)
}

// goroutineRank is one rank's life. Its default generator begins as the process's is.
func (j *job) goroutineRank(ctx context.Context, world *dist.LocalWorld, rank int, seed *torch.Tensor, stop *stopper) (err error) {
	own := torch.NewGenerator(0)
	own.SetState(seed)
	torch.WithGenerator(own, func() {
		var g *dist.Group
		if g, err = world.Group(ctx, rank, j.groupOptions()); err != nil {
			return
		}
		defer g.Close()
		if err = attach(g, j.plan.accelerator); err != nil {
			return
		}
		err = leave(g, j.rank(ctx, rankSpec{
			place:  place{global: rank, local: rank, world: world.Size(), localWorld: world.Size()},
			device: j.plan.devices[rank], group: g, stop: stop,
		}))
	})
	return err
}

// awaitRanks waits for all ranks. When one has failed, or the context has ended, the others are freed from their
// collectives, and get a grace period.
func (j *job) awaitRanks(ctx context.Context, n int, ends <-chan rankEnd, abort context.CancelCauseFunc) error {
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
				secondary = errors.Join(secondary, err) // whoever caused it will tell, or hangs
			case errors.Is(e.err, ErrStopped):
				first = ErrStopped
			case late != nil && errors.Is(e.err, context.Canceled):
				absent = append(absent, e.rank) // it waited for nobody, and heard that the run is over
			default:
				first = err
			}
			if late == nil {
				late = time.After(spawnGrace)
			}
			abort(fmt.Errorf("rank %d failed: %w", e.rank, e.err))
		case <-cancelled:
			cancelled = nil
			if late == nil {
				late = time.After(spawnGrace)
			}
		case <-late:
			return stuckRanks(slices.Sorted(maps.Keys(running)), errors.Join(first, secondary), first != nil)
		}
	}
	switch {
	case first != nil:
		return first
	case len(absent) > 0 && secondary != nil:
		return &RankError{Rank: absent[0], Err: fmt.Errorf("did not join the collective that its peers are blocked in: %w", secondary)}
	case len(absent) > 0:
		return &RankError{Rank: absent[0], Err: context.Cause(ctx)}
	}
	return secondary
}

// stuckRanks is the error of a run that left ranks behind. Where nothing else is the cause of what the others met, it is
// the first of those.
func stuckRanks(left []int, others error, explained bool) error {
	stuck := fmt.Errorf("lite: ranks %v did not end within %v, and were left running: a goroutine can't be killed (strategy \"ddp\" uses processes, which can)",
		left, spawnGrace)
	if explained {
		return errors.Join(others, stuck)
	}
	return &RankError{Rank: left[0], Err: errors.Join(stuck, others), Stack: text.Stacks(1 << 20)}
}

// rankFailure names the rank. A run that was asked to stop gives ErrStopped as it is.
func rankFailure(e rankEnd) error {
	if errors.Is(e.err, ErrStopped) {
		return ErrStopped
	}
	var p *panicError
	if errors.As(e.err, &p) {
		return &RankError{Rank: e.rank, Err: fmt.Errorf("panic: %v", p.value), Stack: p.stack}
	}
	return &RankError{Rank: e.rank, Err: e.err}
}

// fromPeer tells an error that another rank caused.
func fromPeer(err error) bool {
	var re *dist.RankError
	return errors.As(err, &re)
}
