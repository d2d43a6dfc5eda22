package trainer

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Stage is what a Trainer does: Fitting, Validating, Testing or Predicting.
type Stage string

const (
	Fitting    Stage = "fit"      // Fit
	Validating Stage = "validate" // Validate
	Testing    Stage = "test"     // Test
	Predicting Stage = "predict"  // Predict
)

// Trainer runs modules on one lite.Lite (lightning.pytorch.Trainer). Steps and hooks get it as an argument. It is used
// by the goroutine of Run's function alone.
type Trainer struct {
	l *lite.Lite
	o Options

	stage      Stage
	sanity     bool
	validating bool // a validation inside of Fit
	stop       bool
	loaderIdx  int // of an evaluation with several loaders

	hooks   *hookSet
	where   *logRules // of the hook that runs, nil outside of them
	running string    // its name for messages
	models  map[nn.Module]*lite.Model[nn.Module, func()]
	loaders map[loaderKey]any // set up
	model   *lite.Model[nn.Module, func()]

	data         any          // the data module of the stage
	trainLoader  func() error // makes the loader of training if there is none
	loaderStates func() (train map[string]any, val []any)
	rewind       func() bool     // puts everything as it was after the last step, where a ModelCheckpoint has SaveOnException
	metricStages map[Metric]bool // of metrics logged in Fit: whether by training
	fitResults   *results
	finding      bool     // LRFind sets the rates
	resumedFrom  string   // the checkpoint that Fit has loaded
	at           position // where in the loop the stage is
	loggers      []lite.MetricLogger
	folder       string // of the logs
	results      *results
	logged       logged
	optimizer    optim.Optimizer   // automatic optimization
	manual       []optim.Optimizer // manual optimization
	schedules    []Schedule

	epochs                           progress // of Fit
	batches                          progress // of an epoch
	schedulerSteps, steps, zeroGrads progress
	manualSteps                      progress // batches that stepped
	manualUpdates                    int      // each optimizer's steps, as Lightning counts them
	valBatches                       progress
	steppedBatches                   int  // _batches_that_stepped: the x axis of the loggers
	isLastBatch                      bool // of the epoch
	stepped                          bool // in manual optimization, in this batch
	accumulate                       int
	trainBatches                     int // of an epoch
	valCheckBatch                    int // 0: by time, or at the end of a loader of unknown length
	lastVal                          time.Time
	weightsValidated                 int // GlobalStep at the last validation
	validated                        bool
	mayValidate                      bool // there are a ValidationStep and batches for it
	started                          time.Time
}

// New makes a Trainer, whose Options it checks. All ranks call it alike.
func New(l *lite.Lite, o Options) (*Trainer, error) {
	if l == nil {
		return nil, errors.New("trainer: New: the Lite is nil: call New inside of lite.Run, with its argument")
	}
	o, err := o.checked(l)
	if err != nil {
		return nil, err
	}
	t := &Trainer{l: l, o: o, accumulate: o.AccumulateGradBatches}
	if err := t.addCallbacks(); err != nil {
		return nil, err
	}
	return t, t.openLoggers()
}

// Lite returns what the Trainer runs on.
func (t *Trainer) Lite() *lite.Lite { return t.l }

// Epoch returns the number of epochs that were completed: the epoch's number, from 0, while it runs (current_epoch).
func (t *Trainer) Epoch() int { return t.epochs.current.completed }

// GlobalStep returns the number of optimizer steps; with several optimizers a batch that steps some counts once, where
// Lightning counts each (global_step).
func (t *Trainer) GlobalStep() int {
	if t.optimizer == nil {
		return t.manualSteps.total.completed
	}
	return t.steps.total.completed
}

// BatchIdx returns the number of the batch in its epoch, from 0. Before the first it is -1.
func (t *Trainer) BatchIdx() int { return t.batches.current.ready - 1 }

// LoaderIdx returns the number of the loader that a step of validation, Test or Predict reads, from 0 (dataloader_idx).
func (t *Trainer) LoaderIdx() int { return t.loaderIdx }

// Stage returns which function runs: Fit, also while it validates, Validate, Test or Predict.
func (t *Trainer) Stage() Stage { return t.stage }

