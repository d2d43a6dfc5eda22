package trainer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// simple is a module of one layer, whose step is a function where one is set.
type simple struct {
	nn.Base
	Layer    *nn.Linear
	step     func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor
	validate func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int)
	optimize func(t *trainer.Trainer, m *simple) trainer.Optimization
}

func newSimple() *simple { return &simple{Layer: nn.NewLinear(4, 2)} }

func (m *simple) loss(x *torch.Tensor) *torch.Tensor { return m.Layer.Forward(x).Pow(2).Mean() }

func (m *simple) TrainingStep(t *trainer.Trainer, x *torch.Tensor, i int) *torch.Tensor {
	if m.step != nil {
		return m.step(t, m, x, i)
	}
	return m.loss(x)
}

func (m *simple) ValidationStep(t *trainer.Trainer, x *torch.Tensor, i int) {
	if m.validate != nil {
		m.validate(t, m, x, i)
		return
	}
	t.Log("val_loss", m.loss(x))
}

func (m *simple) ConfigureOptimizers(t *trainer.Trainer) trainer.Optimization {
	if m.optimize != nil {
		return m.optimize(t, m)
	}
	return trainer.Optimization{Optimizer: optim.NewSGD(nn.Parameters(m), 0.1)}
}

func simpleLoader() *data.Loader[*torch.Tensor] {
	return data.NewLoader(data.NewTensorDatasetOf(numbers(12, 4, 3, 5)), 2)
}

func simpleData() trainer.Data[*torch.Tensor] {
	return trainer.Data[*torch.Tensor]{Train: simpleLoader(), Val: simpleLoader()}
}

func quiet(o trainer.Options) trainer.Options {
	o.NoLogger, o.NoProgressBar, o.NoModelSummary = true, true, true
	if o.RootDir == "" {
		o.NoCheckpointing = true
	}
	if o.MaxEpochs == 0 && o.MaxSteps == 0 {
		o.MaxEpochs = 1
	}
	return o
}

// fit runs a Fit of a module made by build.
func fit(t *testing.T, cfg lite.Config, o trainer.Options, build func() *simple) error {
	return lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		tr, err := trainer.New(l, quiet(o))
		if err != nil {
			return err
		}
		return trainer.Fit(ctx, tr, build(), simpleData())
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]trainer.Options{
		"MaxEpochs is -2":                      {MaxEpochs: -2},
		"MaxSteps is -1":                       {MaxSteps: -1},
		"MinEpochs is -1":                      {MinEpochs: -1},
		"LimitTrainBatches is Fraction(1.5)":   {LimitTrainBatches: trainer.Fraction(1.5)},
		"LimitValBatches is Batches(-1)":       {LimitValBatches: trainer.Batches(-1)},
		"less than one: want at least":         {LimitTrainBatches: trainer.Fraction(0.1)},
		"LimitTestBatches is Every(1s)":        {LimitTestBatches: trainer.Every(1e9)},
		"ValCheckInterval is Batches(7)":       {ValCheckInterval: trainer.Batches(7)},
		"ValCheckInterval is Fraction(0)":      {ValCheckInterval: trainer.Fraction(0)},
		"which counts batches across epochs":   {CheckValEveryNEpochs: -1},
		"AccumulateGradBatches is -1":          {AccumulateGradBatches: -1},
		`GradientClipAlgorithm is "vale"`:      {GradientClipVal: 1, GradientClipAlgorithm: "vale"},
		"without GradientClipVal":              {GradientClipAlgorithm: "norm"},
		"GradientClipVal is -1":                {GradientClipVal: -1},
		"LogEveryNSteps is -2":                 {LogEveryNSteps: -2},
		"callback 0 is nil":                    {Callbacks: []trainer.Callback{nil}},
		"NoCheckpointing is set":               {Callbacks: []trainer.Callback{&trainer.ModelCheckpoint{}}},
		"NoProgressBar is set":                 {Callbacks: []trainer.Callback{&trainer.ProgressBar{}}},
		"two callbacks have the state":         {Callbacks: []trainer.Callback{&trainer.EarlyStopping{Monitor: "a"}, &trainer.EarlyStopping{Monitor: "a"}}},
		"EarlyStopping has no Monitor":         {Callbacks: []trainer.Callback{&trainer.EarlyStopping{}}},
		`EarlyStopping has the Mode "most"`:    {Callbacks: []trainer.Callback{&trainer.EarlyStopping{Monitor: "val_loss", Mode: "most"}}},
		`has the Monitor "no", which was not`:  {Callbacks: []trainer.Callback{&trainer.EarlyStopping{Monitor: "no"}}},
		"Barebones excludes LogEveryNSteps":    {Barebones: true, LogEveryNSteps: 5},
		"GradientAccumulationScheduler and Ac": {AccumulateGradBatches: 2, Callbacks: []trainer.Callback{&trainer.GradientAccumulationScheduler{}}},
	} {
		t.Run(want, func(t *testing.T) { require.ErrorContains(t, fit(t, lite.Config{}, o, newSimple), want) })
	}
	for want, c := range map[string]*trainer.ModelCheckpoint{
		"exclude each other":          {EveryNEpochs: 1, EveryNTrainSteps: 1},
		"without a Monitor":           {SaveTopK: 3},
		`the Mode is "least"`:         {Mode: "least"},
		`SaveLast is "yes"`:           {SaveLast: "yes"},
		"SaveTopK is -3":              {SaveTopK: -3},
		`the format "q" is not known`: {Filename: "{epoch:q}"},
		`the Monitor "no" was not`:    {Monitor: "no"},
	} {
		t.Run(want, func(t *testing.T) {
			o := trainer.Options{RootDir: t.TempDir(), Callbacks: []trainer.Callback{c}}
			require.ErrorContains(t, fit(t, lite.Config{}, o, newSimple), want)
		})
	}
}

