package trainer

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
)

// Validate runs the validation of a module (Trainer.validate) and returns, for each loader, the values of the epoch by
// their keys. All ranks call it.
func Validate[B any](ctx context.Context, t *Trainer, m Validator[B], d ValData[B], opts ...FitOptions) ([]map[string]float64, error) {
	return evaluate(ctx, t, Validating, m, d, opts, func(model *lite.Model[nn.Module, func()]) *evaluation[B] {
		e := newEvaluation(ctx, t, model, m, "Validation", d.ValDataLoaders)
		e.bind(func(m nn.Module) func(*Trainer, B, int) { return m.(Validator[B]).ValidationStep })
		e.limit, e.option = t.o.LimitValBatches, "LimitValBatches"
		return e
	})
}

// Test runs the test of a module (Trainer.test) and returns, for each loader, the values of the epoch by their keys. All
// ranks call it.
func Test[B any](ctx context.Context, t *Trainer, m Tester[B], d TestData[B], opts ...FitOptions) ([]map[string]float64, error) {
	return evaluate(ctx, t, Testing, m, d, opts, func(model *lite.Model[nn.Module, func()]) *evaluation[B] {
		e := newEvaluation(ctx, t, model, m, "Test", d.TestDataLoaders)
		e.bind(func(m nn.Module) func(*Trainer, B, int) { return m.(Tester[B]).TestStep })
		e.limit, e.option = t.o.LimitTestBatches, "LimitTestBatches"
		return e
	})
}

// Predict runs a module over its loaders (Trainer.predict) and returns this rank's predictions, by loader and batch. All
// ranks call it.
func Predict[B, P any](ctx context.Context, t *Trainer, m Predictor[B, P], d PredictData[B], opts ...FitOptions) (predictions [][]P, err error) {
	loaders := 0
	_, err = evaluate(ctx, t, Predicting, m, d, opts, func(model *lite.Model[nn.Module, func()]) *evaluation[B] {
		e := newEvaluation(ctx, t, model, m, "Predict", d.PredictDataLoaders)
		e.bind(func(m nn.Module) func(*Trainer, B, int) {
			return func(t *Trainer, b B, i int) {
				loaders = len(e.loaders)
				p := m.(Predictor[B, P]).PredictStep(t, b, i)
				for len(predictions) <= t.loaderIdx {
					predictions = append(predictions, nil)
				}
				predictions[t.loaderIdx] = append(predictions[t.loaderIdx], p)
				e.result = p
			}
		})
		e.limit, e.option = t.o.LimitPredictBatches, "LimitPredictBatches"
		return e
	})
	for err == nil && len(predictions) < loaders {
		predictions = append(predictions, nil)
	}
	return predictions, err
}

func evaluate[B any](ctx context.Context, t *Trainer, stage Stage, m nn.Module, d any, opts []FitOptions,
	begin func(model *lite.Model[nn.Module, func()]) *evaluation[B]) (values []map[string]float64, err error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("trainer: %s: %w", stage, err)
	}
	if isNil(d) {
		return nil, fmt.Errorf("trainer: %s: the data module is nil", stage)
	}
	err = run[B](ctx, t, stage, m, d, func() error {
		path, err := t.checkpointPath(o.CkptPath)
		if err != nil {
			return err
		}
		if path != "" {
			c, err := t.readCheckpoint(path)
			if err != nil {
				return err
			}
			if err := c.loadWeights(t, m); err != nil {
				return err
			}
		}
		model, err := t.setUp(m)
		if err != nil {
			return err
		}
		t.model = model
		if err := t.logHyperparameters(m); err != nil {
			return err
		}
		values, err = begin(model).run()
		return err
	})
	return values, err
}

// evaluation is the loop of validation, Test or Predict over loaders of one type of batches.
type evaluation[B any] struct {
	ctx        context.Context
	t          *Trainer
	model      *lite.Model[nn.Module, func()]
	kind       string // "Validation", "Test", "Predict"
	step       func(t *Trainer, batch B, batchIdx int)
	rules      *logRules
	name       string // of the step, for messages
	make       func(t *Trainer) ([]*data.Loader[B], error)
	limit      Amount
	option     string // the name of limit
	batchHooks *batchHooks[B]
	values     *results
	result     any // the last prediction

	raw      []*data.Loader[B] // as the data module made them
	loaders  []*data.Loader[B]
	training func() any // the loader of Fit's training
	limits   []int
	loaded   int // the epoch in which the loaders were made
	seen     []int
	batch    B
}

func newEvaluation[B any](ctx context.Context, t *Trainer, model *lite.Model[nn.Module, func()], m nn.Module, kind string,
	make func(t *Trainer) ([]*data.Loader[B], error)) *evaluation[B] {
	e := &evaluation[B]{
		ctx: ctx, t: t, model: model, kind: kind, make: make, rules: rulesOf(kind + "Step"), name: fmt.Sprintf("%T.%sStep", m, kind),
		batchHooks: newBatchHooks[B](t.o.Callbacks, m, kind), values: newResults(false),
	}
	e.values.size = func() int { return batchSize(e.batch) }
	return e
}

// bind gives the step the run's precision, as fit.bindStep does.
func (e *evaluation[B]) bind(step func(m nn.Module) func(*Trainer, B, int)) {
	if !isMixed(e.t) {
		e.step = lite.BindOf(e.model, step)
		return
	}
	var batch B
	var idx int
	run := lite.BindOf(e.model, func(m nn.Module) func() { return func() { step(m)(e.t, batch, idx) } })
	e.step = func(_ *Trainer, b B, i int) {
		batch, idx = b, i
		run()
	}
}

