package trainer_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// traced is a module, M, that records the calls of its hooks, as testdata/trace.txt has those of Lightning.
type traced struct {
	nn.Base
	L   *nn.Linear `name:"l"`
	log *[]string
}

func (m *traced) add(name string) { *m.log = append(*m.log, "M."+name) }

func (m *traced) loss(x *torch.Tensor) *torch.Tensor { return m.L.Forward(x).Pow(2).Mean() }

func (m *traced) TrainingStep(t *trainer.Trainer, x *torch.Tensor, _ int) *torch.Tensor {
	m.add("training_step")
	loss := m.loss(x)
	t.Log("train_loss", loss, trainer.LogOptions{When: trainer.OnStep | trainer.OnEpoch})
	return loss
}

func (m *traced) ValidationStep(t *trainer.Trainer, x *torch.Tensor, _ int) {
	m.add("validation_step")
	t.Log("val_loss", m.loss(x))
}

func (m *traced) TestStep(t *trainer.Trainer, x *torch.Tensor, _ int) {
	m.add("test_step")
	t.Log("test_loss", m.loss(x))
}

func (m *traced) PredictStep(_ *trainer.Trainer, x *torch.Tensor, _ int) *torch.Tensor {
	m.add("predict_step")
	return m.L.Forward(x)
}

func (m *traced) ConfigureOptimizers(*trainer.Trainer) trainer.Optimization {
	m.add("configure_optimizers")
	o := optim.NewSGD(nn.Parameters(m), 0.1)
	return trainer.Optimization{Optimizer: o, Schedules: []trainer.Schedule{{Scheduler: optim.NewStepLR(o, 1)}}}
}

func (m *traced) hook(name string) error { m.add(name); return nil }

