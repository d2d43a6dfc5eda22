package trainer

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/golite/golite/lite"
	tm "github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

// results are the values that the hooks of a stage log in an epoch (Lightning's _ResultCollection). Training has its
// own, evaluation another.
type results struct {
	training bool
	inBatch  bool // a batch runs: the values of steps are current, else those of the epoch
	loader   int  // the loader of the batch among several, else noLoader
	size     func() int
	batches  int // of this rank in the epoch

	list []*result // in the order in which they were logged first
	by   map[resultKey]*result
}

const noLoader = -1

type resultKey struct {
	rules  *logRules
	name   string
	loader int
}

// result is one name that a hook logs.
type result struct {
	resultKey
	o      LogOptions
	metric Metric

	restored bool // from a checkpoint, and not logged since
	fresh    bool // it has a value since the last reset
	step     value
	sum      value // reduced so far
	weight   int64 // of a Mean
	computed bool
	epoch    value
}

func newResults(training bool) *results {
	return &results{training: training, loader: noLoader, by: map[resultKey]*result{}}
}

// log adds a value.
func (r *results) log(t *Trainer, rules *logRules, name string, v any, o LogOptions) {
	key := resultKey{rules, name, r.loader}
	x := r.by[key]
	if x == nil {
		x = &result{resultKey: key, o: o}
		r.by[key], r.list = x, append(r.list, x)
	}
	if x.restored { // the program may have changed since
		x.fresh = x.fresh && o.Reduce == x.o.Reduce && o.When == x.o.When
		x.o, x.restored = o, false
	}
	if o != x.o {
		torch.Fail("trainer.Log", "%q was logged twice in %s with other options (%+v, then %+v): use one of them, or two names", name, rules.name, x.o, o)
	}
	if m, ok := v.(Metric); ok {
		x.setMetric(t, m)
	} else if w, err := valueOf(v); err != nil {
		torch.Fail("trainer.Log", "%q: %v", name, err)
	} else {
		x.add(w, r.batchSize(o))
	}
	x.fresh, x.computed = true, false
}

// batchSize is the weight of a value.
func (r *results) batchSize(o LogOptions) int {
	switch {
	case o.BatchSize > 0:
		return o.BatchSize
	case o.When&OnEpoch == 0 || o.Reduce != Mean || !r.inBatch || r.size == nil:
		return 1
	}
	return r.size()
}

func (x *result) setMetric(t *Trainer, m Metric) {
	if training := t.results.training; t.stage == Fitting {
		if other, ok := t.metricStages[m]; ok && other != training {
			torch.Fail("trainer.Log", "%q is a metric that training and validation log: the end of one would reset that of the other; make one for each", x.name)
		}
		t.metricStages[m] = training
	}
	if x.metric != nil && x.metric != m {
		torch.Fail("trainer.Log", "%q is a metric in %s, and another one now: log each metric under a name of its own", x.name, x.rules.name)
	}
	x.metric = m
	if last := m.Last(); last != nil && x.o.When&OnStep != 0 {
		var err error
		if x.step, err = tensorValue(last); err != nil {
			torch.Fail("trainer.Log", "%q: Last of the metric: %v", x.name, err)
		}
		x.step.keep()
	}
}

// add reduces a value into those of the epoch.
func (x *result) add(v value, size int) {
	x.step = v.keep()
	if x.o.When&OnEpoch == 0 {
		return
	}
	if !x.fresh {
		x.weight = 0
		switch x.o.Reduce {
		case Min:
			x.sum = number(math.Inf(1))
		case Max:
			x.sum = number(math.Inf(-1))
		default:
			x.sum = number(0)
		}
	}
	if x.o.Reduce == Mean {
		v = v.scaled(size)
		x.weight += int64(size)
	}
	x.sum = x.sum.with(v, x.o.Reduce).keep()
}

// current are the results with a value that belong to the loader that runs.
func (r *results) current() iter.Seq[*result] {
	return func(yield func(*result) bool) {
		for _, x := range r.list {
			if x.fresh && x.loader == r.loader && !yield(x) {
				return
			}
		}
	}
}

// reset drops the values; the names stay.
func (r *results) reset() {
	for _, x := range r.list {
		if x.fresh && x.metric != nil {
			x.metric.Reset()
		}
		x.fresh, x.computed = false, false
		x.step, x.sum, x.epoch = value{}, value{}, value{}
	}
	r.inBatch, r.batches = false, 0
}

// keys returns the key without and with the suffix of a value logged by step and by epoch.
func (x *result) keys(step bool) (name, forked string) {
	name, forked = x.name, x.name
	if x.o.When == OnStep|OnEpoch {
		if forked += "_epoch"; step {
			forked = x.name + "_step"
		}
	}
	if x.loader != noLoader && !x.o.NoLoaderIdx {
		suffix := fmt.Sprintf("/dataloader_idx_%d", x.loader)
		name, forked = name+suffix, forked+suffix
	}
	return name, forked
}

// metrics are values by their keys.
type metrics map[string]value

func (m metrics) values() iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for key, v := range m {
			if !yield(key, v.float()) {
				return
			}
		}
	}
}

func (m metrics) floats() map[string]float64 { return maps.Collect(m.values()) }

// any returns the values as they are saved.
func (m metrics) any() map[string]any {
	out := map[string]any{}
	for key, v := range m.values() {
		out[key] = v
	}
	return out
}

