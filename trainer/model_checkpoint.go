package trainer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// ModelCheckpoint saves checkpoints as training goes on (lightning.pytorch.callbacks.ModelCheckpoint). Fit adds one, of
// the last epoch, where there is none.
//
// It differs from Lightning's in two ways: last.ckpt is written at each occasion, also where the checkpoint was not among
// the best, and a slash in the name of a value becomes an underscore in that of the file.
type ModelCheckpoint struct {
	// Dir is the folder. "": checkpoints in the folder of the logs or, without one, in Options.RootDir.
	Dir string
	// Filename is the name of the files, with values such as {epoch:02d} and {val_loss:.2f}. "": "{epoch}-{step}".
	Filename string
	// Monitor is the value by which the best are kept. "": the newest is.
	Monitor string
	// Mode is "min", the default, where lower is better, or "max".
	Mode string
	// SaveTopK is how many of the best are kept. 0: 1. -1: all. -2: none (save_top_k=0).
	SaveTopK int
	// SaveLast also keeps the newest as last.ckpt: "copy" as a file of its own, "link" as a symbolic link to the file
	// that was saved last. "": no.
	SaveLast string
	// EveryNTrainSteps, EveryNEpochs and TrainTimeInterval are when checkpoints are saved; one of them is set. None: each
	// epoch.
	EveryNTrainSteps, EveryNEpochs int
	TrainTimeInterval              time.Duration
	// SaveOnTrainEpochEnd saves at the end of epochs, or of validations. nil: of epochs, unless validation runs at other
	// moments.
	SaveOnTrainEpochEnd *bool
	// SaveOnException saves when a step of training fails, as of the end of the step before it: not where gradients are
	// being accumulated, before the first step of an epoch, and on several ranks. Buffers and random streams are copied at
	// each step then.
	SaveOnException bool
	// SaveWeightsOnly leaves out optimizers, schedulers and callbacks.
	SaveWeightsOnly bool
	// NoAutoInsertMetricName leaves the names of values out of files' names: {epoch} is 3 in place of epoch=3.
	NoAutoInsertMetricName bool
	// NoVersionCounter overwrites a file of the same name of another run. Else the new one has -v1, -v2, ... in its name.
	NoVersionCounter bool
	// Verbose logs what is saved.
	Verbose bool
	// Async writes in the background: training goes on when the content is copied in memory.
	Async bool

	dir                          string
	bestPath, lastPath, kthPath  string
	bestScore, current, kthValue *float64
	best                         []kept // in the order in which they were saved
	savedStep                    int
	lastTime                     time.Time
	deferred                     bool
	newest, replaced             string  // what was saved last, and what it took the place of
	pending                      []after // of saves in the background
}

// BestModelPath returns the file of the best checkpoint, "" before there is one (best_model_path).
func (c *ModelCheckpoint) BestModelPath() string { return c.bestPath }

// BestModelScore returns the best checkpoint's value of Monitor (best_model_score). ok reports whether there is one.
func (c *ModelCheckpoint) BestModelScore() (score float64, ok bool) {
	if c.bestScore == nil {
		return 0, false
	}
	return *c.bestScore, true
}

// LastModelPath returns the newest last.ckpt, "" before there is one (last_model_path).
func (c *ModelCheckpoint) LastModelPath() string { return c.lastPath }

func (c *ModelCheckpoint) monitors() {}

// StateKey is the key of the state in a checkpoint.
func (c *ModelCheckpoint) StateKey() string {
	monitor, interval := "None", "None"
	if c.Monitor != "" {
		monitor = pythonString(c.Monitor)
	}
	steps, epochs := c.every()
	if d := c.TrainTimeInterval; d > 0 {
		interval = pythonDuration(d)
	}
	return fmt.Sprintf("ModelCheckpoint{'monitor': %s, 'mode': '%s', 'every_n_train_steps': %d, 'every_n_epochs': %d, 'train_time_interval': %s}",
		monitor, modeOf(c.Mode), steps, epochs, interval)
}

func pythonDuration(d time.Duration) string {
	text := ""
	for _, p := range []struct {
		name string
		n    time.Duration
	}{{"days", d / (24 * time.Hour)}, {"seconds", d % (24 * time.Hour) / time.Second}, {"microseconds", d % time.Second / time.Microsecond}} {
		if p.n == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s=%d", p.name, p.n)
	}
	if text == "" {
		text = "0"
	}
	return "datetime.timedelta(" + text + ")"
}

// every returns the intervals with their defaults.
func (c *ModelCheckpoint) every() (steps, epochs int) {
	if c.EveryNTrainSteps == 0 && c.EveryNEpochs == 0 && c.TrainTimeInterval == 0 {
		return 0, 1
	}
	return c.EveryNTrainSteps, c.EveryNEpochs
}

// top is SaveTopK as Lightning has it: 0 is none.
func (c *ModelCheckpoint) top() int {
	switch c.SaveTopK {
	case 0:
		return 1
	case -2:
		return 0
	}
	return c.SaveTopK
}