func (m *traced) PrepareData(context.Context) error              { return m.hook("prepare_data") }
func (m *traced) Setup(*trainer.Trainer, trainer.Stage) error    { return m.hook("setup") }
func (m *traced) Teardown(*trainer.Trainer, trainer.Stage) error { return m.hook("teardown") }
func (m *traced) ConfigureModel(*trainer.Trainer) error          { return m.hook("configure_model") }
func (m *traced) ConfigureCallbacks() []trainer.Callback         { m.add("configure_callbacks"); return nil }
func (m *traced) OnFitStart(*trainer.Trainer) error              { return m.hook("on_fit_start") }
func (m *traced) OnFitEnd(*trainer.Trainer) error                { return m.hook("on_fit_end") }
func (m *traced) OnTrainStart(*trainer.Trainer) error            { return m.hook("on_train_start") }
func (m *traced) OnTrainEnd(*trainer.Trainer) error              { return m.hook("on_train_end") }
func (m *traced) OnTrainEpochStart(*trainer.Trainer) error       { return m.hook("on_train_epoch_start") }
func (m *traced) OnTrainEpochEnd(*trainer.Trainer) error         { return m.hook("on_train_epoch_end") }
func (m *traced) OnValidationStart(*trainer.Trainer) error       { return m.hook("on_validation_start") }
func (m *traced) OnValidationEnd(*trainer.Trainer) error         { return m.hook("on_validation_end") }
func (m *traced) OnValidationEpochStart(*trainer.Trainer) error {
	return m.hook("on_validation_epoch_start")
}
func (m *traced) OnValidationEpochEnd(*trainer.Trainer) error {
	return m.hook("on_validation_epoch_end")
}
func (m *traced) OnTestStart(*trainer.Trainer) error         { return m.hook("on_test_start") }
func (m *traced) OnTestEnd(*trainer.Trainer) error           { return m.hook("on_test_end") }
func (m *traced) OnTestEpochStart(*trainer.Trainer) error    { return m.hook("on_test_epoch_start") }
func (m *traced) OnTestEpochEnd(*trainer.Trainer) error      { return m.hook("on_test_epoch_end") }
func (m *traced) OnPredictStart(*trainer.Trainer) error      { return m.hook("on_predict_start") }
func (m *traced) OnPredictEnd(*trainer.Trainer) error        { return m.hook("on_predict_end") }
func (m *traced) OnPredictEpochStart(*trainer.Trainer) error { return m.hook("on_predict_epoch_start") }
func (m *traced) OnPredictEpochEnd(*trainer.Trainer) error   { return m.hook("on_predict_epoch_end") }
func (m *traced) OnAfterBackward(*trainer.Trainer) error     { return m.hook("on_after_backward") }
func (m *traced) OnBeforeBackward(*trainer.Trainer, *torch.Tensor) error {
	return m.hook("on_before_backward")
}
func (m *traced) OnBeforeZeroGrad(*trainer.Trainer, optim.Optimizer) error {
	return m.hook("on_before_zero_grad")
}
func (m *traced) OnBeforeOptimizerStep(*trainer.Trainer, optim.Optimizer) error {
	return m.hook("on_before_optimizer_step")
}
func (m *traced) OnSaveCheckpoint(*trainer.Trainer, map[string]any) error {
	return m.hook("on_save_checkpoint")
}
func (m *traced) OnLoadCheckpoint(*trainer.Trainer, map[string]any) error {
	return m.hook("on_load_checkpoint")
}
func (m *traced) OnTrainBatchStart(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_train_batch_start")
}
func (m *traced) OnTrainBatchEnd(_ *trainer.Trainer, _, _ *torch.Tensor, _ int) error {
	return m.hook("on_train_batch_end")
}
func (m *traced) OnValidationBatchStart(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_validation_batch_start")
}
func (m *traced) OnValidationBatchEnd(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_validation_batch_end")
}
func (m *traced) OnTestBatchStart(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_test_batch_start")
}
func (m *traced) OnTestBatchEnd(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_test_batch_end")
}
func (m *traced) OnPredictBatchStart(*trainer.Trainer, *torch.Tensor, int) error {
	return m.hook("on_predict_batch_start")
}
func (m *traced) OnPredictBatchEnd(*trainer.Trainer, any, *torch.Tensor, int) error {
	return m.hook("on_predict_batch_end")
}
func (m *traced) OptimizerStep(_ *trainer.Trainer, o optim.Optimizer, closure func() *torch.Tensor) {
	m.add("optimizer_step")
	*m.log = append(*m.log, "[optimizer.step{")
	o.StepFunc(closure)
	*m.log = append(*m.log, "}optimizer.step]")
}
func (m *traced) OptimizerZeroGrad(_ *trainer.Trainer, o optim.Optimizer) {
	m.add("optimizer_zero_grad")
	o.ZeroGrad()
}
func (m *traced) ConfigureGradientClipping(t *trainer.Trainer, o optim.Optimizer, val float64, algorithm string) {
	m.add("configure_gradient_clipping")
	t.ClipGradients(o, val, algorithm)
}
func (m *traced) LRSchedulerStep(_ *trainer.Trainer, s trainer.Scheduler, _ *float64) error {
	s.(optim.Scheduler).Step()
	return m.hook("lr_scheduler_step")
}

// tracedCallback records the calls of a callback, C.
type tracedCallback struct{ log *[]string }

func (c tracedCallback) hook(name string) error { *c.log = append(*c.log, "C."+name); return nil }