// SanityChecking reports whether the validation before training runs.
func (t *Trainer) SanityChecking() bool { return t.sanity }

// Stop ends Fit after this batch, and a validation where one is due (should_stop). MinEpochs and MinSteps hold it back.
// All ranks call it alike.
func (t *Trainer) Stop() { t.stop = true }

// Stopped reports whether Stop was called.
func (t *Trainer) Stopped() bool { return t.stop }

// Metrics returns the last values that were logged, by their keys (callback_metrics). Those of tensors are read from
// their device.
func (t *Trainer) Metrics() map[string]float64 {
	t.refresh()
	return maps.Collect(t.logged.callback.values())
}

// Metric returns the last value of one key.
func (t *Trainer) Metric(key string) (value float64, ok bool) {
	t.refresh()
	v, ok := t.logged.callback[key]
	if !ok {
		return 0, false
	}
	return v.float(), true
}

// Optimizers returns the optimizers of ConfigureOptimizers.
func (t *Trainer) Optimizers() []optim.Optimizer {
	if t.optimizer != nil {
		return []optim.Optimizer{t.optimizer}
	}
	return t.manual
}

// Schedules returns the schedules of ConfigureOptimizers.
func (t *Trainer) Schedules() []Schedule { return t.schedules }

// AccumulateGradBatches returns how many batches a step has now.
func (t *Trainer) AccumulateGradBatches() int { return t.accumulate }

// NumTrainingBatches returns the number of batches of an epoch on this rank, -1 where it is unknown
// (num_training_batches). In ConfigureOptimizers it makes the loader, if there is none yet.
func (t *Trainer) NumTrainingBatches() int {
	if t.trainLoader != nil {
		t.must(t.trainLoader())
	}
	if t.trainBatches == noLimit {
		return -1
	}
	return t.trainBatches
}

// EstimatedSteps returns how many optimizer steps Fit takes in all, -1 where there is no limit
// (estimated_stepping_batches): what OneCycleLR needs in ConfigureOptimizers.
func (t *Trainer) EstimatedSteps() int {
	steps := -1
	if n := t.NumTrainingBatches(); t.o.MaxEpochs >= 0 && n >= 0 {
		steps = (n + t.accumulate - 1) / t.accumulate * t.o.MaxEpochs
	}
	if t.o.MaxSteps > 0 && (steps < 0 || t.o.MaxSteps < steps) {
		steps = t.o.MaxSteps
	}
	return steps
}

// LogDir returns the folder of the logs, which is empty without a logger that has one (log_dir).
func (t *Trainer) LogDir() string { return t.folder }

// must panics with a hook's error, where no error can be returned.
func (t *Trainer) must(err error) {
	if err != nil {
		t.Fail(err)
	}
}

// addCallbacks adds those that the Options ask for, in Lightning's order: checkpoints are last.
func (t *Trainer) addCallbacks() error {
	var first, last []Callback
	has := map[string]bool{}
	for i, c := range t.o.Callbacks {
		if c == nil {
			return fmt.Errorf("trainer: callback %d is nil", i)
		}
		switch c.(type) {
		case *ModelCheckpoint:
			has["checkpoint"] = true
			last = append(last, c)
			continue
		case *ProgressBar:
			has["bar"] = true
		case *ModelSummary:
			has["summary"] = true
		}
		first = append(first, c)
	}
	o := &t.o
	switch {
	case o.NoCheckpointing && has["checkpoint"]:
		return errors.New("trainer: NoCheckpointing is set, and Callbacks has a ModelCheckpoint: leave one of them out")
	case o.NoProgressBar && has["bar"]:
		return errors.New("trainer: NoProgressBar is set, and Callbacks has a ProgressBar: leave one of them out")
	}
	if !has["bar"] && !o.NoProgressBar {
		first = append(first, &ProgressBar{})
	}
	if !has["summary"] && !o.NoModelSummary {
		first = append(first, &ModelSummary{})
	}
	if o.MaxTime > 0 {
		first = append(first, &Timer{Duration: o.MaxTime})
	}
	if !has["checkpoint"] && !o.NoCheckpointing && o.FastDevRun == 0 {
		last = append(last, &ModelCheckpoint{})
	}
	o.Callbacks = append(first, last...)
	return checkStateKeys(o.Callbacks)
}
