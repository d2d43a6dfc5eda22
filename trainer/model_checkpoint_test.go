package trainer_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/trainer"
)

// scored is a module whose validation logs the next of some values.
func scored(key string, scores ...float64) *simple {
	m, epoch := newSimple(), 0
	m.validate = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) {
		if i > 0 || t.SanityChecking() {
			return
		}
		t.Log(key, scores[epoch%len(scores)])
		epoch++
	}
	return m
}

func filesIn(t *testing.T, dir string) (names []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	}))
	slices.Sort(names)
	return names
}

// The files that are kept are those of Lightning 2.6.6, whose ModelCheckpoint was run for each case.
func TestFilesThatAreKept(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		c      trainer.ModelCheckpoint
		scores []float64
		best   string
		files  []string
	}{
		"newest":            {trainer.ModelCheckpoint{}, []float64{1, 2, 3}, "epoch=2-step=18", []string{"epoch=2-step=18"}},
		"best":              {trainer.ModelCheckpoint{Monitor: "v"}, []float64{2, 1, 3}, "epoch=1-step=12", []string{"epoch=1-step=12"}},
		"equal":             {trainer.ModelCheckpoint{Monitor: "v"}, []float64{2, 2, 2}, "epoch=0-step=6", []string{"epoch=0-step=6"}},
		"equal, two":        {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: 2}, []float64{2, 2, 1}, "epoch=2-step=18", []string{"epoch=1-step=12", "epoch=2-step=18"}},
		"max":               {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: 2, Mode: "max"}, []float64{2, 2, 3, 1}, "epoch=2-step=18", []string{"epoch=1-step=12", "epoch=2-step=18"}},
		"NaN first":         {trainer.ModelCheckpoint{Monitor: "v"}, []float64{nan, 5, nan}, "epoch=1-step=12", []string{"epoch=1-step=12"}},
		"only NaN":          {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: 2}, []float64{nan, nan, nan}, "epoch=0-step=6", []string{"epoch=0-step=6", "epoch=1-step=12"}},
		"infinite":          {trainer.ModelCheckpoint{Monitor: "v"}, []float64{inf, inf, 1}, "epoch=2-step=18", []string{"epoch=2-step=18"}},
		"all":               {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: -1}, []float64{3, 1, 2}, "epoch=1-step=12", []string{"epoch=0-step=6", "epoch=1-step=12", "epoch=2-step=18"}},
		"none":              {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: -2}, []float64{3, 1, 2}, "", nil},
		"one name":          {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: 2, Filename: "best"}, []float64{3, 2, 1}, "best", []string{"best", "best-v1"}},
		"one name, all":     {trainer.ModelCheckpoint{Monitor: "v", SaveTopK: -1, Filename: "best"}, []float64{3, 2, 1}, "best-v2", []string{"best", "best-v1", "best-v2"}},
		"format":            {trainer.ModelCheckpoint{Monitor: "v", Filename: "{epoch:02d}-{v:.2f}"}, []float64{1.234, 0.5}, "epoch=01-v=0.50", []string{"epoch=01-v=0.50"}},
		"name left out":     {trainer.ModelCheckpoint{Monitor: "v", Filename: "m-{epoch}-{v:.1e}", NoAutoInsertMetricName: true}, []float64{1.25}, "m-0-1.2e+00", []string{"m-0-1.2e+00"}},
		"folder":            {trainer.ModelCheckpoint{Monitor: "v", Filename: "sub/{epoch}"}, []float64{3, 2, 1}, "sub/epoch=2", []string{"sub/epoch=2"}},
		"unknown value":     {trainer.ModelCheckpoint{Filename: "{nothing}"}, []float64{3}, "nothing=0", []string{"nothing=0"}},
		"each second epoch": {trainer.ModelCheckpoint{EveryNEpochs: 2}, []float64{1, 1, 1, 1}, "epoch=3-step=24", []string{"epoch=3-step=24"}},
	} {
		for _, async := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", async ", async), func(t *testing.T) {
				c, dir := c, t.TempDir()
				c.files = slices.Clone(c.files)
				c.c.Dir, c.c.Async = dir, async
				require.NoError(t, in(t, trainer.Options{MaxEpochs: len(c.scores), RootDir: dir, Callbacks: []trainer.Callback{&c.c}},
					func(ctx context.Context, tr *trainer.Trainer) error {
						return trainer.Fit(ctx, tr, scored("v", c.scores...), simpleData())
					}))
				for i := range c.files {
					c.files[i] += ".ckpt"
				}
				if c.best != "" {
					c.best = filepath.Join(dir, c.best+".ckpt")
				}
				slices.Sort(c.files)
				require.Equal(t, c.files, filesIn(t, dir))
				require.Equal(t, c.best, c.c.BestModelPath())
			})
		}
	}
}