func (c tracedCallback) StateKey() string { return "C" }
func (c tracedCallback) StateDict() map[string]any {
	_ = c.hook("state_dict")
	return map[string]any{"x": 1}
}
func (c tracedCallback) LoadStateDict(map[string]any) error             { return c.hook("load_state_dict") }
func (c tracedCallback) Setup(*trainer.Trainer, trainer.Stage) error    { return c.hook("setup") }
func (c tracedCallback) Teardown(*trainer.Trainer, trainer.Stage) error { return c.hook("teardown") }
func (c tracedCallback) OnFitStart(*trainer.Trainer) error              { return c.hook("on_fit_start") }
func (c tracedCallback) OnFitEnd(*trainer.Trainer) error                { return c.hook("on_fit_end") }
func (c tracedCallback) OnSanityCheckStart(*trainer.Trainer) error {
	return c.hook("on_sanity_check_start")
}
func (c tracedCallback) OnSanityCheckEnd(*trainer.Trainer) error {
	return c.hook("on_sanity_check_end")
}
func (c tracedCallback) OnTrainStart(*trainer.Trainer) error { return c.hook("on_train_start") }
func (c tracedCallback) OnTrainEnd(*trainer.Trainer) error   { return c.hook("on_train_end") }
func (c tracedCallback) OnTrainEpochStart(*trainer.Trainer) error {
	return c.hook("on_train_epoch_start")
}
func (c tracedCallback) OnTrainEpochEnd(*trainer.Trainer) error { return c.hook("on_train_epoch_end") }
func (c tracedCallback) OnValidationStart(*trainer.Trainer) error {
	return c.hook("on_validation_start")
}
func (c tracedCallback) OnValidationEnd(*trainer.Trainer) error { return c.hook("on_validation_end") }
func (c tracedCallback) OnValidationEpochStart(*trainer.Trainer) error {
	return c.hook("on_validation_epoch_start")
}
func (c tracedCallback) OnValidationEpochEnd(*trainer.Trainer) error {
	return c.hook("on_validation_epoch_end")
}
func (c tracedCallback) OnTestStart(*trainer.Trainer) error { return c.hook("on_test_start") }
func (c tracedCallback) OnTestEnd(*trainer.Trainer) error   { return c.hook("on_test_end") }
func (c tracedCallback) OnTestEpochStart(*trainer.Trainer) error {
	return c.hook("on_test_epoch_start")
}
func (c tracedCallback) OnTestEpochEnd(*trainer.Trainer) error { return c.hook("on_test_epoch_end") }
func (c tracedCallback) OnPredictStart(*trainer.Trainer) error { return c.hook("on_predict_start") }
func (c tracedCallback) OnPredictEnd(*trainer.Trainer) error   { return c.hook("on_predict_end") }
func (c tracedCallback) OnPredictEpochStart(*trainer.Trainer) error {
	return c.hook("on_predict_epoch_start")
}
func (c tracedCallback) OnPredictEpochEnd(*trainer.Trainer) error {
	return c.hook("on_predict_epoch_end")
}
func (c tracedCallback) OnAfterBackward(*trainer.Trainer) error { return c.hook("on_after_backward") }
func (c tracedCallback) OnBeforeBackward(*trainer.Trainer, *torch.Tensor) error {
	return c.hook("on_before_backward")
}
func (c tracedCallback) OnBeforeZeroGrad(*trainer.Trainer, optim.Optimizer) error {
	return c.hook("on_before_zero_grad")
}
func (c tracedCallback) OnBeforeOptimizerStep(*trainer.Trainer, optim.Optimizer) error {
	return c.hook("on_before_optimizer_step")
}
func (c tracedCallback) OnSaveCheckpoint(*trainer.Trainer, map[string]any) error {
	return c.hook("on_save_checkpoint")
}
func (c tracedCallback) OnLoadCheckpoint(*trainer.Trainer, map[string]any) error {
	return c.hook("on_load_checkpoint")
}
func (c tracedCallback) OnTrainBatchStart(*trainer.Trainer, any, int) error {
	return c.hook("on_train_batch_start")
}
func (c tracedCallback) OnTrainBatchEnd(*trainer.Trainer, *torch.Tensor, any, int) error {
	return c.hook("on_train_batch_end")
}
func (c tracedCallback) OnValidationBatchStart(*trainer.Trainer, any, int) error {
	return c.hook("on_validation_batch_start")
}
func (c tracedCallback) OnValidationBatchEnd(*trainer.Trainer, any, int) error {
	return c.hook("on_validation_batch_end")
}
func (c tracedCallback) OnTestBatchStart(*trainer.Trainer, any, int) error {
	return c.hook("on_test_batch_start")
}
func (c tracedCallback) OnTestBatchEnd(*trainer.Trainer, any, int) error {
	return c.hook("on_test_batch_end")
}
func (c tracedCallback) OnPredictBatchStart(*trainer.Trainer, any, int) error {
	return c.hook("on_predict_batch_start")
}
func (c tracedCallback) OnPredictBatchEnd(*trainer.Trainer, any, any, int) error {
	return c.hook("on_predict_batch_end")
}

// tracedData records the calls of a data module, D.
type tracedData struct{ log *[]string }

func (d tracedData) add(name string) { *d.log = append(*d.log, "D."+name) }

