package trainer

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Module is what Fit trains (LightningModule): a golite module with two more methods. B is the type of the loader's
// batches. Hooks are further methods, see the interfaces of their names, such as OnTrainEpochEnd.
type Module[B any] interface {
	nn.Module
	// TrainingStep returns the loss with its graph (training_step). It runs in the precision and with the ranks of the
	// run, so that m.Forward(x) serves in it. With Optimization.Manual it does the steps by itself, and its result is
	// shown only. nil passes over the batch: on one rank only, as others would wait for its gradients.
	TrainingStep(t *Trainer, batch B, batchIdx int) *torch.Tensor
	// ConfigureOptimizers makes the optimizers and schedulers (configure_optimizers). It is called once in a Fit, when
	// the module has been loaded from a checkpoint, if there is one, and before it moves to its device.
	ConfigureOptimizers(t *Trainer) Optimization
}

// What a module has that is validated, tested or used to predict.
type (
	// Validator has the step of validation (validation_step), run without gradients and in evaluation mode.
	Validator[B any] interface {
		nn.Module
		ValidationStep(t *Trainer, batch B, batchIdx int) // logs what is measured
	}
	// Tester has the step of Test (test_step).
	Tester[B any] interface {
		nn.Module
		TestStep(t *Trainer, batch B, batchIdx int) // logs what is measured
	}
	// Predictor has the step of Predict (predict_step).
	Predictor[B, P any] interface {
		nn.Module
		PredictStep(t *Trainer, batch B, batchIdx int) P // returns the prediction of the batch
	}
)

// Optimization is what ConfigureOptimizers returns: an Optimizer that the Trainer steps (automatic optimization), or
// Manual ones.
type Optimization struct {
	// Optimizer is stepped by the Trainer.
	Optimizer optim.Optimizer
	// Manual are stepped by TrainingStep, with Trainer.Backward and Trainer.Step (manual optimization).
	Manual []optim.Optimizer
	// Schedules are stepped by the Trainer. With Manual, TrainingStep steps them, and they are here to be saved.
	Schedules []Schedule
}

func (o Optimization) all() []optim.Optimizer {
	if o.Optimizer != nil {
		return []optim.Optimizer{o.Optimizer}
	}
	return o.Manual
}

// Schedule is a scheduler and when it is stepped (the dictionary lr_scheduler of configure_optimizers).
type Schedule struct {
	Scheduler Scheduler // one of package optim
	Interval  Interval  // Epoch, the default, or Step
	Frequency int       // stepped at each so many-th epoch, or batch of the epoch. 0: 1
	Monitor   string    // the logged value that ReduceLROnPlateau takes; required for it
	NonStrict bool      // a Monitor without a value is passed over with a warning; else it is an error
	Name      string    // for LearningRateMonitor. "": "lr-" and the optimizer's type
}

// Scheduler is an optim.Scheduler or an *optim.ReduceLROnPlateau.
type Scheduler interface {
	LastLR() []float64                  // as of optim.Scheduler
	StateDict() map[string]any          // as of optim.Scheduler
	LoadStateDict(map[string]any) error // as of optim.Scheduler
}

// Interval is what a Schedule counts: Epoch or Step.
type Interval int

const (
	Epoch Interval = iota // a step at the end of an epoch
	Step                  // a step after an optimizer step
)

// String returns "epoch" or "step".
func (i Interval) String() string {
	if i == Step {
		return "step"
	}
	return "epoch"
}