// What Monitor has of odd characters stays out of paths, and in the state.
func TestOddNamesOfMonitor(t *testing.T) {
	for _, key := range []string{"val/loss", "a b", "it's", "ä", `back\slash`, `"`, "x:y", "../../up", "a\nb"} {
		dir := t.TempDir()
		inner := filepath.Join(dir, "in", "ner")
		c := &trainer.ModelCheckpoint{Dir: inner, Monitor: key, Filename: "{epoch}-{" + key + ":.1f}", SaveLast: "copy"}
		if key == "x:y" {
			c.Filename = ""
		}
		fit := func(from string, c *trainer.ModelCheckpoint, epochs int) error {
			return in(t, trainer.Options{MaxEpochs: epochs, RootDir: dir, Callbacks: []trainer.Callback{c}}, func(ctx context.Context, tr *trainer.Trainer) error {
				return trainer.Fit(ctx, tr, scored(key, 3, 2), simpleData(), trainer.FitOptions{CkptPath: from})
			})
		}
		require.NoError(t, fit("", c, 1), key)
		require.Len(t, filesIn(t, dir), 2, "%q: %q", key, filesIn(t, dir))
		require.Len(t, filesIn(t, inner), 2, "%q: %q", key, filesIn(t, dir))
		again := *c
		d := &trainer.ModelCheckpoint{Dir: inner, Monitor: key, Filename: c.Filename, SaveLast: "copy"}
		require.NoError(t, fit(trainer.Last, d, 1), key)
		require.Equal(t, again.BestModelPath(), d.BestModelPath(), key)
	}
}

