package trainer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
)

// FitOptions are the optional arguments of Fit, Validate, Test and Predict.
type FitOptions struct {
	// CkptPath is a checkpoint to load first: a file's name, Best, or Last (ckpt_path). Fit goes on from it exactly,
	// also in the middle of an epoch, but for what differs between ranks in a module: of the running statistics of batch
	// normalisation the file has rank 0's. The other stages take its weights.
	CkptPath string
}

const (
	Best = "best" // for CkptPath: the best checkpoint of the first ModelCheckpoint
	Last = "last" // for CkptPath: the newest last.ckpt of the ModelCheckpoints' folders; Fit starts anew where there is none
)

// ErrSkipEpoch is what OnTrainBatchStart returns to leave out the rest of an epoch. No validation follows, as in
// Lightning; OnTrainEpochEnd does.
var ErrSkipEpoch = errors.New("trainer: the rest of the epoch is left out")

// Fit trains a module (Trainer.fit). If the module is a Validator and d has a ValDataLoaders, it is validated as well.
// All ranks call it. A second Fit of the same Trainer goes on counting from the first.
func Fit[B any](ctx context.Context, t *Trainer, m Module[B], d TrainData[B], opts ...FitOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return fmt.Errorf("trainer: Fit: %w", err)
	}
	if isNil(d) {
		return errors.New("trainer: Fit: the data module is nil")
	}
	return run[B](ctx, t, Fitting, m, d, func() error {
		f := &fit[B]{
			ctx: ctx, t: t, m: m, d: d, batchHooks: newBatchHooks[B](t.o.Callbacks, m, "Train"),
			rules: rulesOf("TrainingStep"), name: fmt.Sprintf("%T.TrainingStep", m),
		}
		f.closure = f.evaluate
		return f.run(o)
	})
}

