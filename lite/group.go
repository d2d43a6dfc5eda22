package lite

import (
	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Group returns the process group of the run's ranks, for what package ddp does beyond Lite's own methods: sub-groups
// (Group.Sub), every kind of collective, batch normalisation over all ranks:
//
//	net := NewNet()
//	ddp.ConvertSyncBatchNorm(net, l.Group())
//	model, err := lite.Setup(l, net, net.Forward, opt)
//
// Lite's own collectives go through the same group: all ranks make all calls in the same order. A rank alone has a group
// of one, so that a program needs no second way. The run closes it.
func (l *Lite) Group() *dist.Group {
	return l.group
}

// Join runs f, a loop in which m trains on batches of which ranks may have different numbers: a rank whose f has returned
// takes part in the others' steps until all have ended, and all end with the parameters of one that trained longest
// (torch.distributed.algorithms.Join). All ranks call it. In f ranks meet in m's forward and backward passes alone: no other
// model trains there, and no other collective is made. On one rank, or for a model without anything to train, it just runs f.
//
// Loaders that were set up give all ranks the same number of batches by themselves, unless LoaderOptions.Exact is set.
func (l *Lite) Join(m Handle, f func(), opts ...ddp.JoinOptions) {
	if f == nil {
		torch.Fail("lite.Join", "the function is nil")
	}
	h := handleOf(m, "Join")
	o := options.Must("lite.Join", opts, torch.Fail)
	if h.joiner == nil {
		f()
		return
	}
	h.joiner.Join(f, o)
}
