package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// lightningVersion is whose files checkpoints are: that version of Lightning reads them without a conversion.
const lightningVersion = "2.6.6"

// ownKey is the key of what a checkpoint has besides Lightning's: see ownState.
const ownKey = "golite_trainer"

// position is where in an epoch a checkpoint was saved, and what follows after it is loaded.
type position string

const (
	atStart         position = "start"          // outside of training
	atBatchEnd      position = "batch_end"      // in OnTrainBatchEnd
	atValidationEnd position = "validation_end" // in OnValidationEnd, in the middle of training
	atStepEnd       position = "step_end"       // between two batches
	atEpochEnd      position = "epoch_end"      // in OnTrainEpochEnd
)

// stateful is a callback or data module with state.
type stateful interface {
	StateDict() map[string]any
	LoadStateDict(map[string]any) error
}

// SaveCheckpoint saves a checkpoint that Fit goes on from exactly, and that Lightning reads
// (Trainer.save_checkpoint). All ranks call it. On several ranks it is refused in the middle of an accumulation, as each
// rank has gradients of its own there.
func (t *Trainer) SaveCheckpoint(path string) error { return t.save(path, false, false) }

// SaveWeights saves the module's weights and hyperparameters as a checkpoint of Lightning's
// (Trainer.save_checkpoint(weights_only=True)). All ranks call it.
func (t *Trainer) SaveWeights(path string) error { return t.save(path, true, false) }

func (t *Trainer) save(path string, weightsOnly, async bool) error {
	if t.model == nil {
		return errors.New("trainer: there is no module to save: it is there from OnFitStart on")
	}
	if !weightsOnly && t.midAccumulation() && t.l.WorldSize() > 1 {
		return fmt.Errorf("trainer: %s is not saved in the middle of an accumulation (batch %d of %d): its gradients are of no step yet; save where GlobalStep has changed",
			path, t.batches.current.ready, t.accumulate)
	}
	checkpoint, err := t.dump(weightsOnly)
	if err != nil {
		return err
	}
	if err := t.hooks.save.call(t, checkpoint); err != nil {
		return err
	}
	return t.l.Save(path, lite.State(checkpoint), lite.SaveOptions{Async: async})
}

// midAccumulation reports whether there are gradients of batches whose step is to come.
func (t *Trainer) midAccumulation() bool {
	return t.stage == Fitting && (t.at == atBatchEnd || t.at == atValidationEnd) && t.accumulating()
}

// dump returns the content of a checkpoint.
func (t *Trainer) dump(weightsOnly bool) (map[string]any, error) {
	c := map[string]any{
		"epoch": t.Epoch(), "global_step": t.lightningStep(), "pytorch-lightning_version": lightningVersion,
		"state_dict": t.model, "loops": t.dumpLoops(),
	}
	if h, ok := t.model.Module.(HyperparameterSaver); ok {
		c["hparams_name"], c["hyper_parameters"] = nil, h.Hyperparameters()
	}
	if weightsOnly {
		return c, nil
	}
	callbacks := map[string]any{}
	for _, cb := range t.o.Callbacks {
		if s, ok := cb.(stateful); ok {
			callbacks[stateKey(cb)] = s.StateDict()
		}
	}
	var optimizers, schedulers []any
	for _, o := range t.Optimizers() {
		optimizers = append(optimizers, o) // Save converts it: ranks may hold parts
	}
	for _, s := range t.schedules {
		schedulers = append(schedulers, s.Scheduler.StateDict())
	}
	c["callbacks"], c["optimizer_states"], c["lr_schedulers"] = callbacks, optimizers, schedulers
	if s, ok := t.data.(stateful); ok && !isNil(t.data) {
		c[typeName(t.data)] = s.StateDict()
	}
	own, err := t.dumpOwn()
	c[ownKey] = own
	return c, err
}

// lightningStep is GlobalStep as Lightning counts it.
func (t *Trainer) lightningStep() int {
	if t.optimizer == nil {
		return t.manualUpdates
	}
	return t.GlobalStep()
}