// run is what all stages have in common: hooks, preparation, and the end, which comes after an error as well.
func run[B any](ctx context.Context, t *Trainer, stage Stage, m nn.Module, d any, f func() error) (err error) {
	if isNil(m) {
		return fmt.Errorf("trainer: %s: the module is nil", stage)
	}
	callbacks := t.o.Callbacks
	if c, ok := m.(CallbackConfigurer); ok {
		t.o.Callbacks = replaced(callbacks, c.ConfigureCallbacks())
		if err := checkStateKeys(t.o.Callbacks); err != nil {
			return err
		}
	}
	defer func() { t.o.Callbacks = callbacks }()
	if err := checkHooks(m, reflect.TypeFor[B]()); err != nil {
		return err
	}
	for _, c := range t.o.Callbacks {
		if err := checkHooks(c, nil); err != nil {
			return err
		}
	}
	t.stage, t.hooks, t.data = stage, newHookSet(t.o.Callbacks, m), d
	t.sanity, t.validating, t.at, t.rewind, t.metricStages = false, false, atStart, nil, map[Metric]bool{}
	if stage == Fitting {
		t.stop = false
	}
	err = t.guard(func() error {
		if err := t.prepare(ctx, m, d); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		err = errors.Join(err, t.guard(func() error { return t.hooks.exception.call(t, err) }))
	}
	t.results = nil
	return errors.Join(err, t.guard(func() error { return t.teardown(d) }))
}

// prepare calls what comes before the module is set up.
func (t *Trainer) prepare(ctx context.Context, m nn.Module, d any) error {
	for _, p := range []any{d, m} {
		if p, ok := p.(DataPreparer); ok {
			if err := t.l.RankZeroFirst(func() error {
				if t.l.LocalRank() != 0 {
					return nil
				}
				return p.PrepareData(ctx)
			}); err != nil {
				return fmt.Errorf("trainer: %T.PrepareData: %w", p, err)
			}
		}
	}
	if s, ok := d.(SetupHook); ok && !isNil(d) {
		if err := s.Setup(t, t.stage); err != nil {
			return fmt.Errorf("trainer: %T.Setup: %w", d, err)
		}
	}
	if err := t.hooks.setup.call(t); err != nil {
		return err
	}
	if c, ok := m.(ModelConfigurer); ok {
		if err := c.ConfigureModel(t); err != nil {
			return fmt.Errorf("trainer: %T.ConfigureModel: %w", m, err)
		}
	}
	return nil
}

func (t *Trainer) teardown(d any) error {
	var err error
	if s, ok := d.(TeardownHook); ok && !isNil(d) {
		if err = s.Teardown(t, t.stage); err != nil {
			err = fmt.Errorf("trainer: %T.Teardown: %w", d, err)
		}
	}
	return errors.Join(err, t.hooks.teardown.call(t), t.flushLoggers())
}

// isNil reports whether an argument is nil, also as a nil pointer in an interface.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// setUp sets a module up, once in a Trainer.
func (t *Trainer) setUp(m nn.Module) (*lite.Model[nn.Module, func()], error) {
	if model := t.models[m]; model != nil {
		return model, nil
	}
	model, err := lite.SetupOf(t.l, m, func(nn.Module) func() { return func() {} })
	if err != nil {
		return nil, fmt.Errorf("trainer: %T: %w", m, err)
	}
	if t.models == nil {
		t.models = map[nn.Module]*lite.Model[nn.Module, func()]{}
	}
	t.models[m] = model
	return model, nil
}

// fit is a Fit with its types.
type fit[B any] struct {
	ctx        context.Context
	t          *Trainer
	m          Module[B]
	d          TrainData[B]
	batchHooks *batchHooks[B]

	model   *lite.Model[nn.Module, func()]
	step    func(t *Trainer, batch B, batchIdx int) *torch.Tensor
	raw     *data.Loader[B] // as the data module made it
	loader  *data.Loader[B]
	loaded  int // the epoch for which the loader was made
	val     *evaluation[B]
	values  *results
	resume  *restored
	read    map[string]any // where the loader was before it read ahead, nil where it does not
	odd     bool           // the epoch was begun with another number of ranks: its last batch is known when it comes
	rewinds bool           // see Trainer.rewind

	batch B // the one that runs
	rules *logRules
	name  string // of TrainingStep, for messages

	closure func() *torch.Tensor // evaluate
	loss    *torch.Tensor        // its last result
}

func (f *fit[B]) run(o FitOptions) error {
	t := f.t
	path, err := t.checkpointPath(o.CkptPath)
	if err != nil {
		return err
	}
	if path != "" {
		t.resumedFrom = path
		if f.resume, err = t.readCheckpoint(path); err != nil {
			return err
		}
		if err := f.resume.loadModule(t, f.m, f.d); err != nil {
			return err
		}
	}
	f.loaded, f.values = -1, newResults(true)
	f.values.size = func() int { return batchSize(f.batch) }
	t.trainLoader, t.loaderStates, t.fitResults = f.load, f.states, f.values
	defer func() { t.trainLoader, t.loaderStates, t.fitResults = nil, nil, nil }()
	if err := f.setUp(); err != nil {
		return err
	}
	if err := t.plain("OnFitStart"); err != nil {
		return err
	}
	if err := t.logHyperparameters(f.m); err != nil {
		return err
	}
	if f.resume != nil {
		if err := f.resume.loadTraining(t); err != nil {
			return err
		}
	}
	t.validated, t.started, t.lastVal = false, time.Now(), time.Now()
	if err := f.train(); err != nil {
		return err
	}
	return t.plain("OnFitEnd")
}

// setUp makes optimizers and evaluation, and sets the module up.
func (f *fit[B]) setUp() error {
	t := f.t
	model, err := t.setUp(f.m)
	if err != nil {
		return err
	}
	f.model, t.model = model, model
	f.step = f.bindStep()
	t.where, t.running = rulesOf("ConfigureOptimizers"), fmt.Sprintf("%T.ConfigureOptimizers", f.m)
	c := f.m.ConfigureOptimizers(t)
	t.where, t.running = nil, ""
	if err := t.setOptimization(f.m, c); err != nil {
		return err
	}
	if err := t.l.SetupOptimizers(c.all()...); err != nil {
		return err
	}
	_, isValidator := any(f.m).(Validator[B])
	d, hasData := f.d.(ValData[B])
	if t.mayValidate = isValidator && hasData && t.o.LimitValBatches != Batches(0); t.mayValidate {
		f.val = newEvaluation(f.ctx, t, model, f.m, "Validation", d.ValDataLoaders)
		f.val.bind(func(m nn.Module) func(*Trainer, B, int) { return m.(Validator[B]).ValidationStep })
		f.val.limit, f.val.option = t.o.LimitValBatches, "LimitValBatches"
		f.val.training = func() any { return f.raw }
	}
	return nil
}

// bindStep gives TrainingStep the run's precision and ranks. As in Lightning, and unlike a model's Forward in lite, mixed
// precision leaves the batch in its type.
func (f *fit[B]) bindStep() func(t *Trainer, batch B, batchIdx int) *torch.Tensor {
	if !isMixed(f.t) {
		return lite.BindOf(f.model, func(m nn.Module) func(*Trainer, B, int) *torch.Tensor { return m.(Module[B]).TrainingStep })
	}
	var t *Trainer
	var batch B
	var idx int
	step := lite.BindOf(f.model, func(m nn.Module) func() *torch.Tensor {
		return func() *torch.Tensor { return m.(Module[B]).TrainingStep(t, batch, idx) }
	})
	return func(t2 *Trainer, b B, i int) *torch.Tensor {
		t, batch, idx = t2, b, i
		return step()
	}
}

// isMixed reports whether the precision is a mixed one.
func isMixed(t *Trainer) bool { return strings.HasSuffix(t.l.Precision(), "-mixed") }

// load makes the loader of training, if it is time to.
func (f *fit[B]) load() error {
	t := f.t
	if every := t.o.ReloadEvery; f.loader != nil && (every == 0 || t.Epoch()-f.loaded < every) {
		return nil
	}
	where := t.where
	t.where = rulesOf("DataLoaders")
	raw, err := f.d.TrainDataLoader(t)
	t.where = where
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("trainer: %T.TrainDataLoader returned no loader", f.d)
	}
	if f.raw != nil && f.raw != raw {
		delete(t.loaders, loaderKey{f.raw, t.o.OverfitBatches != Amount{}})
	}
	if f.raw = raw; f.val != nil && slices.Contains(f.val.raw, raw) {
		return errOneLoader
	}
	if f.loader, err = setUpLoader(t, raw, t.o.OverfitBatches != Amount{}); err != nil {
		return err
	}
	f.loaded = t.Epoch()
	length := noLimit
	if n := f.loader.Len(); n >= 0 {
		length = n
	}
	if t.trainBatches, err = t.o.LimitTrainBatches.limit("LimitTrainBatches", length); err != nil {
		return err
	}
	return t.setValInterval()
}