// load adds what any returned.
func (m *metrics) load(saved map[string]any) {
	if *m == nil {
		*m = metrics{}
	}
	for key, v := range saved {
		if x, ok := v.(float64); ok {
			(*m)[key] = value{x: x}
		}
	}
}

// logged are the last values for callbacks, the loggers and the bar.
type logged struct{ callback, log, bar metrics }

func (l *logged) update(m logged) {
	for _, d := range []struct {
		to   *metrics
		from metrics
	}{{&l.callback, m.callback}, {&l.log, m.log}, {&l.bar, m.bar}} {
		if *d.to == nil {
			*d.to = metrics{}
		}
		maps.Copy(*d.to, d.from)
	}
}

// collect returns the values that are current: of the last step inside of a batch, else of the epoch, which are reduced
// over the ranks; all ranks call it then.
func (r *results) collect(t *Trainer) (m logged) {
	m = logged{callback: metrics{}, log: metrics{}, bar: metrics{}}
	if !r.inBatch {
		r.compute(t)
	}
	for x := range r.current() {
		v := x.epoch
		switch {
		case r.inBatch && x.o.When&OnStep != 0:
			v = x.step
		case r.inBatch || x.o.When&OnEpoch == 0:
			continue
		}
		name, forked := x.keys(r.inBatch)
		if !x.o.NoLogger {
			m.log[forked] = v
		}
		if r.training || !r.inBatch {
			m.callback[name], m.callback[forked] = v, v
		}
		if x.o.ProgBar {
			m.bar[forked] = v
		}
	}
	return m
}

// compute makes the epoch's values, once.
func (r *results) compute(t *Trainer) {
	var due, computed []*result
	for x := range r.current() {
		if x.o.When&OnEpoch == 0 || x.computed {
			continue
		}
		x.computed = true
		switch {
		case x.metric != nil:
			computed = append(computed, x)
		case x.o.NoSyncDist || t.l.WorldSize() == 1:
			x.epoch = x.sum
			if x.o.Reduce == Mean {
				x.epoch = x.sum.over(x.weight)
			}
		default:
			due = append(due, x)
		}
	}
	if t.l.WorldSize() > 1 {
		r.reduce(t, due, computed)
	}
	for _, x := range computed {
		var err error
		var ranks tm.Ranks
		if !x.o.NoSyncDist {
			ranks = t.l
		}
		if x.epoch, err = tensorValue(x.metric.Compute(ranks)); err != nil {
			torch.Fail("trainer.Log", "%q: Compute of the metric: %v; log each of its values by a name of its own", x.name, err)
		}
	}
}

// share is what a rank has of the values of an epoch.
type share struct {
	Batches int
	Keys    []string
	Sums    []float64
	Weights []int64
	Metrics []string // keys of those that reduce by themselves, on all ranks at once
}

// reduce reduces values over the ranks, exactly: by the sums of value and weight. Ranks that logged other names are an
// error on all, unless one had no batch and the values are no metrics, which all ranks compute.
func (r *results) reduce(t *Trainer, due, computed []*result) {
	own := share{Batches: r.batches}
	for _, x := range due {
		_, key := x.keys(false)
		own.Keys = append(own.Keys, x.rules.name+" "+key)
		own.Sums = append(own.Sums, x.sum.float())
		own.Weights = append(own.Weights, x.weight)
	}
	for _, x := range computed {
		_, key := x.keys(false)
		own.Metrics = append(own.Metrics, x.rules.name+" "+key)
	}
	all := lite.AllGather(t.l, own)
	checkKeys(t, all)
	for i, x := range due {
		sum, weight, first := 0.0, int64(0), true
		for _, s := range all {
			at := slices.Index(s.Keys, own.Keys[i])
			if at < 0 {
				continue
			}
			weight += s.Weights[at]
			switch v := s.Sums[at]; {
			case first:
				sum, first = v, false
			case x.o.Reduce == Min:
				sum = math.Min(sum, v)
			case x.o.Reduce == Max:
				sum = math.Max(sum, v)
			default:
				sum += v
			}
		}
		if x.o.Reduce == Mean {
			sum /= float64(weight)
		}
		if x.epoch = (value{x: sum}); x.sum.single {
			x.epoch = number(sum)
		}
	}
}

func checkKeys(t *Trainer, all []share) {
	for rank, s := range all {
		if !slices.Equal(s.Metrics, all[0].Metrics) {
			t.Fail(fmt.Errorf("trainer: rank 0 has logged the metrics [%s] in this epoch and rank %d [%s]: all ranks compute a metric together; "+
				"log it on all, also on one without a batch", strings.Join(all[0].Metrics, ", "), rank, strings.Join(s.Metrics, ", ")))
		}
	}
	first := -1
	for rank, s := range all {
		switch {
		case s.Batches == 0 && len(s.Keys) == 0:
		case first < 0:
			first = rank
		case !slices.Equal(s.Keys, all[first].Keys):
			t.Fail(fmt.Errorf("trainer: rank %d has logged [%s] in this epoch and rank %d [%s]: Log is called with the same names on all ranks, "+
				"or with NoSyncDist", first, strings.Join(all[first].Keys, ", "), rank, strings.Join(s.Keys, ", ")))
		}
	}
}

// refresh makes the values that were logged since available.
func (t *Trainer) refresh() {
	if t.results != nil && t.results.inBatch {
		t.logged.update(t.results.collect(t))
	}
}