// Hooks that are misspelt or have another signature.
type (
	misspelt struct{}
	mistyped struct{}
	moduleOf struct{ simple }
)

func (misspelt) OnTrainEpochsEnd(*trainer.Trainer) error { return nil }
func (mistyped) OnTrainStart() error                     { return nil }
func (*moduleOf) OnTrainBatchEnd(*trainer.Trainer, *torch.Tensor, data.Example, int) error {
	return nil
}

func TestHooksAreChecked(t *testing.T) {
	with := func(c trainer.Callback) trainer.Options { return trainer.Options{Callbacks: []trainer.Callback{c}} }
	require.ErrorContains(t, fit(t, lite.Config{}, with(misspelt{}), newSimple), "did you mean OnTrainEpochEnd?")
	require.ErrorContains(t, fit(t, lite.Config{}, with(mistyped{}), newSimple), "as a hook it is func(*trainer.Trainer) error")
	err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		tr, err := trainer.New(l, quiet(trainer.Options{}))
		if err != nil {
			return err
		}
		return trainer.Fit(ctx, tr, &moduleOf{*newSimple()}, simpleData())
	})
	require.ErrorContains(t, err, "as a hook it is func(*trainer.Trainer, *torch.Tensor, *torch.Tensor, int) error")
}

func TestOptimizationIsChecked(t *testing.T) {
	sgd := func(m *simple) optim.Optimizer { return optim.NewSGD(nn.Parameters(m), 0.1) }
	for want, f := range map[string]func(t *trainer.Trainer, m *simple) trainer.Optimization{
		"returned no optimizer": func(*trainer.Trainer, *simple) trainer.Optimization { return trainer.Optimization{} },
		"want one of them": func(_ *trainer.Trainer, m *simple) trainer.Optimization {
			return trainer.Optimization{Optimizer: sgd(m), Manual: []optim.Optimizer{sgd(m)}}
		},
		"returned a nil optimizer": func(*trainer.Trainer, *simple) trainer.Optimization {
			return trainer.Optimization{Manual: []optim.Optimizer{(*optim.SGD)(nil)}}
		},
		"without a Scheduler": func(_ *trainer.Trainer, m *simple) trainer.Optimization {
			return trainer.Optimization{Optimizer: sgd(m), Schedules: []trainer.Schedule{{}}}
		},
		"ReduceLROnPlateau without Monitor": func(_ *trainer.Trainer, m *simple) trainer.Optimization {
			o := sgd(m)
			return trainer.Optimization{Optimizer: o, Schedules: []trainer.Schedule{{Scheduler: optim.NewReduceLROnPlateau(o)}}}
		},
		`has the Monitor "no", which was not logged`: func(_ *trainer.Trainer, m *simple) trainer.Optimization {
			o := sgd(m)
			return trainer.Optimization{Optimizer: o, Schedules: []trainer.Schedule{{Scheduler: optim.NewReduceLROnPlateau(o), Monitor: "no"}}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			err := fit(t, lite.Config{}, trainer.Options{}, func() *simple { m := newSimple(); m.optimize = f; return m })
			require.ErrorContains(t, err, want)
		})
	}
}