func (d tracedData) PrepareData(context.Context) error              { d.add("prepare_data"); return nil }
func (d tracedData) Setup(*trainer.Trainer, trainer.Stage) error    { d.add("setup"); return nil }
func (d tracedData) Teardown(*trainer.Trainer, trainer.Stage) error { d.add("teardown"); return nil }
func (d tracedData) StateDict() map[string]any                      { d.add("state_dict"); return map[string]any{"k": 1} }
func (d tracedData) LoadStateDict(map[string]any) error             { d.add("load_state_dict"); return nil }
func (d tracedData) loader() *data.Loader[*torch.Tensor] {
	return data.NewLoader(data.NewTensorDatasetOf(numbers(6, 4, 3, 5)), 2)
}
func (d tracedData) TrainDataLoader(*trainer.Trainer) (*data.Loader[*torch.Tensor], error) {
	d.add("train_dataloader")
	return d.loader(), nil
}
func (d tracedData) ValDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	d.add("val_dataloader")
	return []*data.Loader[*torch.Tensor]{d.loader()}, nil
}
func (d tracedData) TestDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	d.add("test_dataloader")
	return []*data.Loader[*torch.Tensor]{d.loader()}, nil
}
func (d tracedData) PredictDataLoaders(*trainer.Trainer) ([]*data.Loader[*torch.Tensor], error) {
	d.add("predict_dataloader")
	return []*data.Loader[*torch.Tensor]{d.loader()}, nil
}

// trace reads a part of testdata/trace.txt, Lightning's order, without the moments that golite does not have: the hooks
// of moving a batch, which its loaders do, those of Lightning's own methods, and the lines of loggers and checkpoints
// that other tests compare.
func trace(t *testing.T, title string) (lines []string) {
	f, err := os.Open("testdata/trace.txt")
	require.NoError(t, err)
	defer f.Close()
	in := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if after, ok := strings.CutPrefix(line, "## "); ok {
			in = after == title
			continue
		}
		known := strings.HasPrefix(line, "M.") || strings.HasPrefix(line, "C.") || strings.HasPrefix(line, "D.") || strings.HasSuffix(line, "optimizer.step{") ||
			strings.HasPrefix(line, "}optimizer")
		foreign := strings.Contains(line, "batch_transfer") || strings.Contains(line, "batch_to_device") || strings.Contains(line, "_model_") || line == "M.backward"
		if in && (known && !foreign || strings.HasPrefix(line, "[optimizer.step{")) {
			lines = append(lines, line)
		}
	}
	require.NotEmpty(t, lines, title)
	return lines
}

// The hooks of module, callback and data module come in Lightning's order.
func TestOrderOfHooks(t *testing.T) {
	var log []string
	root := t.TempDir()
	options := func() trainer.Options {
		return trainer.Options{
			MaxEpochs: 2, AccumulateGradBatches: 2, LogEveryNSteps: 1, GradientClipVal: 1, RootDir: root, NoProgressBar: true, NoModelSummary: true,
			NoFinalValidation: true,
			Callbacks: []trainer.Callback{
				tracedCallback{&log}, &trainer.ModelCheckpoint{Monitor: "val_loss", SaveLast: "copy"}, &trainer.EarlyStopping{Monitor: "val_loss", Patience: new(5)},
			},
		}
	}
	check := func(title string) {
		require.Equal(t, trace(t, title), log, title)
		log = nil
	}
	last := ""
	err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		o := options()
		tr, err := trainer.New(l, o)
		if err != nil {
			return err
		}
		m, d := &traced{L: nn.NewLinear(4, 2), log: &log}, tracedData{&log}
		if err := trainer.Fit(ctx, tr, m, d); err != nil {
			return err
		}
		check("fit")
		last = o.Callbacks[1].(*trainer.ModelCheckpoint).LastModelPath()
		values, err := trainer.Test(ctx, tr, m, d)
		if err != nil {
			return err
		}
		check("test")
		require.Len(t, values, 1)
		require.Contains(t, values[0], "test_loss")
		p, err := trainer.Predict(ctx, tr, m, d)
		check("predict")
		require.Len(t, p[0], 3)
		return err
	})
	require.NoError(t, err)
	err = lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		o := options()
		o.MaxEpochs, o.NoLogger, o.GradientClipVal = 3, true, 0
		o.Callbacks = slices.Clone(o.Callbacks)
		o.Callbacks[1] = &trainer.ModelCheckpoint{Monitor: "val_loss", Dir: filepath.Join(root, "second")}
		tr, err := trainer.New(l, o)
		if err != nil {
			return err
		}
		return trainer.Fit(ctx, tr, &traced{L: nn.NewLinear(4, 2), log: &log}, tracedData{&log}, trainer.FitOptions{CkptPath: last})
	})
	require.NoError(t, err)
	check("resume from last (epoch end)")
}