// loaderKey is a loader that a data module made, and whether it is read in order.
type loaderKey struct {
	raw     any
	inOrder bool
}

var errOneLoader = errors.New("trainer: one loader is given for training and for validation, which reads it in the middle of training's pass: make one for each")

// setUpLoader sets a loader up once: stages and epochs after that use it again.
func setUpLoader[B any](t *Trainer, raw *data.Loader[B], ordered bool) (l *data.Loader[B], err error) {
	key := loaderKey{raw, ordered}
	if l, ok := t.loaders[key].(*data.Loader[B]); ok {
		return l, nil
	}
	l = raw
	if ordered {
		if l, err = inOrder(raw); err != nil {
			return nil, err
		}
	}
	if l, err = lite.SetupDataLoader(t.l, l); err != nil {
		return nil, err
	}
	if t.loaders == nil {
		t.loaders = map[loaderKey]any{}
	}
	t.loaders[key] = l
	return l, nil
}

// train is Lightning's fit loop.
func (f *fit[B]) train() error {
	t := f.t
	for _, c := range t.o.Callbacks {
		if c, ok := c.(*ModelCheckpoint); ok && c.SaveOnException && t.l.WorldSize() == 1 {
			f.rewinds = true
		}
	}
	if err := f.sanityCheck(); err != nil {
		return err
	}
	if err := f.load(); err != nil {
		return err
	}
	if f.resume != nil {
		if err := f.loadExact(); err != nil {
			return err
		}
	}
	f.model.Train()
	if f.resume != nil && f.resume.at == atEpochEnd {
		if f.resume.own != nil {
			if err := t.stepPlateaus(); err != nil {
				return err
			}
		}
		t.epochs.completed()
	}
	if done, err := f.done(); err != nil || done {
		return err
	}
	if err := t.plain("OnTrainStart"); err != nil {
		return err
	}
	for {
		if done, err := f.done(); err != nil {
			return err
		} else if done {
			break
		}
		if err := f.epoch(); err != nil {
			return err
		}
	}
	if err := f.finalValidation(); err != nil {
		return err
	}
	return t.plain("OnTrainEnd")
}

