package lite

import (
	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// peers are the other ranks, as a process group reaches them. A rank alone has none. What a collective can't do for a
// lost peer it panics with, as a *dist.RankError.
type peers struct {
	g    *dist.Group
	opts ddp.ParallelOptions
}

func (p *peers) allReduce(t *torch.Tensor, op dist.Op) { p.g.AllReduce(t, op) }
func (p *peers) barrier()                              { p.g.Barrier() }

// broadcast gives every rank src's bytes, exchange gives every rank the bytes of all.
func (p *peers) broadcast(b []byte, src int) []byte { return p.g.BroadcastBytes(b, src) }
func (p *peers) exchange(b []byte) [][]byte         { return p.g.AllGatherBytes(b) }

// parallelOptions are DDP's settings as package ddp knows them.
func parallelOptions(s Strategy) ddp.ParallelOptions {
	var d DDP
	switch s := s.(type) {
	case DDP:
		d = s
	case DDPSpawn:
		d = DDP(s)
	}
	o := ddp.ParallelOptions{FindUnusedParameters: d.FindUnusedParameters, StaticGraph: d.StaticGraph, GradientAsBucketView: d.GradientAsBucketView,
		NoBroadcastBuffers: d.NoBroadcastBuffers, NoInitSync: d.NoInitSync, BucketCapMB: float64(d.BucketCapMB), Hook: d.Hook}
	switch d.CommHook {
	case "fp16":
		o.Hook = ddp.HookFP16
	case "bf16":
		o.Hook = ddp.HookBF16
	case "powersgd":
		o.Hook = ddp.PowerSGD{}
	}
	return o
}

// newPeers makes a rank's peers of its group. On a GPU tensors go through NCCL.
func (j *job) newPeers(g *dist.Group, device torch.Device) (*peers, error) {
	if device.Type == torch.CUDAType {
		if err := g.AttachNCCL(); err != nil {
			return nil, err
		}
	}
	return &peers{g, parallelOptions(j.plan.strategy)}, nil
}
