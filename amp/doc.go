// Package amp is mixed precision (torch.amp): Autocast runs operations in 16 bits where that is safe, GradScaler keeps the
// small gradients of float16 from vanishing, and a Precision is the policy that lite applies to a model under one name.
// Everything works on the CPU as well as on CUDA.
//
// # With lite
//
// A program that uses lite needs nothing from here: Config.Precision names the policy, model.Forward and l.Backward follow
// it, the optimizer's Step goes through its scaler, l.ClipGradNorm divides by its scale first, and l.Save keeps its state.
//
//	name        parameters  inputs    forward pass               outputs  scaler
//	32-true     float32     as given  as it is                   as made  no
//	64-true     float64     float64   makes float64 by default   default  no
//	16-mixed    float32     float16   under Autocast, float16    default  yes
//	bf16-mixed  float32     bfloat16  under Autocast, bfloat16   default  no
//	16-true     float16     float16   makes float16 by default   default  no
//	bf16-true   bfloat16    bfloat16  makes bfloat16 by default  default  no
//
// Only floating tensors are converted. The default is torch.DefaultDType, float32 unless the program has changed it. "64",
// "32", "16" and "bf16" are Lightning Lite's names of 64-true, 32-true, 16-mixed and bf16-mixed. Another policy is a Precision
// of one's own, given to lite in Config.Plugins; examples/plugins has one.
//
// # Without lite
//
// A training loop of one's own puts the forward pass into Autocast and leaves the backward pass outside, as operations of
// autograd run in the types that their forward had. With float16 a GradScaler multiplies the loss, and divides the gradients
// before they are clipped and used:
//
//	scaler := amp.NewGradScaler()
//	for ... {
//		opt.ZeroGrad()
//		loss := amp.AutocastOf(torch.CPUType, torch.Float16, func() *torch.Tensor { return F.MSELoss(net.Forward(x), y) })
//		scaler.Scale(loss).Backward()
//		scaler.Unscale(opt) // only for clipping
//		nn.ClipGradNorm_(nn.Parameters(net), 1)
//		scaler.Step(opt, opt.Step)
//	}
//
// There is no update at the end of the iteration: Scale does it. Where a batch is dropped between Unscale and Step, call
// Forget after ZeroGrad; gradients that were divided already, or never multiplied, are refused with a *torch.Error.
//
// # Threads
//
// libtorch keeps autocast for each thread, and goroutines change threads. Autocast therefore locks the goroutine to its
// thread while its function runs; goroutines that the function starts are not under it, and no other goroutine ever is. So it
// is with the default type that 64-true and the like set. A GradScaler belongs to one goroutine at a time.
package amp