// dumpLoops returns the counters in Lightning's layout.
func (t *Trainer) dumpLoops() map[string]any {
	with := func(p map[string]any, isLast bool) map[string]any { p["is_last_batch"] = isLast; return p }
	stepped := t.steppedBatches
	if t.at == atStepEnd {
		stepped-- // Lightning adds it when it goes on from between two batches
	}
	manual := progress{total: counts{ready: t.manualUpdates, completed: t.manualUpdates}, current: t.manualSteps.current}
	empty := func() map[string]any {
		return map[string]any{"state_dict": map[string]any{}, "batch_progress": with(loopFields.dump(progress{}), false)}
	}
	predict := empty()
	delete(predict["batch_progress"].(map[string]any), "is_last_batch")
	return map[string]any{
		"fit_loop": map[string]any{
			"state_dict":                                   map[string]any{},
			"epoch_loop.state_dict":                        map[string]any{"_batches_that_stepped": stepped},
			"epoch_loop.batch_progress":                    with(loopFields.dump(t.batches), t.isLastBatch),
			"epoch_loop.scheduler_progress":                stepFields.dump(t.schedulerSteps),
			"epoch_loop.automatic_optimization.state_dict": map[string]any{},
			"epoch_loop.automatic_optimization.optim_progress": map[string]any{
				"optimizer": map[string]any{"step": stepFields.dump(t.steps), "zero_grad": zeroFields.dump(t.zeroGrads)},
			},
			"epoch_loop.manual_optimization.state_dict":          map[string]any{},
			"epoch_loop.manual_optimization.optim_step_progress": stepFields.dump(manual),
			"epoch_loop.val_loop.state_dict":                     map[string]any{},
			"epoch_loop.val_loop.batch_progress":                 with(loopFields.dump(t.valBatches), t.valBatches.current.ready > 0),
			"epoch_progress":                                     loopFields.dump(t.epochs),
		},
		"validate_loop": empty(), "test_loop": empty(), "predict_loop": predict,
	}
}

// restored is a checkpoint that was read.
type restored struct {
	path    string
	content map[string]any
	own     map[string]any
	at      position
}

// readCheckpoint reads a file and checks that it is a checkpoint.
func (t *Trainer) readCheckpoint(path string) (*restored, error) {
	content, err := t.l.Load(path, nil, lite.LoadOptions{KeepStreams: true})
	if err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	if _, ok := content["state_dict"]; !ok {
		return nil, fmt.Errorf("trainer: %s is no checkpoint of a Trainer: it has no state_dict; a file of weights alone is read by Lite.LoadRaw", path)
	}
	r := &restored{path: path, content: content}
	if r.own, err = entry[map[string]any](content, ownKey); err != nil {
		return nil, r.wrong(err)
	}
	if v, err := entry[int](r.own, "version"); err != nil || v > 1 {
		return nil, r.wrong(fmt.Errorf("%s.version is %v: want 1, as this version of golite writes", ownKey, r.own["version"]))
	}
	return r, nil
}

// wrong names the file in an error.
func (r *restored) wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("trainer: %s: %w", r.path, err)
}

// load reads parts of the file once more, for what ranks may hold parts of.
func (r *restored) load(t *Trainer, into lite.State) error {
	_, err := t.l.Load(r.path, into, lite.LoadOptions{OnlyState: true, KeepStreams: true})
	if err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	return nil
}

// loadWeights writes the weights into a module, which is set up or not.
func (r *restored) loadWeights(t *Trainer, m nn.Module) error {
	if model := t.models[m]; model != nil {
		return r.load(t, lite.State{"state_dict": model})
	}
	sd, err := stateDictOf(r.content["state_dict"])
	if err == nil {
		err = nn.LoadStateDict(m, sd)
	}
	if err != nil {
		return fmt.Errorf("trainer: %s: %w", r.path, err)
	}
	return nil
}

func stateDictOf(v any) (*torch.StateDict, error) {
	switch v := v.(type) {
	case *torch.StateDict:
		return v, nil
	case map[string]any:
		if len(v) == 0 {
			return &torch.StateDict{}, nil
		}
	}
	return nil, fmt.Errorf("the state_dict is a %T: want a dictionary of tensors", v)
}

// loadModule loads weights, data module and callbacks, which come before the optimizers are made.
func (r *restored) loadModule(t *Trainer, m nn.Module, d any) error {
	if err := t.hooks.load.call(t, r.content); err != nil {
		return err
	}
	if err := r.loadWeights(t, m); err != nil {
		return err
	}
	if s, ok := d.(stateful); ok && !isNil(d) {
		state, err := entry[map[string]any](r.content, typeName(d))
		if err != nil {
			return r.wrong(err)
		}
		if _, has := r.content[typeName(d)]; has {
			if err := s.LoadStateDict(state); err != nil {
				return fmt.Errorf("trainer: %s: the state of %T: %w", r.path, d, err)
			}
		}
	}
	if err := t.hooks.callbacksLoad.call(t, r.content); err != nil {
		return err
	}
	states, err := entry[map[string]any](r.content, "callbacks")
	if err != nil {
		return r.wrong(err)
	}
	for _, c := range t.o.Callbacks {
		s, ok := c.(stateful)
		if _, has := states[stateKey(c)]; !ok || !has {
			continue
		}
		state, err := entry[map[string]any](states, stateKey(c))
		if err != nil {
			return r.wrong(within("callbacks", err))
		}
		if err := s.LoadStateDict(state); err != nil {
			return fmt.Errorf("trainer: %s: the state of %T: %w", r.path, c, err)
		}
	}
	return nil
}

