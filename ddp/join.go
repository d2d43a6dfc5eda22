package ddp

import (
	"context"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/distabi"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// JoinOptions are the optional arguments of Join.
type JoinOptions struct {
	// DivideByRemaining divides gradients by the number of ranks that still have batches, and not by that of all
	// (divide_by_initial_world_size=False).
	DivideByRemaining bool
}

// join is the state of a model inside Join.
type join struct {
	opts JoinOptions
}

// Join runs f, a loop over batches of which ranks may have different numbers: a rank whose f has returned takes part in
// the others' collectives until all have ended, with gradients of zero, and the last one's parameters are then
// broadcast to all (torch.distributed.algorithms.Join). f trains this one model; all ranks call Join.
func (d *DistributedDataParallel) Join(f func(), opts ...JoinOptions) {
	if f == nil {
		torch.Fail("ddp.DistributedDataParallel.Join", "the function is nil")
	}
	o, err := options.Named("ddp.Join", opts)
	if err != nil {
		torch.Fail("ddp.Join", "%v", err)
	}
	d.join = &join{opts: o}
	defer func() { d.join = nil }()
	f()
	torch.NoScope(func() { d.g.TranslateErrors(d.matchPeers) })
}

// matchPeers issues the collectives that ranks with remaining batches expect.
func (d *DistributedDataParallel) matchPeers() {
	last := true
	for d.count(0) > 0 {
		last = false
		d.matchStep()
	}
	d.synchronize(d.commonRank(last))
}

func (d *DistributedDataParallel) matchStep() {
	act := func(action int) {
		if err := d.r.Join(action, 0); err != nil {
			argumentError("Join", err)
		}
	}
	missing, err := d.r.Rebuild()
	d.refuseUnused(missing)
	if err != nil {
		argumentError("Join", err)
	}
	if d.paramSync {
		if list := d.syncedBuffers(); len(list) > 0 {
			d.broadcastCoalesced(list, d.commonRank(false), bufferBytes)
		}
	}
	d.paramSync = d.count(0) > 0 // does any rank reduce this step?
	if !d.paramSync {
		return
	}
	act(cgotorch.JoinBuckets)
	if d.opts.FindUnusedParameters {
		act(cgotorch.JoinUnused)
	}
	act(cgotorch.JoinOrder)
}

// notifyJoin announces another step to ranks without batches.
func (d *DistributedDataParallel) notifyJoin() {
	if d.join == nil {
		return
	}
	one := torch.Ones(1)
	if !d.join.opts.DivideByRemaining || !d.sync {
		d.g.AllReduce(one, dist.Sum)
		one.Release()
		return
	}
	w := d.g.AllReduceAsync(one, dist.Sum)
	if err := d.r.Join(cgotorch.JoinCount, distabi.WorkHandle(w)); err != nil {
		argumentError("Join", err)
	}
	if err := w.Wait(context.Background()); err != nil {
		panic(err)
	}
}

// notifyBackward announces to them whether its gradients are reduced.
func (d *DistributedDataParallel) notifyBackward() {
	if d.join == nil {
		return
	}
	n := 0.0
	if d.sync {
		n = 1
	}
	d.count(n)
}

// count sums up a number over the ranks.
func (d *DistributedDataParallel) count(n float64) int {
	t := torch.Full(n, 1)
	defer t.Release()
	return int(d.g.AllReduce(t, dist.Sum).Item())
}

// commonRank agrees on the highest rank among those that offer themselves.
func (d *DistributedDataParallel) commonRank(me bool) int {
	mine := int64(-1)
	if me {
		mine = int64(d.g.Rank())
	}
	t := torch.From([]int64{mine}, 1)
	defer t.Release()
	return int(d.g.AllReduce(t, dist.Max).Item())
}
