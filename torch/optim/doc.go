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
// default; with Fused, those of fused=True. State dicts have Python's layout, so that a checkpoint can change sides.
package optim