func TestLogIsChecked(t *testing.T) {
	for want, f := range map[string]func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor{
		"was logged twice in training_step": func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor {
			t.Log("a", 1)
			t.Log("a", 1, trainer.LogOptions{When: trainer.OnEpoch})
			return m.loss(x)
		},
		"want one element": func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor {
			t.Log("a", x)
			return m.loss(x)
		},
		"a string can't be logged": func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor {
			t.Log("a", "text")
			return m.loss(x)
		},
		"the name is empty": func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor {
			t.Log("", 1)
			return m.loss(x)
		},
		"want a loss of one element": func(_ *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor { return m.Layer.Forward(x) },
		"of my own": func(t *trainer.Trainer, _ *simple, _ *torch.Tensor, _ int) *torch.Tensor {
			t.Fail(errors.New("of my own"))
			return nil
		},
		"the Trainer steps the optimizer": func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) *torch.Tensor {
			t.Step(t.Optimizers()[0])
			return m.loss(x)
		},
	} {
		t.Run(want, func(t *testing.T) {
			err := fit(t, lite.Config{}, trainer.Options{}, func() *simple { m := newSimple(); m.step = f; return m })
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "simple.TrainingStep, epoch 0, batch 0")
		})
	}
}

// Ranks that log other names end with an error that names both.
func TestRanksLogTheSameNames(t *testing.T) {
	err := fit(t, lite.Config{Strategy: "ddp_spawn", Devices: "2"}, trainer.Options{NoSanityCheck: true}, func() *simple {
		m := newSimple()
		m.validate = func(t *trainer.Trainer, m *simple, x *torch.Tensor, _ int) {
			t.Log(fmt.Sprint("rank", t.Lite().GlobalRank()), 1)
		}
		return m
	})
	require.ErrorContains(t, err, "[validation_step rank0]")
	require.ErrorContains(t, err, "[validation_step rank1]")
}

// failing fails in one hook, and counts OnException and Teardown.
type failing struct {
	traced
	fail      string
	panics    bool
	exception []error
	torn      int
}

func (m *failing) hook(name string) error {
	if name != m.fail {
		return nil
	}
	if m.panics {
		panic("of the test")
	}
	return errKilled
}

func (m *failing) OnFitStart(*trainer.Trainer) error        { return m.hook("OnFitStart") }
func (m *failing) OnTrainStart(*trainer.Trainer) error      { return m.hook("OnTrainStart") }
func (m *failing) OnTrainEpochStart(*trainer.Trainer) error { return m.hook("OnTrainEpochStart") }
func (m *failing) OnTrainBatchStart(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("OnTrainBatchStart")
}
func (m *failing) OnBeforeBackward(*trainer.Trainer, *torch.Tensor) error {
	return m.hook("OnBeforeBackward")
}
func (m *failing) OnAfterBackward(*trainer.Trainer) error { return m.hook("OnAfterBackward") }
func (m *failing) OnBeforeZeroGrad(*trainer.Trainer, optim.Optimizer) error {
	return m.hook("OnBeforeZeroGrad")
}
func (m *failing) OnBeforeOptimizerStep(*trainer.Trainer, optim.Optimizer) error {
	return m.hook("OnBeforeOptimizerStep")
}
func (m *failing) OnTrainBatchEnd(_ *trainer.Trainer, _, _ *torch.Tensor, _ int) error {
	return m.hook("OnTrainBatchEnd")
}
func (m *failing) OnValidationStart(*trainer.Trainer) error { return m.hook("OnValidationStart") }
func (m *failing) OnValidationEnd(*trainer.Trainer) error   { return m.hook("OnValidationEnd") }
func (m *failing) OnTrainEpochEnd(*trainer.Trainer) error   { return m.hook("OnTrainEpochEnd") }
func (m *failing) OnSaveCheckpoint(*trainer.Trainer, map[string]any) error {
	return m.hook("OnSaveCheckpoint")
}
func (m *failing) OnTrainEnd(*trainer.Trainer) error { return m.hook("OnTrainEnd") }
func (m *failing) OnFitEnd(*trainer.Trainer) error   { return m.hook("OnFitEnd") }
func (m *failing) OnException(_ *trainer.Trainer, err error) error {
	m.exception = append(m.exception, err)
	return nil
}
func (m *failing) Teardown(*trainer.Trainer, trainer.Stage) error { m.torn++; return nil }

