// Package lite is LightningLite for Go: a training loop of the user's own runs unchanged on a CPU, a GPU, many
// GPUs or many machines, in any precision, when its model, optimizers and data loaders are handed to one Lite.
//
//	err := lite.Run(ctx, cfg, func(ctx context.Context, l *lite.Lite) error {
//		l.SeedEverything(1)
//		net := NewMLP()
//		opt := optim.NewSGD(nn.Parameters(net), 0.1)
//		model, err := lite.Setup(l, net, net.Forward, opt)
//		if err != nil {
//			return err
//		}
//		loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Train(), 64, data.Options{Shuffle: true}))
//		if err != nil {
//			return err
//		}
//		for batch, err := range loader.Batches(ctx) {
//			if err != nil {
//				return err
//			}
//			opt.ZeroGrad()
//			loss := F.CrossEntropy(model.Forward(batch.Input), batch.Target)
//			l.Backward(loss)
//			opt.Step()
//		}
//		return l.Save("model.pt", lite.State{"model": model, "optimizer": opt})
//	})
//
// # What changes in a plain loop
//
// Run takes the loop as a function. Setup replaces moving the model to a device, and its result's Forward replaces
// the model's; SetupDataLoader replaces the distributed sampler and the moving of batches; Backward replaces
// loss.Backward(). Everything else stays as it is. docs/convert.md walks through it.
//
// # Errors
//
// What touches files, devices or peers returns an error. What runs once a step (Forward, Backward, Step, collectives)
// panics with a *torch.Error or *dist.RankError, and Run returns that as an error, with the rank it happened on.
package lite