// load makes the loaders, if it is time to.
func (e *evaluation[B]) load() error {
	t := e.t
	if every := t.o.ReloadEvery; e.loaders != nil && (t.sanity || every == 0 || t.Epoch()-e.loaded < every) {
		return nil
	}
	where := t.where
	t.where = rulesOf("DataLoaders")
	raw, err := e.make(t)
	t.where = where
	if err != nil {
		return err
	}
	if len(raw) == 0 && t.stage != Fitting {
		return fmt.Errorf("trainer: the data module has no loader for %s, which %sData returns", t.stage, e.kind)
	}
	for _, r := range e.raw {
		if !slices.Contains(raw, r) {
			delete(t.loaders, loaderKey{r, t.o.OverfitBatches != Amount{} && t.stage == Fitting})
		}
	}
	e.raw = raw
	e.loaders, e.limits, e.seen, e.loaded = []*data.Loader[B]{}, nil, make([]int, len(raw)), t.Epoch()
	for i, r := range raw {
		if r == nil {
			return fmt.Errorf("trainer: loader %d of %s is nil", i, e.kind)
		}
		if e.training != nil && e.training() == any(r) {
			return errOneLoader
		}
		l, err := setUpLoader(t, r, t.o.OverfitBatches != Amount{} && t.stage == Fitting)
		if err != nil {
			return err
		}
		length := noLimit
		if n := l.Len(); n >= 0 {
			length = n
		}
		n, err := e.limit.limit(e.option, length)
		if err != nil {
			return err
		}
		e.loaders, e.limits = append(e.loaders, l), append(e.limits, n)
	}
	if t.stage == Fitting {
		t.mayValidate = slices.Max(append(e.limits, 0)) > 0
	}
	return nil
}

// run evaluates, and returns the values of each loader.
func (e *evaluation[B]) run() (values []map[string]float64, err error) {
	t := e.t
	if err := e.load(); err != nil {
		return nil, err
	}
	total := 0
	for i := range e.limits {
		total += e.max(i)
	}
	if total == 0 {
		return nil, nil
	}
	t.results = e.values
	e.values.reset() // what an evaluation before left that an error ended
	t.valBatches.reset()
	restore := evalMode(e.model.Module)
	defer restore()
	var logs []metrics
	pass := func() {
		if err = e.hooks("Start", "EpochStart"); err != nil {
			return
		}
		for i := range e.loaders {
			var m metrics
			if m, err = e.pass(i); err != nil {
				return
			}
			logs = append(logs, m)
		}
	}
	if torch.NoGrad(pass); err != nil {
		return nil, err
	}
	return e.end(logs)
}

// max is the number of batches that are read of a loader.
func (e *evaluation[B]) max(i int) int {
	if n := e.t.o.NumSanityValSteps; e.t.sanity && n >= 0 {
		return min(n, e.limits[i])
	}
	return e.limits[i]
}

func (e *evaluation[B]) hooks(moments ...string) error {
	for _, m := range moments {
		if err := e.t.plain("On" + e.kind + m); err != nil {
			return err
		}
	}
	return nil
}

// pass runs one loader, and returns its values.
func (e *evaluation[B]) pass(i int) (metrics, error) {
	t := e.t
	t.loaderIdx = i
	defer func() { t.loaderIdx = 0 }()
	e.values.loader = noLoader
	if len(e.loaders) > 1 {
		e.values.loader = i
	}
	e.values.batches = 0
	idx, most := 0, e.max(i)
	if most > 0 {
		for batch, err := range e.loaders[i].Batches(e.ctx) {
			if err != nil {
				return nil, err
			}
			e.batch = batch
			if err := e.evalBatch(i, idx); err != nil {
				return nil, err
			}
			if idx++; idx == most {
				break
			}
		}
	}
	var none B
	e.batch, e.result = none, nil
	e.values.inBatch = false
	m := e.values.collect(t)
	t.logged.update(m)
	e.values.loader = noLoader
	return m.log, nil
}

func (e *evaluation[B]) evalBatch(loader, idx int) error {
	t := e.t
	t.valBatches.ready()
	e.values.inBatch = true
	e.values.batches++
	err := e.batchHooks.start.each(t, func(h func(*Trainer, B, int) error) error { return h(t, e.batch, idx) })
	if err != nil {
		return err
	}
	t.valBatches.started()
	where, running := t.where, t.running
	t.where, t.running = e.rules, e.name
	e.step(t, e.batch, idx)
	t.where, t.running = where, running
	t.valBatches.processed()
	err = e.batchHooks.end.each(t, func(h func(*Trainer, any, *torch.Tensor, B, int) error) error {
		return h(t, e.result, nil, e.batch, idx)
	})
	if err != nil {
		return err
	}
	t.valBatches.completed()
	if t.sanity || e.kind == "Predict" {
		return nil
	}
	e.seen[loader]++
	return t.logEvalStep(e.values, e.seen[loader])
}

// end calls the hooks of the epoch's end and logs its values.
func (e *evaluation[B]) end(logs []metrics) (values []map[string]float64, err error) {
	t := e.t
	e.values.inBatch = false
	if err := e.hooks("EpochEnd"); err != nil {
		return nil, err
	}
	m := e.values.collect(t)
	t.logged.update(m)
	all := metrics{}
	for _, l := range append(logs, m.log) {
		maps.Copy(all, l)
	}
	if !t.sanity && e.kind != "Predict" {
		for _, l := range logs {
			maps.Copy(l, m.log)
			values = append(values, l.floats())
		}
		if err := t.logMetrics(all, t.steppedBatches); err != nil {
			return nil, err
		}
	}
	err = e.hooks("End")
	e.values.reset()
	return values, err
}
