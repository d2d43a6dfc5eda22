package trainer

import (
	"fmt"
	"math"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// dumpOwn returns what a checkpoint has besides Lightning's, so that Fit goes on exactly: where in the epoch it is, the
// loaders, and what each rank has logged of the epoch.
func (t *Trainer) dumpOwn() (map[string]any, error) {
	own := map[string]any{"position": string(t.at), "manual_steps": t.manualSteps.total.completed, "version": 1}
	if t.stage != Fitting || t.loaderStates == nil {
		return own, nil
	}
	if t.midAccumulation() && t.optimizer != nil {
		own["gradients"] = t.gradients()
	}
	train, val := t.loaderStates()
	own["loader"] = train
	if len(val) > 0 {
		own["val_loaders"] = val
	}
	var ranks []any
	for _, list := range lite.AllGather(t.l, t.fitResults.dump()) {
		var values []any
		for _, r := range list {
			values = append(values, r.fields())
		}
		ranks = append(ranks, values)
	}
	own["results"] = ranks
	var metrics []any
	for _, x := range t.fitResults.list {
		if x.fresh && x.metric != nil {
			metrics = append(metrics, x.name)
		}
	}
	if len(metrics) > 0 {
		own["metrics_in_progress"] = metrics
	}
	own["metrics"] = t.logged.callback.any()
	return own, nil
}

// resultState is a result as it is saved.
type resultState struct {
	Hook, Name                     string
	When, Reduce, BatchSize        int
	ProgBar, NoLogger, NoSyncDist  bool
	HasStep, StepSingle, SumSingle bool
	Step, Sum                      float64
	Weight                         int64
}

func (r *results) dump() (list []resultState) {
	for _, x := range r.list {
		if !x.fresh || x.metric != nil {
			continue
		}
		list = append(list, resultState{
			Hook: x.rules.method, Name: x.name, When: int(x.o.When), Reduce: int(x.o.Reduce), BatchSize: x.o.BatchSize,
			ProgBar: x.o.ProgBar, NoLogger: x.o.NoLogger, NoSyncDist: x.o.NoSyncDist,
			Step: x.step.float(), StepSingle: x.step.single, Sum: x.sum.float(), SumSingle: x.sum.single, Weight: x.weight,
		})
	}
	return list
}

func (r resultState) fields() map[string]any {
	return map[string]any{
		"hook": r.Hook, "name": r.Name, "when": r.When, "reduce": r.Reduce, "batch_size": r.BatchSize, "prog_bar": r.ProgBar,
		"no_logger": r.NoLogger, "no_sync_dist": r.NoSyncDist, "step": r.Step, "step_single": r.StepSingle, "sum": r.Sum,
		"sum_single": r.SumSingle, "weight": int(r.Weight),
	}
}

func resultFrom(v any) (*result, error) {
	m, ok := v.(map[string]any)
	hook, _ := m["hook"].(string)
	rules := rulesOf(hook)
	name, _ := m["name"].(string)
	if !ok || rules == nil || name == "" {
		return nil, fmt.Errorf("%s.results has the value %v: want a hook and a name", ownKey, v)
	}
	number := func(key string) float64 {
		switch v := m[key].(type) {
		case float64:
			return v
		case int:
			return float64(v)
		}
		return math.NaN()
	}
	is := func(key string) bool { b, _ := m[key].(bool); return b }
	return &result{
		resultKey: resultKey{rules, name, noLoader}, restored: true, fresh: true, weight: int64(intOf(m["weight"])),
		o: LogOptions{
			When: When(intOf(m["when"])), Reduce: Reduce(intOf(m["reduce"])), BatchSize: intOf(m["batch_size"]),
			ProgBar: is("prog_bar"), NoLogger: is("no_logger"), NoSyncDist: is("no_sync_dist"),
		},
		step: value{x: number("step"), single: is("step_single")}, sum: value{x: number("sum"), single: is("sum_single")},
	}, nil
}

// loadResults restores what was logged in the epoch. Where the number of ranks is another, rank 0 has the values of all.
func (r *results) loadResults(t *Trainer, v any) error {
	ranks, ok := v.([]any)
	if !ok && v != nil {
		return fmt.Errorf("%s.results is a %T: want a list for each rank", ownKey, v)
	}
	var lists []any
	switch {
	case len(ranks) == t.l.WorldSize():
		lists = ranks[t.l.GlobalRank() : t.l.GlobalRank()+1]
	case t.l.IsGlobalZero():
		lists = ranks
	}
	for _, list := range lists {
		values, ok := list.([]any)
		if !ok && list != nil {
			return fmt.Errorf("%s.results has a %T: want a list of logged values", ownKey, list)
		}
		for _, v := range values {
			x, err := resultFrom(v)
			if err != nil {
				return err
			}
			have := r.by[x.resultKey]
			if have == nil {
				r.by[x.resultKey], r.list = x, append(r.list, x)
				continue
			}
			have.sum, have.weight = have.sum.with(x.sum, x.o.Reduce), have.weight+x.weight
		}
		r.batches = 1
	}
	return nil
}

// loadExact puts the loaders where they were, and restores the streams and what was logged in the epoch. It comes last
// before training, as what is made before it draws random numbers. A file of Lightning's has none of this: training
// goes on with its counters, and the loader begins a pass.
func (f *fit[B]) loadExact() error {
	t, r := f.t, f.resume
	if r.own == nil {
		if r.inEpoch() {
			t.l.Logger().Warn("trainer: " + r.path + " was saved by Lightning in the middle of an epoch: it does not have the position of the loader, " +
				"whose pass begins anew; only as many batches as are left of the epoch are read of it")
		}
		return nil
	}
	load := func(to stateful, v any) error {
		if v == nil {
			return nil
		}
		return loadMap(to, v)
	}
	if err := load(f.loader, r.own["loader"]); err != nil {
		return fmt.Errorf("trainer: %s: the loader: %w", r.path, err)
	}
	vals, err := entry[[]any](r.own, "val_loaders")
	if err != nil {
		return r.wrong(within(ownKey, err))
	}
	for i, v := range vals {
		if f.val == nil || i >= len(f.val.loaders) {
			break
		}
		if err := load(f.val.loaders[i], v); err != nil {
			return fmt.Errorf("trainer: %s: loader %d of validation: %w", r.path, i, err)
		}
	}
	metrics, err := entry[map[string]any](r.own, "metrics")
	if err != nil {
		return r.wrong(within(ownKey, err))
	}
	t.logged.callback.load(metrics)
	if err := t.loadGradients(r.own["gradients"]); err != nil {
		return fmt.Errorf("trainer: %s: %w", r.path, err)
	}
	if r.inEpoch() {
		if names, _ := r.own["metrics_in_progress"].([]any); len(names) > 0 {
			t.l.Logger().Warn(fmt.Sprintf("trainer: %s was saved in the middle of an epoch, and does not have what the metrics %v had added up: "+
				"their values of this epoch are of what is left of it", r.path, names))
		}
		if err := f.values.loadResults(t, r.own["results"]); err != nil {
			return fmt.Errorf("trainer: %s: %w", r.path, err)
		}
	}
	_, err = t.l.Load(r.path, lite.State{ownKey: streams{}}, lite.LoadOptions{OnlyState: true})
	return err
}

// streams has Load restore the random streams: it looks like something that is trained further.
type streams struct{}

func (streams) StateDict() map[string]any          { return nil }
func (streams) LoadStateDict(map[string]any) error { return nil }

// snapshot returns what puts counters, buffers, streams and logged values as they are now, and reports whether it could: no
// optimizer has stepped since.
func (f *fit[B]) snapshot() func() bool {
	t := f.t
	train, val := f.states()
	torch.EachTensor([]any{train, val}, func(t *torch.Tensor) { t.Keep() }) // the batch's scope ends before they are used
	batches, steps, zeroGrads, schedulers, manual := t.batches, t.steps, t.zeroGrads, t.schedulerSteps, t.manualSteps
	isLast, step, updates := t.isLastBatch, t.GlobalStep(), t.manualUpdates
	logged := f.values.dump()
	var restore []func()
	for _, b := range nn.NamedBuffers(f.m) {
		saved := b.Detach().Clone().Keep()
		restore = append(restore, func() { b.Copy_(saved) })
	}
	streams := t.streams()
	return func() bool {
		if t.GlobalStep() != step || t.manualUpdates != updates {
			return false
		}
		t.batches, t.steps, t.zeroGrads, t.schedulerSteps, t.manualSteps, t.isLastBatch = batches, steps, zeroGrads, schedulers, manual, isLast
		t.loaderStates = func() (map[string]any, []any) { return train, val }
		t.fitResults = newResults(true)
		for _, r := range logged {
			if x, err := resultFrom(r.fields()); err == nil {
				t.fitResults.list = append(t.fitResults.list, x)
			}
		}
		torch.NoGrad(func() {
			for _, f := range restore {
				f()
			}
		})
		streams()
		return true
	}
}

// otherRanks reports whether the loader's pass was begun with another number of ranks.
func (r *restored) otherRanks(t *Trainer) bool {
	loader, _ := r.own["loader"].(map[string]any)
	n, ok := loader["replicas"]
	return ok && intOf(n) != t.l.WorldSize()
}

// states returns the states of the loaders.
func (f *fit[B]) states() (train map[string]any, val []any) {
	if f.val != nil {
		for _, l := range f.val.loaders {
			val = append(val, l.StateDict())
		}
	}
	if f.read != nil {
		return f.read, val
	}
	return f.loader.StateDict(), val
}

// gradients returns those of the optimizer's parameters, in their order; nil where a parameter has none.
func (t *Trainer) gradients() (list []any) {
	for _, g := range torch.Grads(t.optimizer.Tensors()) {
		if g == nil {
			list = append(list, nil)
		} else {
			list = append(list, g.Detach())
		}
	}
	return list
}

func (t *Trainer) loadGradients(v any) error {
	list, ok := v.([]any)
	if !ok && v != nil {
		return fmt.Errorf("%s.gradients is a %T: want a list", ownKey, v)
	}
	params := t.optimizerTensors()
	if v == nil || len(list) == 0 {
		return nil
	}
	if len(list) != len(params) {
		return fmt.Errorf("it has %d gradients of an accumulation, and the optimizer %d parameters", len(list), len(params))
	}
	for i, p := range params {
		g, ok := list[i].(*torch.Tensor)
		if !ok && list[i] != nil {
			return fmt.Errorf("%s.gradients has a %T: want tensors", ownKey, list[i])
		}
		if ok {
			if err := torch.Try(func() { p.SetGrad(g.To(p.Device(), p.DType())) }); err != nil {
				return fmt.Errorf("gradient %d: %w", i, err)
			}
		}
	}
	return nil
}

func (t *Trainer) optimizerTensors() []*torch.Tensor {
	if t.optimizer == nil {
		return nil
	}
	return t.optimizer.Tensors()
}