// Setup checks the settings and finds the folder.
func (c *ModelCheckpoint) Setup(t *Trainer, stage Stage) error {
	set := 0
	for _, is := range []bool{c.EveryNTrainSteps > 0, c.EveryNEpochs > 0, c.TrainTimeInterval > 0} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("ModelCheckpoint: EveryNTrainSteps, EveryNEpochs and TrainTimeInterval exclude each other: set one of them")
	case c.EveryNTrainSteps < 0 || c.EveryNEpochs < 0 || c.TrainTimeInterval < 0:
		return fmt.Errorf("ModelCheckpoint: EveryNTrainSteps is %d, EveryNEpochs %d, TrainTimeInterval %v: want 0 or more",
			c.EveryNTrainSteps, c.EveryNEpochs, c.TrainTimeInterval)
	case modeOf(c.Mode) == "":
		return fmt.Errorf("ModelCheckpoint: the Mode is %q: want \"min\" or \"max\"", c.Mode)
	case c.SaveTopK < -2:
		return fmt.Errorf("ModelCheckpoint: SaveTopK is %d: want a number of checkpoints, -1 for all or -2 for none", c.SaveTopK)
	case c.Monitor == "" && c.top() > 1:
		return fmt.Errorf("ModelCheckpoint: SaveTopK is %d without a Monitor: want the name of a value that is logged", c.SaveTopK)
	case c.SaveLast != "" && c.SaveLast != "copy" && c.SaveLast != "link":
		return fmt.Errorf("ModelCheckpoint: SaveLast is %q: want \"copy\" or \"link\"", c.SaveLast)
	}
	if _, err := formatName(c.template(), map[string]float64{}, true); err != nil {
		return fmt.Errorf("ModelCheckpoint: Filename: %w", err)
	}
	if c.dir = c.Dir; c.dir == "" {
		if c.dir = t.folder; c.dir == "" {
			c.dir = t.o.RootDir
		}
		c.dir = filepath.Join(c.dir, "checkpoints")
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return fmt.Errorf("ModelCheckpoint: the folder %s: %w", c.dir, err)
	}
	c.dir = dir
	c.lastTime = time.Now()
	return nil
}

// kept is one of the best checkpoints.
type kept struct {
	path  string
	score float64
}

// after is what is done once a file is there that is written in the background.
type after struct {
	file string
	do   func() error
}

func (c *ModelCheckpoint) template() string {
	if c.Filename == "" {
		return "{epoch}-{step}"
	}
	return c.Filename
}

// OnTrainStart begins the TrainTimeInterval.
func (c *ModelCheckpoint) OnTrainStart(*Trainer) error {
	c.lastTime = time.Now()
	return nil
}

// OnTrainBatchEnd saves by steps and by time.
func (c *ModelCheckpoint) OnTrainBatchEnd(t *Trainer, _ *torch.Tensor, _ any, _ int) error {
	steps, _ := c.every()
	due := steps > 0 && t.GlobalStep()%steps == 0
	if c.TrainTimeInterval > 0 && t.agree(time.Since(c.lastTime) >= c.TrainTimeInterval) {
		due = true
		c.lastTime = time.Now()
	}
	if (!due && !(c.deferred && !c.atValidation(t))) || c.skips(t) {
		return nil
	}
	if t.midAccumulation() && t.l.WorldSize() > 1 { // each rank has gradients of its own
		c.deferred = true
		return nil
	}
	if c.Monitor != "" && c.atValidation(t) {
		c.deferred = true
		return nil
	}
	return c.save(t, true)
}

// atValidation reports whether the value that is monitored comes with a validation after this batch.
func (c *ModelCheckpoint) atValidation(t *Trainer) bool {
	if c.Monitor == "" {
		return false
	}
	_, ok := t.Metric(c.Monitor)
	return !ok || t.mayValidate && !t.onEpochEnd(c.SaveOnTrainEpochEnd) && t.isLastBatch && t.o.ValCheckInterval.kind != amountTime && t.valDue()
}

// OnTrainEpochEnd saves by epochs.
func (c *ModelCheckpoint) OnTrainEpochEnd(t *Trainer) error {
	if !t.onEpochEnd(c.SaveOnTrainEpochEnd) || c.skips(t) {
		return nil
	}
	_, epochs := c.every()
	return c.save(t, epochs > 0 && (t.Epoch()+1)%epochs == 0)
}

// OnValidationEnd saves by epochs where validation runs at other moments, and what waited for the value.
func (c *ModelCheckpoint) OnValidationEnd(t *Trainer) error {
	if t.stage != Fitting || t.onEpochEnd(c.SaveOnTrainEpochEnd) && !c.deferred || c.skips(t) {
		return nil
	}
	if t.midAccumulation() && t.l.WorldSize() > 1 {
		c.deferred = true
		return nil
	}
	_, epochs := c.every()
	return c.save(t, c.deferred || epochs > 0 && (t.Epoch()+1)%epochs == 0)
}

