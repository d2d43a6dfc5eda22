package trainer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/golite/golite/lite"
)

// Options are the arguments of Lightning's Trainer, with its defaults. Those of devices, strategy, precision and
// plugins are in lite.Config.
type Options struct {
	// MaxEpochs is how many epochs Fit trains in all, those before a resume included. 0: 1000, with a warning, unless
	// MaxSteps or MaxTime is set. -1: no limit.
	MaxEpochs int
	// MinEpochs and MinSteps are how long Stop and EarlyStopping have no effect.
	MinEpochs, MinSteps int
	// MaxSteps is how many steps Fit trains in all. 0: no limit.
	MaxSteps int
	// MaxTime is how long Fit trains. 0: no limit. See Timer.
	MaxTime time.Duration

	// LimitTrainBatches and the others limit the batches of each loader. Unset: all. Batches(0): the stage is left out.
	LimitTrainBatches, LimitValBatches, LimitTestBatches, LimitPredictBatches Amount
	// OverfitBatches trains and validates on so many batches, the first of the loaders without shuffling
	// (overfit_batches).
	OverfitBatches Amount
	// FastDevRun runs so many batches of each stage, one epoch, without loggers, checkpoints, early stopping and sanity
	// check (fast_dev_run). 0: off.
	FastDevRun int

	// ValCheckInterval is when validation runs: a Fraction of an epoch's batches, after so many Batches, or Every time.
	// Unset: at the end of each epoch. After an interval that does not divide the epoch none runs at its end, as in
	// Lightning.
	ValCheckInterval Amount
	// CheckValEveryNEpochs validates in each so many-th epoch only. 0: 1. -1: ValCheckInterval's batches are counted
	// across epochs (check_val_every_n_epoch=None).
	CheckValEveryNEpochs int
	// NumSanityValSteps is how many batches of validation run before training, as a check of the code. 0: 2. -1: all.
	NumSanityValSteps int
	// NoSanityCheck leaves that out (num_sanity_val_steps=0).
	NoSanityCheck bool
	// NoFinalValidation leaves out the validation at the end of a Fit whose last steps were not validated. Lightning has
	// none there.
	NoFinalValidation bool

	// AccumulateGradBatches is how many batches' gradients are added up for a step. 0: 1. The last batch of an epoch
	// always steps; its loss is divided by the whole number, as in Lightning.
	AccumulateGradBatches int
	// GradientClipVal limits the gradients before each step, by GradientClipAlgorithm: "norm", the default, or "value".
	// 0: no clipping.
	GradientClipVal       float64
	GradientClipAlgorithm string

	// Callbacks are called before the module, in their order. See Callback.
	Callbacks []Callback
	// NoLogger writes no metrics. Else they go to the Config's loggers and, where it has none, to CSV files in
	// lightning_logs/version_N in the folder RootDir.
	NoLogger bool
	// LogEveryNSteps is at which steps what is logged by step goes to the loggers. 0: 50. -1: never.
	LogEveryNSteps int
	// RootDir is where logs and checkpoints go that have no folder of their own (default_root_dir). "": the working
	// directory.
	RootDir string

	// NoCheckpointing leaves out the ModelCheckpoint that Fit else adds where Callbacks has none.
	NoCheckpointing bool
	// NoProgressBar and NoModelSummary leave out what is written to the standard error.
	NoProgressBar, NoModelSummary bool
	// ReloadEvery has the data module make the loaders anew each so many epochs. 0: never
	// (reload_dataloaders_every_n_epochs).
	ReloadEvery int
	// Barebones leaves out whatever costs time besides training: loggers, checkpoints, bar, summary, sanity check. Log
	// does nothing.
	Barebones bool
}