func TestFailureInEachHook(t *testing.T) {
	for _, name := range []string{
		"OnFitStart", "OnTrainStart", "OnTrainEpochStart", "OnTrainBatchStart", "OnBeforeBackward", "OnAfterBackward", "OnBeforeZeroGrad",
		"OnBeforeOptimizerStep", "OnTrainBatchEnd", "OnValidationStart", "OnValidationEnd", "OnTrainEpochEnd", "OnSaveCheckpoint", "OnTrainEnd", "OnFitEnd",
	} {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, panic %v", name, panics), func(t *testing.T) {
				var m *failing
				var log []string
				err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
					tr, err := trainer.New(l, quiet(trainer.Options{RootDir: t.TempDir()}))
					if err != nil {
						return err
					}
					m = &failing{traced: traced{L: nn.NewLinear(4, 2), log: &log}, fail: name, panics: panics}
					return trainer.Fit(ctx, tr, m, tracedData{&log})
				})
				if panics {
					require.ErrorContains(t, err, "panic: of the test")
				} else {
					require.ErrorIs(t, err, errKilled)
				}
				require.ErrorContains(t, err, "*trainer_test.failing."+name)
				require.Len(t, m.exception, 1)
				require.Equal(t, 1, m.torn)
			})
		}
	}
}

// A request to stop ends Fit after a whole step, with last.ckpt, from which it goes on.
func TestStopSavesLast(t *testing.T) {
	dir := t.TempDir()
	o := trainer.Options{RootDir: dir, MaxEpochs: 2, Callbacks: []trainer.Callback{&trainer.ModelCheckpoint{Dir: dir}}}
	err := fit(t, lite.Config{}, o, func() *simple {
		m := newSimple()
		m.step = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			if i == 3 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			}
			return m.loss(x)
		}
		return m
	})
	require.ErrorIs(t, err, lite.ErrStopped)
	require.FileExists(t, filepath.Join(dir, "last.ckpt"))
	err = lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		tr, err := trainer.New(l, quiet(o))
		if err != nil {
			return err
		}
		if err := trainer.Fit(ctx, tr, newSimple(), simpleData(), trainer.FitOptions{CkptPath: trainer.Last}); err != nil {
			return err
		}
		require.Equal(t, 12, tr.GlobalStep())
		return nil
	})
	require.NoError(t, err)
}

// gan has two optimizers, which its step steps.
type gan struct {
	nn.Base
	G, D *nn.Linear
}

func (m *gan) ConfigureOptimizers(*trainer.Trainer) trainer.Optimization {
	return trainer.Optimization{Manual: []optim.Optimizer{optim.NewAdam(nn.Parameters(m.G), 0.01), optim.NewAdam(nn.Parameters(m.D), 0.01)}}
}

func (m *gan) TrainingStep(t *trainer.Trainer, x *torch.Tensor, _ int) *torch.Tensor {
	g, d := t.Optimizers()[0], t.Optimizers()[1]
	fake := m.G.Forward(x)
	d.ZeroGrad()
	lossD := m.D.Forward(fake.Detach()).Mean().Sub(m.D.Forward(x).Mean())
	t.Backward(lossD)
	t.Step(d)
	g.ZeroGrad()
	var lossG *torch.Tensor
	t.Toggle(g, func() {
		lossG = m.D.Forward(fake).Mean().Neg()
		t.Backward(lossG)
	})
	t.Step(g)
	t.LogAll(map[string]any{"loss_g": lossG, "loss_d": lossD})
	return lossG
}

func TestManualOptimization(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		t.Run(fmt.Sprint(ranks, " ranks"), func(t *testing.T) {
			weights := make([][]float64, ranks)
			var mu sync.Mutex
			cfg := lite.Config{}
			if ranks > 1 {
				cfg = lite.Config{Strategy: "ddp_spawn", Devices: "2"}
			}
			err := lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
				l.SeedEverything(3)
				m := &gan{G: nn.NewLinear(4, 4), D: nn.NewLinear(4, 1)}
				tr, err := trainer.New(l, quiet(trainer.Options{MaxEpochs: 2}))
				if err != nil {
					return err
				}
				if err := trainer.Fit(ctx, tr, m, trainer.Data[*torch.Tensor]{Train: simpleLoader()}); err != nil {
					return err
				}
				require.Equal(t, 12/ranks, tr.GlobalStep())
				require.Contains(t, tr.Metrics(), "loss_g")
				mu.Lock()
				defer mu.Unlock()
				for _, p := range nn.StateDict(m).All() {
					weights[l.GlobalRank()] = append(weights[l.GlobalRank()], floats(p)...)
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, weights[0], weights[ranks-1])
		})
	}
}