// OnTrainEnd saves what waited for a validation that did not come.
func (c *ModelCheckpoint) OnTrainEnd(t *Trainer) error {
	if !c.deferred || c.skips(t) {
		return nil
	}
	if _, ok := t.Metric(c.Monitor); c.Monitor != "" && !ok {
		return nil
	}
	return c.save(t, true)
}

// OnException saves as of the last whole step.
func (c *ModelCheckpoint) OnException(t *Trainer, err error) error {
	if !c.SaveOnException || t.stage != Fitting || isStopped(err) || t.l.WorldSize() > 1 || t.at != atStepEnd || t.rewind == nil || !t.rewind() ||
		c.savedStep == t.GlobalStep() {
		return nil
	}
	return c.save(t, true)
}

func isStopped(err error) bool { return errors.Is(err, lite.ErrStopped) }

func (c *ModelCheckpoint) skips(t *Trainer) bool {
	return t.o.FastDevRun > 0 || t.stage != Fitting || t.sanity || c.savedStep == t.GlobalStep() && !c.deferred
}

// save saves what is due: one of the best, and last.ckpt.
func (c *ModelCheckpoint) save(t *Trainer, due bool) error {
	if !due {
		return nil
	}
	c.deferred = false
	values := t.Metrics()
	values["epoch"], values["step"] = float64(t.Epoch()), float64(t.GlobalStep())
	saved := false
	if c.top() != 0 {
		var err error
		if saved, err = c.saveBest(t, values); err != nil {
			return err
		}
	}
	if err := c.saveLast(t, saved); err != nil {
		return err
	}
	remove := c.replaced
	if c.replaced = ""; remove == "" {
		return nil
	}
	return c.then(t, func() error { return c.remove(t, remove, "") })
}

// saveBest saves the checkpoint if it is among the best, and removes the one that is not any more.
func (c *ModelCheckpoint) saveBest(t *Trainer, values map[string]float64) (saved bool, err error) {
	score, ok := values[c.Monitor]
	if c.Monitor != "" && !ok {
		if t.mayValidate && !t.validated && t.stage == Fitting { // the value comes with the validation at the end
			c.deferred = true
			return false, nil
		}
		return false, fmt.Errorf("ModelCheckpoint: the Monitor %q was not logged: there are %q", c.Monitor, slices.Sorted(keysOf(values)))
	}
	remove := ""
	if c.Monitor == "" {
		remove = c.bestPath
	} else if score, remove, ok = c.place(score); !t.allRanks(ok) {
		return false, nil
	}
	path, err := c.path(t, c.template(), values, remove)
	if err != nil {
		return false, err
	}
	before := *c
	if c.Monitor == "" {
		c.bestPath = path
		if c.top() != 1 {
			remove = ""
		}
	} else {
		c.insert(path, score, remove)
	}
	if err := c.write(t, path); err != nil { // what was there stays, with its place among the best
		c.best, c.bestPath, c.bestScore, c.current, c.kthPath, c.kthValue = before.best, before.bestPath, before.bestScore, before.current, before.kthPath, before.kthValue
		return false, err
	}
	if c.replaced = remove; remove == path {
		c.replaced = ""
	}
	return true, nil
}

// place reports whether a score is among the best, and returns the file that it takes the place of.
func (c *ModelCheckpoint) place(score float64) (kept float64, remove string, ok bool) {
	if math.IsNaN(score) {
		score = math.Inf(1)
		if c.Mode == "max" {
			score = math.Inf(-1)
		}
		if len(c.best) >= c.top() && c.top() > 0 {
			return score, "", false
		}
	}
	if k := c.top(); k < 0 || len(c.best) < k {
		return score, "", true
	}
	worst := *c.kthValue
	if c.Mode == "max" && score > worst || c.Mode != "max" && score < worst {
		return score, c.kthPath, true
	}
	return score, "", false
}

// insert records a file among the best. Of equal scores the first is the best one, and the first that goes.
func (c *ModelCheckpoint) insert(path string, score float64, remove string) {
	c.best = slices.DeleteFunc(slices.Clone(c.best), func(k kept) bool { return k.path == remove || k.path == path })
	c.best = append(c.best, kept{path, score})
	c.current = &score
	c.rank()
}

// rank finds the best and the worst of the best.
func (c *ModelCheckpoint) rank() {
	compare := func(a, b kept) int { return cmp.Compare(a.score, b.score) }
	best, worst := slices.MinFunc[[]kept], slices.MaxFunc[[]kept]
	if c.Mode == "max" {
		best, worst = worst, best
	}
	first := best(c.best, compare)
	c.bestPath, c.bestScore = first.path, &first.score
	if k := c.top(); k < 0 || len(c.best) >= k {
		last := worst(c.best, compare)
		c.kthPath, c.kthValue = last.path, &last.score
	}
}

func keysOf(m map[string]float64) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
