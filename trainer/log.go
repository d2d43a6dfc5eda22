package trainer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/golite/golite/internal/options"
	tm "github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

// When is at which moments a value is logged: OnStep, OnEpoch or both.
type When int

const (
	OnStep  When = 1 << iota // each step's value: the default of training steps
	OnEpoch                  // the epoch's, reduced: the default of validation, Test and hooks of epochs
)

// Reduce is how the values of an epoch become one: Mean, Min, Max or Sum.
type Reduce int

const (
	Mean Reduce = iota // weighted by the size of the batches
	Min                // the least
	Max                // the greatest
	Sum                // without regard to the size of the batches
)

// LogOptions are Log's optional arguments (those of LightningModule.log).
type LogOptions struct {
	// When is OnStep, OnEpoch or both, whose keys are then NAME_step and NAME_epoch. 0: the default of the hook.
	When When
	// ProgBar shows the value on the progress bar.
	ProgBar bool
	// NoLogger keeps it from the loggers.
	NoLogger bool
	// Reduce is how the values of an epoch become one.
	Reduce Reduce
	// NoSyncDist leaves the value of an epoch as that of each rank; the loggers get rank 0's. Else it is reduced over the
	// ranks at the end of the epoch. That of a step is each rank's own always.
	NoSyncDist bool
	// BatchSize weighs the Mean. 0: the first dimension of the batch's first tensor.
	BatchSize int
	// NoLoaderIdx leaves the key without its /dataloader_idx_N where there are several loaders.
	NoLoaderIdx bool
}

// Metric is what Log takes besides values, such as those of package metrics: it adds up by itself, in updates that the
// program makes.
type Metric interface {
	Compute(r tm.Ranks) *torch.Tensor // of all ranks, or of this one alone with nil
	Last() *torch.Tensor              // of the last Forward, nil if there is none
	Reset()                           // begins anew
}

// logRules are what a hook may log, by the table of Lightning.
type logRules struct {
	method  string // its name in Go, such as "TrainingStep"
	name    string // of Lightning, such as "training_step"
	allowed When   // 0: nothing
	usual   When
}

// rulesOf returns the rules of a method, by its name in Go.
func rulesOf(method string) *logRules { return rules[method] }

var rules = func() map[string]*logRules {
	m := map[string]*logRules{}
	add := func(allowed, usual When, names ...string) {
		for _, n := range names {
			m[n] = &logRules{method: n, name: snake(n), allowed: allowed, usual: usual}
		}
	}
	both := OnStep | OnEpoch
	add(both, OnStep, "TrainingStep", "OnTrainBatchStart", "OnTrainBatchEnd", "OnBeforeBackward", "OnAfterBackward", "OnBeforeZeroGrad",
		"OnBeforeOptimizerStep", "OptimizerStep", "OptimizerZeroGrad", "ConfigureGradientClipping")
	add(both, OnEpoch, "ValidationStep", "TestStep", "OnValidationBatchStart", "OnValidationBatchEnd", "OnTestBatchStart", "OnTestBatchEnd")
	add(OnEpoch, OnEpoch, "OnTrainStart", "OnTrainEpochStart", "OnTrainEpochEnd", "OnValidationStart", "OnValidationEpochStart",
		"OnValidationEpochEnd", "OnTestStart", "OnTestEpochStart", "OnTestEpochEnd")
	add(0, 0, "Setup", "Teardown", "OnFitStart", "OnFitEnd", "OnSanityCheckStart", "OnSanityCheckEnd", "OnTrainEnd", "OnValidationEnd", "OnTestEnd",
		"OnPredictStart", "OnPredictEnd", "OnPredictEpochStart", "OnPredictEpochEnd", "OnPredictBatchStart", "OnPredictBatchEnd", "PredictStep",
		"OnException", "OnSaveCheckpoint", "OnLoadCheckpoint", "ConfigureOptimizers", "ConfigureModel", "LRSchedulerStep", "DataLoaders")
	return m
}()

// snake is a name of Go as Python writes it.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Log records a value under a name (LightningModule.log): a number, or a tensor of one element, which is read when the
// value is needed and not before. A value of type Metric is computed at the end of the epoch, and reset.
//
// By default a training step's value is logged as that of the step, each LogEveryNSteps, and everything else as that of
// the epoch. The same name twice in one hook with other options is refused, as are hooks that do not log, such as
// OnFitStart.
func (t *Trainer) Log(name string, value any, opts ...LogOptions) {
	if t.o.Barebones {
		return
	}
	o, err := options.One(opts)
	if err != nil {
		torch.Fail("trainer.Log", "%v", err)
	}
	r := t.where
	switch {
	case r == nil || t.results == nil:
		torch.Fail("trainer.Log", "%q: nothing runs that can log", name)
	case r.allowed == 0:
		torch.Fail("trainer.Log", "%q: %s can't log: there is no step or epoch that the value is of", name, r.name)
	case name == "":
		torch.Fail("trainer.Log", "the name is empty")
	}
	switch {
	case o.Reduce < Mean || o.Reduce > Sum:
		torch.Fail("trainer.Log", "%q: Reduce is %v: want Mean, Min, Max or Sum", name, o.Reduce)
	case o.BatchSize < 0:
		torch.Fail("trainer.Log", "%q: BatchSize is %d: want a number of samples, or 0 for that of the batch", name, o.BatchSize)
	}
	if o.When == 0 {
		o.When = r.usual
	}
	if o.When&^r.allowed != 0 {
		torch.Fail("trainer.Log", "%q: %s has no step: want When to be OnEpoch", name, r.name)
	}
	t.results.log(t, r, name, value, o)
}

// LogAll is Log for several values, in the order of their names (LightningModule.log_dict).
func (t *Trainer) LogAll(values map[string]any, opts ...LogOptions) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t.Log(name, values[name], opts...)
	}
}

// String returns "mean", "min", "max" or "sum".
func (r Reduce) String() string {
	if r < Mean || r > Sum {
		return fmt.Sprintf("Reduce(%d)", int(r))
	}
	return [...]string{"mean", "min", "max", "sum"}[r]
}
