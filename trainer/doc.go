// Package trainer is Lightning's Trainer on top of package lite: a module defines its steps, and the Trainer has the
// loop, validation, logging, checkpoints and stopping.
//
//	err := lite.Run(ctx, lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
//		l.SeedEverything(1)
//		t, err := trainer.New(l, trainer.Options{MaxEpochs: 10})
//		if err != nil {
//			return err
//		}
//		return trainer.Fit(ctx, t, NewClassifier(), trainer.Data[data.Example]{Train: train, Val: val})
//	})
//
// Devices, strategy, precision and plugins are those of the lite.Config. Everything else about the loop is in Options,
// whose fields are the arguments of Lightning's Trainer.
//
// # Modules
//
// A module is a golite module with a TrainingStep and ConfigureOptimizers. The other methods are optional: a
// ValidationStep, a TestStep, a PredictStep, and the hooks of hooks.go. Fit looks for them once, before anything runs. A
// method that has the name of a hook and another signature is an error, and so is an exported method whose name begins
// with On and is no hook's: a misspelt hook is not passed over in silence.
//
// Steps and hooks have the Trainer as an argument. It has the counters (Epoch, GlobalStep), the values that were logged
// (Metrics), the optimizers, and Log.
//
// # Order of one training step
//
// With automatic optimization a batch runs OnTrainBatchStart, TrainingStep, OnBeforeZeroGrad, OnBeforeBackward, the
// backward pass, OnAfterBackward; then, on the last batch of an accumulation, OnBeforeOptimizerStep, clipping, the step
// of the optimizer, the schedulers; and at the end OnTrainBatchEnd. Callbacks come before the module, in their order;
// EarlyStopping and ModelCheckpoint come last at the end of an epoch. The order is Lightning's, which a test compares.
//
// # Errors
//
// A hook returns an error, which ends the run. A step panics, as forward passes do, or calls Fail. OnException, Teardown
// and the end of the run happen in each case. Ctrl-C and SIGTERM end Fit after a whole step with lite.ErrStopped, once
// last.ckpt is saved.
package trainer