// checked returns the Options with their defaults, or what is wrong with them.
func (o Options) checked(l *lite.Lite) (Options, error) {
	for _, c := range []struct {
		wrong bool
		text  string
	}{
		{o.MaxEpochs < -1, fmt.Sprintf("MaxEpochs is %d: want a number of epochs, or -1 for no limit", o.MaxEpochs)},
		{o.MaxSteps < 0, fmt.Sprintf("MaxSteps is %d: want a number of steps, or 0 for no limit", o.MaxSteps)},
		{o.MinEpochs < 0 || o.MinSteps < 0, fmt.Sprintf("MinEpochs is %d and MinSteps %d: want 0 or more", o.MinEpochs, o.MinSteps)},
		{o.MaxTime < 0, fmt.Sprintf("MaxTime is %v: want a time, or 0 for no limit", o.MaxTime)},
		{o.FastDevRun < 0, fmt.Sprintf("FastDevRun is %d: want a number of batches, or 0", o.FastDevRun)},
		{o.AccumulateGradBatches < 0, fmt.Sprintf("AccumulateGradBatches is %d: want 1 or more", o.AccumulateGradBatches)},
		{o.CheckValEveryNEpochs < -1, fmt.Sprintf("CheckValEveryNEpochs is %d: want 1 or more, or -1 to count batches across epochs", o.CheckValEveryNEpochs)},
		{o.NumSanityValSteps < -1, fmt.Sprintf("NumSanityValSteps is %d: want a number of batches, or -1 for all", o.NumSanityValSteps)},
		{o.LogEveryNSteps < -1, fmt.Sprintf("LogEveryNSteps is %d: want 1 or more, or -1 for never", o.LogEveryNSteps)},
		{o.ReloadEvery < 0, fmt.Sprintf("ReloadEvery is %d: want a number of epochs, or 0 for never", o.ReloadEvery)},
		{o.GradientClipVal < 0 || math.IsNaN(o.GradientClipVal), fmt.Sprintf("GradientClipVal is %v: want a positive number, or 0 for no clipping", o.GradientClipVal)},
		{o.GradientClipAlgorithm != "" && o.GradientClipAlgorithm != "norm" && o.GradientClipAlgorithm != "value",
			fmt.Sprintf("GradientClipAlgorithm is %q: want \"norm\" or \"value\"", o.GradientClipAlgorithm)},
		{o.GradientClipAlgorithm != "" && o.GradientClipVal == 0, "GradientClipAlgorithm is set without GradientClipVal"},
	} {
		if c.wrong {
			return o, errors.New("trainer: " + c.text)
		}
	}
	for _, a := range []struct {
		name string
		Amount
	}{
		{"LimitTrainBatches", o.LimitTrainBatches}, {"LimitValBatches", o.LimitValBatches}, {"LimitTestBatches", o.LimitTestBatches},
		{"LimitPredictBatches", o.LimitPredictBatches}, {"OverfitBatches", o.OverfitBatches},
	} {
		if err := a.checkLimit(a.name); err != nil {
			return o, err
		}
	}
	if err := o.checkInterval(); err != nil {
		return o, err
	}
	if err := o.checkBarebones(); err != nil {
		return o, err
	}
	return o.withDefaults(l)
}

func (o Options) checkInterval() error {
	switch a := o.ValCheckInterval; {
	case a.kind == amountBatches && a.n < 1, a.kind == amountTime && a.time <= 0, a.kind == amountFraction && !(a.fraction > 0 && a.fraction <= 1):
		return fmt.Errorf("trainer: ValCheckInterval is %v: want Batches(n) of 1 or more, a Fraction above 0 and up to 1, or Every a positive time", a)
	case a.kind != amountBatches && a.kind != amountTime && o.CheckValEveryNEpochs == -1:
		return fmt.Errorf("trainer: CheckValEveryNEpochs is -1, which counts batches across epochs, and ValCheckInterval is %v: want Batches(n) or Every(d)", a)
	}
	return nil
}

// checkBarebones refuses options that Barebones excludes.
func (o Options) checkBarebones() error {
	if !o.Barebones {
		return nil
	}
	for name, set := range map[string]bool{
		"LogEveryNSteps": o.LogEveryNSteps > 0, "FastDevRun": o.FastDevRun > 0, "NumSanityValSteps": o.NumSanityValSteps != 0,
	} {
		if set {
			return fmt.Errorf("trainer: Barebones excludes %s: leave one of them out", name)
		}
	}
	return nil
}

func (o Options) withDefaults(l *lite.Lite) (Options, error) {
	if o.Barebones {
		o.NoLogger, o.NoCheckpointing, o.NoProgressBar, o.NoModelSummary, o.NoSanityCheck, o.LogEveryNSteps = true, true, true, true, true, -1
	}
	if n := o.FastDevRun; n > 0 {
		limit := Batches(n)
		o.LimitTrainBatches, o.LimitValBatches, o.LimitTestBatches, o.LimitPredictBatches = limit, limit, limit, limit
		o.MaxSteps, o.MaxEpochs, o.NoLogger, o.NoSanityCheck, o.ValCheckInterval, o.CheckValEveryNEpochs = n, 1, true, true, Amount{}, 1
	}
	if o.OverfitBatches.kind != amountDefault {
		o.LimitTrainBatches, o.LimitValBatches = o.OverfitBatches, o.OverfitBatches
	}
	if o.MaxEpochs == 0 {
		if o.MaxEpochs = -1; o.MaxSteps == 0 && o.MaxTime == 0 {
			o.MaxEpochs = 1000
			l.Logger().Warn("trainer: MaxEpochs is not set: Fit trains 1000 epochs; set MaxEpochs to -1 for no limit")
		}
	}
	if o.MinSteps > 0 {
		o.MinEpochs = max(o.MinEpochs, 1)
	}
	for _, d := range []struct{ n, is *int }{
		{&o.AccumulateGradBatches, new(1)}, {&o.CheckValEveryNEpochs, new(1)}, {&o.NumSanityValSteps, new(2)}, {&o.LogEveryNSteps, new(50)},
	} {
		if *d.n == 0 {
			*d.n = *d.is
		}
	}
	if o.GradientClipAlgorithm == "" {
		o.GradientClipAlgorithm = "norm"
	}
	if o.RootDir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return o, fmt.Errorf("trainer: RootDir is not set, and the working directory can't be found: %w", err)
		}
		o.RootDir = dir
	}
	return o, nil
}
