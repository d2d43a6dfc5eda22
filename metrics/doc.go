// Package metrics has the metrics of torchmetrics 1.9.0 that are used most: accuracy, AUROC, mean squared error, BLEU and
// their kin. A metric adds up its state batch by batch, on the device of its inputs, and Compute makes the value of all
// batches of all ranks of it:
//
//	acc := metrics.NewAccuracy(metrics.Multiclass(10))
//	for batch, err := range loader.Batches(ctx) {
//		...
//		acc.Update(model.Forward(batch.Input), batch.Target)
//	}
//	value := acc.Compute(l).Item() // the same on every rank
//	acc.Reset()
//
// Update adds a batch. Forward adds one too, and returns the value of that batch alone, on this rank. Compute(l) takes a
// *lite.Lite, or Over(group) for a program without package lite, and all ranks call it, ranks without a batch too; Compute(nil)
// is the value of this rank's batches. It changes no state: the next Update goes on from this rank's own. Reset starts anew.
//
// # Values
//
// Values, and the bits of values, are torchmetrics', with the exceptions that a constructor's comment names. The defaults are
// those of torchmetrics' classes without a task in their name: Accuracy, Precision, Recall, F1, FBeta and Specificity are
// micro averages. A metric without a batch has torchmetrics' value, which is 0 for counts and NaN for means; where torchmetrics
// refuses to compute one, it is NaN.
//
// States that count are int64 and exact. Sums of floats are float32, as torchmetrics' are, and float64 where a batch is
// float64: give Update a Double of a loss that is added up over millions of batches. The sum over ranks adds the ranks' states
// in the order of ranks, so that all ranks have the same bits.
//
// Gradients do not pass through metrics.
//
// # Devices
//
// Update and Forward start no copy to the host and do not wait for an accelerator. Shapes and types are checked at once. Values
// (a class that does not exist, a NaN where Options refuse it) are checked at once on the CPU, where the failed Update leaves the
// state as it was; on another device they are counted there, left out of the state, and reported by Compute. Either
// way the panic is a *torch.Error that names the argument.
//
// # Checkpoints
//
// A metric has StateDict and LoadStateDict, so that lite.State{"accuracy": acc} saves this rank's part of it and resumes with it. A
// rank saves its own state: after a resume on other numbers of ranks start with Reset.
package metrics