// A write that fails leaves the checkpoint that it was to replace, on a full disk and in a folder that can't be written to.
func TestWriteThatFails(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) }()
	for _, c := range []*trainer.ModelCheckpoint{
		{Dir: dir}, {Dir: dir, SaveLast: "copy"}, {Dir: dir, SaveLast: "link"}, {Dir: dir, Monitor: "v", SaveLast: "copy"},
	} {
		var before []string
		fill := filepath.Join(dir, "fill")
		err := in(t, trainer.Options{MaxEpochs: 3, RootDir: dir, Callbacks: []trainer.Callback{c, hookFunc(func(t *trainer.Trainer) error {
			if t.Epoch() == 1 {
				f, err := os.Create(fill)
				if err != nil {
					return err
				}
				for {
					if _, err := f.Write(make([]byte, 4096)); err != nil {
						break
					}
				}
				return f.Close()
			}
			return nil
		})}}, func(ctx context.Context, tr *trainer.Trainer) error {
			err := trainer.Fit(ctx, tr, scored("v", 3, 2, 1), simpleData())
			require.NoError(t, os.Remove(fill))
			before = filesIn(t, dir)
			return err
		})
		require.ErrorContains(t, err, "not enough room on the disk")
		require.Contains(t, before, "epoch=0-step=6.ckpt", "%+v", c)
		for _, name := range before {
			_, err := loadFile(t, filepath.Join(dir, name))
			require.NoError(t, err, name)
		}
		for _, name := range before {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	require.NoError(t, syscall.Mount("", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	err := in(t, trainer.Options{MaxEpochs: 1, RootDir: dir, Callbacks: []trainer.Callback{&trainer.ModelCheckpoint{Dir: dir}}},
		func(ctx context.Context, tr *trainer.Trainer) error {
			return trainer.Fit(ctx, tr, newSimple(), simpleData())
		})
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, dir)
}

// hookFunc is an OnTrainEpochStart.
type hookFunc func(t *trainer.Trainer) error

func (f hookFunc) OnTrainEpochStart(t *trainer.Trainer) error { return f(t) }

func loadFile(t *testing.T, path string) (hyper map[string]any, err error) {
	err = lite.Run(t.Context(), lite.Config{}, func(_ context.Context, l *lite.Lite) error {
		hyper, err = trainer.LoadFromCheckpoint(l, path, newSimple())
		return err
	})
	return hyper, err
}

// A link is never without its file, and a file never written through it.
func TestLastIsALink(t *testing.T) {
	dir := t.TempDir()
	c := &trainer.ModelCheckpoint{Dir: dir, Monitor: "v", SaveLast: "link"}
	var seen []string
	check := hookFunc(func(tr *trainer.Trainer) error {
		if tr.Epoch() == 0 {
			return nil
		}
		last := filepath.Join(dir, "last.ckpt")
		to, err := os.Readlink(last)
		if err != nil {
			to = "a file"
		}
		seen = append(seen, to)
		_, err = os.Stat(last)
		return err
	})
	require.NoError(t, in(t, trainer.Options{MaxEpochs: 4, RootDir: dir, Callbacks: []trainer.Callback{c, check}}, func(ctx context.Context, tr *trainer.Trainer) error {
		return trainer.Fit(ctx, tr, scored("v", 3, 4, 2, 5), simpleData())
	}))
	require.Equal(t, []string{"epoch=0-step=6.ckpt", "a file", "epoch=2-step=18.ckpt"}, seen)
	require.Equal(t, []string{"epoch=2-step=18.ckpt", "last.ckpt"}, filesIn(t, dir))
}

// A run that goes on in a folder of its own, as each run has by default, knows the best checkpoint of the run before.
func TestBestOfTheRunBefore(t *testing.T) {
	root := t.TempDir()
	run := func(from string, epochs int, c *trainer.ModelCheckpoint) (best string) {
		require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
			tr, err := trainer.New(l, trainer.Options{
				MaxEpochs: epochs, RootDir: root, NoProgressBar: true, NoModelSummary: true, Callbacks: []trainer.Callback{c},
			})
			require.NoError(t, err)
			m := scored("v", 1, 2, 3)
			if from != "" {
				m = scored("v", 2, 3)
			}
			if err := trainer.Fit(ctx, tr, m, simpleData(), trainer.FitOptions{CkptPath: from}); err != nil {
				return err
			}
			d := simpleData()
			d.Test = simpleLoader()
			_, err = trainer.Test(ctx, tr, m, d, trainer.FitOptions{CkptPath: trainer.Best})
			return err
		}))
		return c.BestModelPath()
	}
	first := run("", 1, &trainer.ModelCheckpoint{Monitor: "v"})
	require.FileExists(t, first)
	require.Equal(t, first, run(first, 1, &trainer.ModelCheckpoint{Monitor: "v"}), "nothing was trained: it is still the best")
	second := run(first, 2, &trainer.ModelCheckpoint{Monitor: "v"})
	require.FileExists(t, first)
	require.FileExists(t, second)
	require.NotEqual(t, filepath.Dir(first), filepath.Dir(second))

	moved := filepath.Join(root, "moved")
	require.NoError(t, os.Rename(filepath.Dir(first), moved))
	c := &trainer.ModelCheckpoint{Monitor: "v", Dir: moved}
	require.Equal(t, filepath.Join(moved, filepath.Base(first)), run(filepath.Join(moved, filepath.Base(first)), 2, c), "a folder that was moved")
}