// loadTraining loads counters, optimizers and schedulers.
func (r *restored) loadTraining(t *Trainer) error {
	optimizers, err := entry[[]any](r.content, "optimizer_states")
	if err != nil {
		return r.wrong(err)
	}
	if _, has := r.content["optimizer_states"]; !has {
		return fmt.Errorf("trainer: %s has weights alone, and no training to go on with: load it by nn.LoadStateDict, or with Validate or Test", r.path)
	}
	if len(optimizers) != len(t.Optimizers()) {
		return fmt.Errorf("trainer: %s has %d optimizers, and ConfigureOptimizers returned %d", r.path, len(optimizers), len(t.Optimizers()))
	}
	var into []any
	for _, o := range t.Optimizers() {
		into = append(into, o)
	}
	if err := r.load(t, lite.State{"optimizer_states": into}); err != nil {
		return err
	}
	schedulers, err := entry[[]any](r.content, "lr_schedulers")
	if err != nil {
		return r.wrong(err)
	}
	if len(schedulers) != len(t.schedules) {
		return fmt.Errorf("trainer: %s has %d schedulers, and ConfigureOptimizers returned %d", r.path, len(schedulers), len(t.schedules))
	}
	for i, s := range t.schedules {
		if err := loadMap(s.Scheduler, schedulers[i]); err != nil {
			return fmt.Errorf("trainer: %s: scheduler %d: %w", r.path, i, err)
		}
	}
	loops, err := entry[map[string]any](r.content, "loops")
	if err != nil {
		return r.wrong(err)
	}
	fit, err := entry[map[string]any](loops, "fit_loop")
	if err != nil {
		return r.wrong(within("loops", err))
	}
	if fit == nil {
		return fmt.Errorf("trainer: %s has no counters of a Fit (loops.fit_loop)", r.path)
	}
	if err := r.loadLoops(t, fit); err != nil {
		return r.wrong(err)
	}
	return nil
}

func loadMap(to stateful, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("its state is a %T: want a dictionary", v)
	}
	return to.LoadStateDict(m)
}

// loadLoops restores the counters, and finds out where they were saved. After an error all are as they were.
func (r *restored) loadLoops(t *Trainer, fit map[string]any) (err error) {
	var errs []error
	progressOf := func(f fields, in map[string]any, key string) progress {
		p, err := f.restore(in, key)
		errs = append(errs, within("loops.fit_loop", err))
		return p
	}
	state, err := entry[map[string]any](fit, "epoch_loop.state_dict")
	errs = append(errs, within("loops.fit_loop", err))
	stepped, err := entry[int](state, "_batches_that_stepped")
	errs = append(errs, within("loops.fit_loop.epoch_loop.state_dict", err))
	loop, err := entry[map[string]any](fit, "epoch_loop.batch_progress")
	errs = append(errs, within("loops.fit_loop", err))
	isLast, err := entry[bool](loop, "is_last_batch")
	errs = append(errs, within("loops.fit_loop.epoch_loop.batch_progress", err))
	batches := progressOf(loopFields, fit, "epoch_loop.batch_progress")
	schedulerSteps := progressOf(stepFields, fit, "epoch_loop.scheduler_progress")
	automatic, err := entry[map[string]any](fit, "epoch_loop.automatic_optimization.optim_progress")
	errs = append(errs, within("loops.fit_loop", err))
	optimizer, err := entry[map[string]any](automatic, "optimizer")
	errs = append(errs, within("loops.fit_loop.epoch_loop.automatic_optimization.optim_progress", err))
	steps, zeroGrads := progressOf(stepFields, optimizer, "step"), progressOf(zeroFields, optimizer, "zero_grad")
	manualSteps := progressOf(stepFields, fit, "epoch_loop.manual_optimization.optim_step_progress")
	valBatches := progressOf(loopFields, fit, "epoch_loop.val_loop.batch_progress")
	epochs := progressOf(loopFields, fit, "epoch_progress")
	own, err := entry[int](r.own, "manual_steps")
	errs = append(errs, within(ownKey, err))
	at, err := entry[string](r.own, "position")
	if err == nil && r.own != nil && !slices.Contains([]position{atStart, atBatchEnd, atValidationEnd, atStepEnd, atEpochEnd}, position(at)) {
		err = fmt.Errorf("position is %q: want such as %q", at, atEpochEnd)
	}
	errs = append(errs, within(ownKey, err))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.steppedBatches, t.isLastBatch, t.batches, t.schedulerSteps, t.steps, t.zeroGrads = stepped, isLast, batches, schedulerSteps, steps, zeroGrads
	t.manualSteps, t.manualUpdates, t.valBatches, t.epochs = manualSteps, manualSteps.total.completed, valBatches, epochs
	switch r.at = r.savedAt(t); r.at {
	case atStepEnd:
		t.steppedBatches++
	case atStart: // an epoch that had begun begins anew
		e := &t.epochs
		e.total.ready, e.total.started, e.total.processed = e.total.completed, e.total.completed, e.total.completed
		e.current.ready, e.current.started, e.current.processed = e.current.completed, e.current.completed, e.current.completed
	}
	if r.own != nil {
		t.manualSteps.total = counts{ready: own, completed: own}
	}
	return nil
}

