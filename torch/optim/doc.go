// Package optim is PyTorch's optimizers and learning-rate schedulers (torch.optim).
//
//	opt := optim.NewAdamW(nn.Parameters(net), 3e-4, optim.AdamWOptions{WeightDecay: new(0.1)})
//	sched := optim.NewCosineAnnealingLR(opt, 1000)
//	for … {
//		opt.ZeroGrad()
//		loss.Backward()
//		opt.Step()
//		sched.Step()
//	}
//
// The learning rate is positional; a constructor whose name ends in Groups takes groups of parameters with settings of
// their own. A step is a few calls into libtorch, whatever the number of parameters, and gives the bits of PyTorch's
// default; with Fused, those of fused=True. State dicts have Python's layout, so that checkpoints load on both sides.
//
// An optimizer of one's own is a Rule, of which New makes an Optimizer: docs/optimizers.md writes one step by step, and
// examples/optimizers has Lion and Muon.
//
// Constructors of optimizers panic with a *torch.Error if there are no parameters, one is nil, is there twice or is the
// result of an operation, if learning rate, weight decay, momentum or eps is negative or NaN, if a beta is not from 0
// to below 1, and if there is more than one options struct; those of schedulers for what their comments name. No rate
// has a default here; PyTorch's is in the constructor's comment.
package optim