// A value that comes with the validation at the end does not end Fit with an error, and no checkpoint is left out.
func TestMonitorComesAtTheEnd(t *testing.T) {
	for name, o := range map[string]trainer.Options{
		"max steps": {MaxSteps: 4}, "the last epoch is not validated": {MaxEpochs: 3, CheckValEveryNEpochs: 2}, "no validation yet": {MaxEpochs: 1, CheckValEveryNEpochs: 2},
	} {
		for _, c := range []*trainer.ModelCheckpoint{{Monitor: "val_loss"}, {Monitor: "val_loss", EveryNTrainSteps: 1, SaveTopK: -1}} {
			dir := t.TempDir()
			c.Dir, c.SaveLast, o.RootDir = dir, "copy", dir
			o.Callbacks = []trainer.Callback{c, &trainer.EarlyStopping{Monitor: "val_loss"}}
			step := 0
			require.NoError(t, in(t, o, func(ctx context.Context, tr *trainer.Trainer) error {
				err := trainer.Fit(ctx, tr, newSimple(), simpleData())
				step = tr.GlobalStep()
				return err
			}), name)
			if c.EveryNTrainSteps > 0 || o.MaxSteps > 0 {
				require.True(t, slices.ContainsFunc(filesIn(t, dir), func(f string) bool {
					return filepath.Ext(f) == ".ckpt" && slices.Contains([]string{fmt.Sprintf("epoch=%d-step=%d.ckpt", (step-1)/6, step), fmt.Sprintf("epoch=%d-step=%d.ckpt", (step-1)/6+1, step)}, f)
				}), "%s: step %d: %q", name, step, filesIn(t, dir))
			}
		}
	}
	// Data without a loader of validation, and a value of training.
	dir := t.TempDir()
	c := &trainer.ModelCheckpoint{Dir: dir, Monitor: "loss", EveryNTrainSteps: 1, SaveTopK: -1}
	require.NoError(t, in(t, trainer.Options{MaxEpochs: 2, RootDir: dir, Callbacks: []trainer.Callback{c}}, func(ctx context.Context, tr *trainer.Trainer) error {
		m := newSimple()
		m.step = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			loss := m.loss(x)
			t.Log("loss", loss)
			return loss
		}
		return trainer.Fit(ctx, tr, m, trainer.Data[*torch.Tensor]{Train: simpleLoader()})
	}))
	require.Len(t, filesIn(t, dir), 12)
}

// A step that fails after some is saved as of the end of the step before it, and the continued run is exact.
func TestSaveOnException(t *testing.T) {
	var r *recordedRun
	for _, x := range recordedRuns(t) {
		if x.Name == "shuffled dropout norm" {
			r = x
		}
	}
	r.Log = "both"
	whole := train(t, r, "ddp_spawn", 1, 0, 0, "", t.TempDir(), trainer.Options{})
	for _, kill := range []int{2, 5, 9} {
		for _, workers := range []int{0, 2} {
			dir := t.TempDir()
			c := &trainer.ModelCheckpoint{Dir: dir, SaveOnException: true, Filename: "broken", EveryNEpochs: 100}
			err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) (err error) {
				l.SeedEverything(1)
				net := &breaking{recordedNet: newRecordedNet(r), at: kill}
				l.SeedEverything(7)
				tr, err := trainer.New(l, trainer.Options{
					MaxEpochs: 3, NoLogger: true, NoProgressBar: true, NoModelSummary: true, RootDir: dir, LogEveryNSteps: 1,
					Callbacks: []trainer.Callback{c, &trainer.EarlyStopping{Monitor: "val_loss", Patience: new(100)}},
				})
				if err != nil {
					return err
				}
				torch.WithNumThreads(1, func() { err = trainer.Fit(ctx, tr, net, resumeData{recordedData{r}, workers, 26}) })
				return err
			})
			require.ErrorIs(t, err, errKilled)
			second := train(t, r, "ddp_spawn", 1, workers, 0, filepath.Join(dir, "broken.ckpt"), dir, trainer.Options{})
			n := len(whole.losses[0]) - len(second.losses[0])
			require.Equal(t, kill, n)
			require.Equal(t, whole.losses[0][n:], second.losses[0], "%d", kill)
			require.Equal(t, whole.rows[len(whole.rows)-len(second.rows):], second.rows)
			require.Equal(t, whole.weights, second.weights)
		}
	}
}

// breaking fails in its TrainingStep, when the loss was computed.
type breaking struct {
	*recordedNet
	at, seen int
}

func (m *breaking) TrainingStep(t *trainer.Trainer, b data.Example, i int) *torch.Tensor {
	loss := m.recordedNet.TrainingStep(t, b, i)
	if m.seen++; m.seen > m.at {
		t.Fail(errKilled)
	}
	return loss
}