// savedAt finds where a checkpoint was saved: by golite's own entry or, in a file of Lightning's, by the counters.
func (r *restored) savedAt(t *Trainer) position {
	if p, ok := r.own["position"].(string); ok {
		return position(p)
	}
	e, b := t.epochs.total, t.batches.total
	switch {
	case e.processed == e.completed+1:
		return atEpochEnd
	case e.started == e.processed:
		return atStart
	case b.processed == b.completed+1:
		return atBatchEnd
	}
	return atValidationEnd
}

// inEpoch reports whether training goes on in the middle of an epoch.
func (r *restored) inEpoch() bool {
	return r != nil && (r.at == atBatchEnd || r.at == atValidationEnd || r.at == atStepEnd)
}

// checkpointPath finds the file that CkptPath names; "" is none.
func (t *Trainer) checkpointPath(path string) (string, error) {
	switch path {
	case Best:
		for _, c := range t.o.Callbacks {
			if c, ok := c.(*ModelCheckpoint); ok {
				if c.bestPath == "" {
					return "", errors.New("trainer: CkptPath is Best, and the ModelCheckpoint has saved none")
				}
				return c.bestPath, nil
			}
		}
		return "", errors.New("trainer: CkptPath is Best, and there is no ModelCheckpoint")
	case Last:
		newest := ""
		if t.l.IsGlobalZero() {
			newest = t.newestLast()
		}
		newest = lite.Broadcast(t.l, newest, 0)
		if newest == "" && t.stage == Fitting {
			t.l.Logger().Info("trainer: CkptPath is Last, and there is no last.ckpt: training starts anew")
		} else if newest == "" {
			return "", fmt.Errorf("trainer: CkptPath is Last, and there is no last.ckpt: %w", fs.ErrNotExist)
		}
		return newest, nil
	}
	return path, nil
}

// LoadFromCheckpoint reads a module's weights from a checkpoint of this package or of Lightning, and returns its
// hyperparameters, nil if there are none (LightningModule.load_from_checkpoint).
func LoadFromCheckpoint(l *lite.Lite, path string, m nn.Module) (hyperparameters map[string]any, err error) {
	t := &Trainer{l: l}
	r, err := t.readCheckpoint(path)
	if err != nil {
		return nil, err
	}
	if hyperparameters, err = entry[map[string]any](r.content, "hyper_parameters"); err != nil {
		return nil, r.wrong(err)
	}
	return hyperparameters, r.loadWeights(t, m)
}

// stateKey is under what a callback's state stands in a checkpoint (Callback.state_key).
func stateKey(c Callback) string {
	if k, ok := c.(interface{ StateKey() string }); ok {
		return k.StateKey()
	}
	return typeName(c)
}

// typeName is the name of a type without its package.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// checkStateKeys refuses two callbacks whose states would be one.
func checkStateKeys(callbacks []Callback) error {
	have := map[string]bool{}
	for _, c := range callbacks {
		if _, ok := c.(stateful); !ok {
			continue
		}
		key := stateKey(c)
		if have[key] {
			return fmt.Errorf("trainer: two callbacks have the state %q: give them other settings, or one of them a method StateKey() string", key)
		}
		have[key] = true
	}
	return nil
}

// replaced are callbacks with those of a module in place of those of their types.
func replaced(callbacks, own []Callback) (list []Callback) {
	has := map[reflect.Type]bool{}
	for _, c := range own {
		has[reflect.TypeOf(c)] = true
	}
	var last []Callback
	for _, c := range callbacks {
		switch _, isCheckpoint := c.(*ModelCheckpoint); {
		case has[reflect.TypeOf(c)]:
		case isCheckpoint:
			last = append(last, c)
		default:
			list = append(list, c)
		}
	}
	for _, c := range own {
		if _, isCheckpoint := c.(*ModelCheckpoint); isCheckpoint {
			last = append(last, c)
		} else {
			list = append(list, c)
		}
	}
	return append(list, last...)
}

var _ stateful = (optim.Optimizer)(nil)
