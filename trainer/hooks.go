package trainer

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// Callback is any value with some of the hooks below (lightning.pytorch.callbacks.Callback). Fit finds them once; a
// hook that no callback has costs nothing. Callbacks come before the module, in their order, ModelCheckpoints last. A
// callback with StateDict and LoadStateDict, as of optim.Scheduler, is saved with each checkpoint.
type Callback any

// Hooks of callbacks and of modules, with the names of Lightning's. An error ends the run. Setup and Teardown are data
// modules' too.
type (
	SetupHook interface {
		Setup(t *Trainer, stage Stage) error
	} // before anything else of a stage
	TeardownHook interface {
		Teardown(t *Trainer, stage Stage) error
	} // at the end of a stage, also after an error

	OnFitStart         interface{ OnFitStart(t *Trainer) error }         // once the module is on its device
	OnFitEnd           interface{ OnFitEnd(t *Trainer) error }           // after a Fit without an error
	OnSanityCheckStart interface{ OnSanityCheckStart(t *Trainer) error } // of callbacks only
	OnSanityCheckEnd   interface{ OnSanityCheckEnd(t *Trainer) error }   // of callbacks only
	OnTrainStart       interface{ OnTrainStart(t *Trainer) error }       // after the sanity check
	OnTrainEnd         interface{ OnTrainEnd(t *Trainer) error }         // after the last epoch
	OnTrainEpochStart  interface{ OnTrainEpochStart(t *Trainer) error }  // of each epoch
	OnTrainEpochEnd    interface{ OnTrainEpochEnd(t *Trainer) error }    // of each epoch, after its validation

	OnValidationStart      interface{ OnValidationStart(t *Trainer) error }      // of each validation
	OnValidationEpochStart interface{ OnValidationEpochStart(t *Trainer) error } // after OnValidationStart
	OnValidationEpochEnd   interface{ OnValidationEpochEnd(t *Trainer) error }   // after the last batch
	OnValidationEnd        interface{ OnValidationEnd(t *Trainer) error }        // once the values were logged
	OnTestStart            interface{ OnTestStart(t *Trainer) error }            // as OnValidationStart
	OnTestEpochStart       interface{ OnTestEpochStart(t *Trainer) error }       // as OnValidationEpochStart
	OnTestEpochEnd         interface{ OnTestEpochEnd(t *Trainer) error }         // as OnValidationEpochEnd
	OnTestEnd              interface{ OnTestEnd(t *Trainer) error }              // as OnValidationEnd
	OnPredictStart         interface{ OnPredictStart(t *Trainer) error }         // as OnValidationStart
	OnPredictEpochStart    interface{ OnPredictEpochStart(t *Trainer) error }    // as OnValidationEpochStart
	OnPredictEpochEnd      interface{ OnPredictEpochEnd(t *Trainer) error }      // as OnValidationEpochEnd
	OnPredictEnd           interface{ OnPredictEnd(t *Trainer) error }           // as OnValidationEnd

	// OnBeforeZeroGrad runs before the first backward pass of an accumulation.
	OnBeforeZeroGrad interface {
		OnBeforeZeroGrad(t *Trainer, o optim.Optimizer) error
	}
	// OnBeforeBackward runs with the loss, divided by the number of accumulated batches.
	OnBeforeBackward interface {
		OnBeforeBackward(t *Trainer, loss *torch.Tensor) error
	}
	OnAfterBackward interface{ OnAfterBackward(t *Trainer) error } // the gradients may still have the scaler's factor
	// OnBeforeOptimizerStep runs before clipping, without the scaler's factor in the gradients.
	OnBeforeOptimizerStep interface {
		OnBeforeOptimizerStep(t *Trainer, o optim.Optimizer) error
	}

	// OnException runs when a stage ends by an error, before Teardown.
	OnException interface {
		OnException(t *Trainer, err error) error
	}
	// OnSaveCheckpoint may change what is saved.
	OnSaveCheckpoint interface {
		OnSaveCheckpoint(t *Trainer, checkpoint map[string]any) error
	}
	// OnLoadCheckpoint reads what is loaded, before the module's weights are.
	OnLoadCheckpoint interface {
		OnLoadCheckpoint(t *Trainer, checkpoint map[string]any) error
	}
)

// Hooks of batches, as callbacks have them. A module's take its own type of batches in place of any. OnTrainBatchEnd has
// the loss, detached and not divided; it is nil where TrainingStep returned nil.
type (
	// OnTrainBatchStart runs before a batch. ErrSkipEpoch leaves out the rest of the epoch.
	OnTrainBatchStart interface {
		OnTrainBatchStart(t *Trainer, batch any, batchIdx int) error
	}
	// OnTrainBatchEnd runs after a batch and the schedulers' step.
	OnTrainBatchEnd interface {
		OnTrainBatchEnd(t *Trainer, loss *torch.Tensor, batch any, batchIdx int) error
	}
	// OnValidationBatchStart runs before each step of validation.
	OnValidationBatchStart interface {
		OnValidationBatchStart(t *Trainer, batch any, batchIdx int) error
	}
	// OnValidationBatchEnd runs after each step of validation.
	OnValidationBatchEnd interface {
		OnValidationBatchEnd(t *Trainer, batch any, batchIdx int) error
	}
	// OnTestBatchStart runs before each step of Test.
	OnTestBatchStart interface {
		OnTestBatchStart(t *Trainer, batch any, batchIdx int) error
	}
	// OnTestBatchEnd runs after each step of Test.
	OnTestBatchEnd interface {
		OnTestBatchEnd(t *Trainer, batch any, batchIdx int) error
	}
	// OnPredictBatchStart runs before each step of Predict.
	OnPredictBatchStart interface {
		OnPredictBatchStart(t *Trainer, batch any, batchIdx int) error
	}
	// OnPredictBatchEnd has the prediction as well.
	OnPredictBatchEnd interface {
		OnPredictBatchEnd(t *Trainer, prediction, batch any, batchIdx int) error
	}
)

// What a module may do in place of the Trainer.
type (
	// ModelConfigurer builds layers before the module is loaded and moves to its device (configure_model).
	ModelConfigurer interface{ ConfigureModel(t *Trainer) error }
	// CallbackConfigurer returns callbacks, which replace those of their types in Options (configure_callbacks).
	CallbackConfigurer interface{ ConfigureCallbacks() []Callback }
	// OptimizerStepper calls o.StepFunc(closure), or does what it wants in place of it (optimizer_step). closure computes
	// the loss, its gradients and their clipping.
	OptimizerStepper interface {
		OptimizerStep(t *Trainer, o optim.Optimizer, closure func() *torch.Tensor)
	}
	// ZeroGrader removes the gradients, by o.ZeroGrad() by default (optimizer_zero_grad).
	ZeroGrader interface {
		OptimizerZeroGrad(t *Trainer, o optim.Optimizer)
	}
	// GradientClipper clips the gradients, by t.ClipGradients by default (configure_gradient_clipping).
	GradientClipper interface {
		ConfigureGradientClipping(t *Trainer, o optim.Optimizer, val float64, algorithm string)
	}
	// SchedulerStepper steps a scheduler; metric is nil but for ReduceLROnPlateau (lr_scheduler_step).
	SchedulerStepper interface {
		LRSchedulerStep(t *Trainer, s Scheduler, metric *float64) error
	}
	// HyperparameterSaver returns the settings that checkpoints and loggers get (save_hyperparameters).
	HyperparameterSaver interface{ Hyperparameters() map[string]any }
)
