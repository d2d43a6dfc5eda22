// Package shard trains one model on several ranks of which each keeps a part: of the parameters, of the gradients and of
// the optimizer's state (torch.distributed.fsdp.fully_shard; DeepSpeed's ZeRO). Package lite has it as strategies, such
// as "fsdp", "ddp_sharded" and "deepspeed_stage_2"; this package is for programs that use package dist by themselves:
//
//	e := shard.New(ctx, group, shard.Options{})
//	m, err := e.Shard(net)                            // cuts net's parameters
//	opt := optim.NewAdamW(nn.Parameters(net), 1e-3)   // may be older, too
//	err = e.SetupOptimizer(opt)
//	for ... {
//		var loss *torch.Tensor
//		m.Forward(func() []*torch.Tensor {
//			loss = F.CrossEntropy(net.Forward(x), y)
//			return []*torch.Tensor{loss}
//		})
//		opt.ZeroGrad()
//		e.Backward(loss, func(loss *torch.Tensor) { loss.Backward() })
//		e.Step(opt, func() bool { opt.Step(); return true })
//	}
//	fmt.Println(e.Report())
//
// # Shards
//
// Of each parameter a rank keeps rows, along dimension 0: the first ranks ceil(rows/ranks), the last ones what is left or
// none (Rows). The *torch.Tensor stays the same one, so that an optimizer that was made before works on: between uses its
// value is the rank's rows (unless Reshard is Never), in a forward or backward pass it is the whole. Its gradient, after
// Backward, is the rank's rows of the mean over all ranks.
//
// # Units
//
// Parameters are gathered, freed and reduced in units. A unit is a module with all that is beneath it, by default a
// block: see Blocks. It is gathered when the first of its layers is called, in the forward pass or in the backward pass,
// while the one before it still computes, and freed when the next one is there: two units are whole at a time. All other
// parameters are the root's: those are whole from the beginning of a forward pass to the end of the backward pass. What
// a program's own module has as a field of its own is always the root's, since nothing shows when it is used.
//
// A layer's parameters are whole while the layer is called, or another one of its unit. A forward pass that takes the
// weight of another unit's layer, without a call of that layer, gets its rows alone: put the two into one unit.
//
// # Collectives
//
// Every forward pass has collectives, in evaluation and without gradients too, and so has every backward pass: all ranks
// call the same modules in the same order. Which parameters get a gradient may differ: one that has none on some ranks
// counts as zeros there, and one that has none on any rank has none afterwards. Gradients of gradients need whole
// parameters (Reshard Never).
//
// An optimizer must treat each element by itself, as all of package optim but LBFGS do; one that takes norms of whole
// tensors would take those of rows.
package shard
