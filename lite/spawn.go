package lite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/golite/golite/ddp"
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
	ctx, stop := watchSignals(ctx)
	defer stop.close()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	hub := ddp.NewHub(n)
	defer hub.Close()
	seed := torch.DefaultGenerator(torch.CPU).State()

	ends := make(chan rankEnd, n)
	for rank := range n {
		go func() {
			end := rankEnd{rank, errors.New("the rank's goroutine ended itself (runtime.Goexit)")}
			defer func() { ends <- end }()
			end.err = guard(func() error { return j.goroutineRank(ctx, hub, rank, seed, stop) })
		}()
	}
	return j.awaitRanks(n, ends, abort)
}

// goroutineRank is one rank's life. Its default generator begins as the process's is.
func (j *job) goroutineRank(ctx context.Context, hub *ddp.Hub, rank int, seed *torch.Tensor, stop *stopper) (err error) {
	own := torch.NewGenerator(0)
	own.SetState(seed)
	torch.WithGenerator(own, func() {
		var g *ddp.Group
		if g, err = hub.Group(ctx, rank, ddp.Options{Timeout: j.plan.timeout}); err != nil {
			return
		}
		defer g.Close()
		var others *peers
		if others, err = j.newPeers(g); err != nil {
			return
		}
		err = j.rank(ctx, rankSpec{
			place:  place{global: rank, local: rank, world: hub.Size(), localWorld: hub.Size()},
			device: j.plan.devices[rank], peers: others, stop: stop,
		})
	})
	return err
}

// awaitRanks waits for all ranks. When one has failed the others are freed from their collectives, and get a grace period.
func (j *job) awaitRanks(n int, ends <-chan rankEnd, abort context.CancelCauseFunc) error {
	var first, secondary error
	var late <-chan time.Time
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
			err := rankFailure(e)
			if fromPeer(e.err) && len(running) > 0 {
				secondary = errors.Join(secondary, err) // whoever caused it will tell, or hangs
			} else {
				first = err
			}
			if late == nil {
				late = time.After(spawnGrace)
			}
			abort(fmt.Errorf("rank %d failed: %w", e.rank, e.err))
		case <-late:
			left := keysOf(running)
			stuck := fmt.Errorf("lite: ranks %v did not end within %v after a failure, and were left running: a goroutine can't be killed (strategy \"ddp\" uses processes, which can)\n%s",
				left, spawnGrace, allStacks())
			return errors.Join(first, secondary, stuck)
		}
	}
	if first == nil {
		first = secondary
	}
	return first
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
	var re *ddp.RankError
	return errors.As(err, &re)
}

func keysOf(m map[int]bool) (keys []int) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// allStacks gives the stacks of all goroutines, cut off at a megabyte.
func allStacks() []byte {
	b := make([]byte, 1<<20)
	return b[:runtime.Stack(b, true)]
}