// done reports whether training is over between two epochs.
func (f *fit[B]) done() (bool, error) {
	t := f.t
	if t.trainBatches == 0 {
		if t.o.LimitTrainBatches != Batches(0) && t.o.LimitTrainBatches != Fraction(0) {
			t.l.Logger().Warn("trainer: the loader of training has no batch: nothing is trained")
		}
		return true, nil
	}
	if t.o.MaxEpochs >= 0 && t.Epoch() > t.o.MaxEpochs && f.resume != nil {
		return true, fmt.Errorf("trainer: %s: the checkpoint has %d epochs, and MaxEpochs is %d: want at least as many", f.resume.path, t.Epoch(), t.o.MaxEpochs)
	}
	return t.o.MaxSteps > 0 && t.GlobalStep() >= t.o.MaxSteps || t.o.MaxEpochs >= 0 && t.Epoch() >= t.o.MaxEpochs || t.stopsNow(), nil
}

// stopsNow reports whether Stop was called and may have its effect.
func (t *Trainer) stopsNow() bool {
	return t.stop && t.epochs.current.processed >= t.o.MinEpochs && t.GlobalStep() >= t.o.MinSteps
}

// plain calls a hook without arguments.
func (t *Trainer) plain(name string) error { return t.hooks.plain[name].call(t) }

// sanityCheck validates some batches before training, and leaves no trace of it.
func (f *fit[B]) sanityCheck() error {
	t := f.t
	if f.val == nil || t.o.NoSanityCheck || f.resume.inEpoch() {
		return nil
	}
	t.sanity = true
	defer func() { t.sanity = false }()
	if err := t.plain("OnSanityCheckStart"); err != nil {
		return err
	}
	err := t.isolated(func() error {
		_, err := f.val.run()
		return err
	})
	if err != nil {
		return err
	}
	t.logged = logged{}
	return t.plain("OnSanityCheckEnd")
}

// finalValidation validates weights that no validation has seen.
func (f *fit[B]) finalValidation() error {
	t := f.t
	if f.val == nil || t.o.NoFinalValidation || t.o.FastDevRun > 0 || t.validated && t.weightsValidated == t.GlobalStep() {
		return nil
	}
	return f.validate()
}

func (f *fit[B]) validate() error {
	t := f.t
	t.validating = true
	_, err := f.val.run()
	t.validating = false
	t.results = f.values
	t.lastVal, t.validated, t.weightsValidated = time.Now(), true, t.GlobalStep()
	return err
}
