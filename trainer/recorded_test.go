package trainer_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// recordedRun is a run of Lightning's Trainer, see scripts/fixtures/record_trainer.py.
type recordedRun struct {
	Name                       string
	Opt, Sched, Log            string
	EpochHook                  bool `json:"epoch_hook"`
	Shuffle, Norm, Val2, NoVal bool
	Dropout                    float64
	Callbacks                  []string
	Args                       map[string]any
	Losses, Rates              []float64
	Weights                    map[string][]float64
	CSV                        string
	Files                      []string
	Best                       string
	Steps, Epochs              int
	Metrics                    map[string]float64
}

// recordedNet is the module of the recorded runs.
type recordedNet struct {
	nn.Base
	First *nn.Linear      `name:"first"`
	Norm  *nn.BatchNorm1d `name:"norm"`
	Last  *nn.Linear      `name:"last"`
	Drop  *nn.Dropout     `name:"drop"`

	run           *recordedRun
	losses, rates []float64
}

// numbers is the table of the same name in the script.
func numbers(n, m, a, b int) *torch.Tensor {
	list := make([]float32, 0, n*m)
	for i := range n {
		for j := range m {
			list = append(list, float32((i*a+j*b)%17-8)/8)
		}
	}
	return torch.From(list).View(n, m)
}

func newRecordedNet(r *recordedRun) *recordedNet {
	m := &recordedNet{First: nn.NewLinear(4, 8), Norm: nn.NewBatchNorm1d(8), Last: nn.NewLinear(8, 2), Drop: nn.NewDropout(r.Dropout), run: r}
	torch.NoGrad(func() {
		m.First.Weight.Copy_(numbers(8, 4, 3, 5).DivScalar(2))
		m.First.Bias.Copy_(numbers(1, 8, 1, 3).Select(0, 0).DivScalar(4))
		m.Last.Weight.Copy_(numbers(2, 8, 7, 3).DivScalar(2))
		m.Last.Bias.Zero_()
	})
	return m
}

func (m *recordedNet) Forward(x *torch.Tensor) *torch.Tensor {
	x = m.First.Forward(x)
	if m.run.Norm {
		x = m.Norm.Forward(x)
	}
	return m.Last.Forward(m.Drop.Forward(F.ReLU(x)))
}

func (m *recordedNet) loss(b data.Example) *torch.Tensor {
	return m.Forward(b.Input).Sub(b.Target).Pow(2).Mean()
}

func (m *recordedNet) TrainingStep(t *trainer.Trainer, b data.Example, _ int) *torch.Tensor {
	loss := m.loss(b)
	epoch := func(r trainer.Reduce) trainer.LogOptions {
		return trainer.LogOptions{When: trainer.OnEpoch, Reduce: r}
	}
	switch o := (trainer.LogOptions{ProgBar: true}); m.run.Log {
	case "epoch", "both":
		if o.When = trainer.OnEpoch; m.run.Log == "both" {
			o.When |= trainer.OnStep
		}
		t.Log("train_loss", loss, o)
		t.Log("largest", b.Input.Max(), epoch(trainer.Max))
		t.Log("least", b.Input.Min(), epoch(trainer.Min))
		t.Log("count", 1.0, epoch(trainer.Sum))
	default:
		t.Log("train_loss", loss, o)
	}
	m.losses = append(m.losses, loss.Item())
	m.rates = append(m.rates, t.Optimizers()[0].ParamGroups()[0].LR)
	return loss
}

func (m *recordedNet) ValidationStep(t *trainer.Trainer, b data.Example, _ int) {
	t.Log("val_loss", m.loss(b))
}

func (m *recordedNet) OnTrainEpochEnd(t *trainer.Trainer) error {
	if m.run.EpochHook {
		t.Log("hooked", float64(t.Epoch())*2)
	}
	return nil
}

func (m *recordedNet) ConfigureOptimizers(t *trainer.Trainer) trainer.Optimization {
	var opt optim.Optimizer
	switch m.run.Opt {
	case "adam":
		opt = optim.NewAdam(nn.Parameters(m), 0.01)
	case "adamw":
		opt = optim.NewAdamW(nn.Parameters(m), 0.01)
	default:
		opt = optim.NewSGD(nn.Parameters(m), 0.05, optim.SGDOptions{Momentum: 0.9})
	}
	c := trainer.Optimization{Optimizer: opt}
	switch m.run.Sched {
	case "step":
		c.Schedules = []trainer.Schedule{{Scheduler: optim.NewStepLR(opt, 1, optim.StepLROptions{Gamma: new(0.5)})}}
	case "step_frequency":
		c.Schedules = []trainer.Schedule{{
			Scheduler: optim.NewStepLR(opt, 1, optim.StepLROptions{Gamma: new(0.5)}), Interval: trainer.Step, Frequency: 2,
		}}
	case "onecycle":
		c.Schedules = []trainer.Schedule{{Scheduler: optim.NewOneCycleLR(opt, 0.1, t.EstimatedSteps()), Interval: trainer.Step}}
	case "plateau":
		c.Schedules = []trainer.Schedule{{
			Scheduler: optim.NewReduceLROnPlateau(opt, optim.PlateauOptions{Patience: new(0)}), Monitor: "val_loss",
		}}
	}
	return c
}

// recordedData is the data of the recorded runs.
type recordedData struct{ run *recordedRun }

func (d recordedData) TrainDataLoader(*trainer.Trainer) (*data.Loader[data.Example], error) {
	return data.NewLoader(data.NewTensorDataset(numbers(26, 4, 5, 11), numbers(26, 2, 7, 13)), 4, data.Options{Shuffle: d.run.Shuffle}), nil
}

func (d recordedData) ValDataLoaders(*trainer.Trainer) ([]*data.Loader[data.Example], error) {
	if d.run.NoVal {
		return nil, nil
	}
	vy := numbers(10, 2, 3, 7)
	list := []*data.Loader[data.Example]{data.NewLoader(data.NewTensorDataset(numbers(10, 4, 11, 3), vy), 4)}
	if d.run.Val2 {
		list = append(list, data.NewLoader(data.NewTensorDataset(vy.Repeat(1, 2), vy), 5))
	}
	return list, nil
}

// options are the recorded arguments of Lightning's Trainer.
func (r *recordedRun) options(t *testing.T, root string) (o trainer.Options, precision string) {
	o = trainer.Options{MaxEpochs: 3, LogEveryNSteps: 1, RootDir: root, NoProgressBar: true, NoModelSummary: true, NoFinalValidation: true}
	n := func(v any) int { return int(v.(float64)) }
	amount := func(v any) trainer.Amount {
		if f := v.(float64); f < 1 {
			return trainer.Fraction(f)
		}
		return trainer.Batches(n(v))
	}
	for name, v := range r.Args {
		switch name {
		case "max_epochs":
			o.MaxEpochs = n(v)
		case "max_steps":
			o.MaxSteps = n(v)
		case "accumulate_grad_batches":
			o.AccumulateGradBatches = n(v)
		case "gradient_clip_val":
			o.GradientClipVal = v.(float64)
		case "gradient_clip_algorithm":
			o.GradientClipAlgorithm = v.(string)
		case "val_check_interval":
			o.ValCheckInterval = amount(v)
		case "check_val_every_n_epoch":
			if o.CheckValEveryNEpochs = -1; v != nil {
				o.CheckValEveryNEpochs = n(v)
			}
		case "limit_train_batches":
			o.LimitTrainBatches = amount(v)
		case "limit_val_batches":
			o.LimitValBatches = amount(v)
		case "overfit_batches":
			o.OverfitBatches = amount(v)
		case "log_every_n_steps":
			o.LogEveryNSteps = n(v)
		case "num_sanity_val_steps":
			o.NoSanityCheck = n(v) == 0
		case "precision":
			precision = v.(string)
		default:
			require.Fail(t, "an argument that the test does not know", name)
		}
	}
	for _, c := range r.Callbacks {
		o.Callbacks = append(o.Callbacks, map[string]trainer.Callback{
			"early":        &trainer.EarlyStopping{Monitor: "val_loss", Patience: new(1), MinDelta: 0.05},
			"ema":          &trainer.WeightAveraging{Average: optim.EMA(0.5), EveryNSteps: 2, StartingAtStep: 3},
			"mean":         &trainer.WeightAveraging{NoBuffers: true},
			"rates":        &trainer.LearningRateMonitor{},
			"accumulation": &trainer.GradientAccumulationScheduler{Scheduling: map[int]int{0: 1, 1: 3}},
		}[c])
	}
	return o, precision
}

func recordedRuns(t *testing.T) (list []*recordedRun) {
	text, err := os.ReadFile("testdata/runs.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &list))
	require.Greater(t, len(list), 24)
	return list
}

// Losses, rates, weights, logged rows, files and counters are Lightning's, bit for bit.
func TestRecordedRuns(t *testing.T) {
	for _, r := range recordedRuns(t) {
		t.Run(r.Name, func(t *testing.T) {
			root := t.TempDir()
			o, precision := r.options(t, root)
			checkpoint := &trainer.ModelCheckpoint{Monitor: "val_loss", SaveTopK: 2}
			switch {
			case r.NoVal:
				checkpoint = &trainer.ModelCheckpoint{}
			case r.Val2:
				checkpoint.Monitor = "val_loss/dataloader_idx_0"
			}
			o.Callbacks = append(o.Callbacks, checkpoint)
			var net *recordedNet
			var tr *trainer.Trainer
			var metrics map[string]float64
			err := lite.Run(context.Background(), lite.Config{Precision: precision}, func(ctx context.Context, l *lite.Lite) (err error) {
				net = newRecordedNet(r)
				l.SeedEverything(7)
				if tr, err = trainer.New(l, o); err != nil {
					return err
				}
				torch.WithNumThreads(1, func() { err = trainer.Fit(ctx, tr, net, recordedData{r}) }) // as Lightning was recorded
				metrics = tr.Metrics()
				return err
			})
			require.NoError(t, err)
			require.Equal(t, r.Losses, net.losses, "losses")
			require.Equal(t, r.Rates, net.rates, "rates")
			for name, p := range nn.StateDict(net).All() {
				require.Equal(t, r.Weights[name], floats(p), name)
			}
			csv, err := os.ReadFile(filepath.Join(root, "lightning_logs", "version_0", "metrics.csv"))
			require.NoError(t, err)
			require.Equal(t, r.CSV, string(csv))
			require.Equal(t, r.Metrics, metrics)
			require.Equal(t, [2]int{r.Steps, r.Epochs}, [2]int{tr.GlobalStep(), tr.Epoch()})
			files, err := filepath.Glob(filepath.Join(root, "lightning_logs", "version_0", "checkpoints", "*.ckpt"))
			require.NoError(t, err)
			for i, f := range files {
				files[i] = filepath.Base(f)
			}
			slices.Sort(files)
			require.Equal(t, r.Files, files)
			require.Equal(t, r.Best, filepath.Base(checkpoint.BestModelPath()))
		})
	}
}

// floats are a tensor's elements.
func floats(t *torch.Tensor) []float64 {
	t = t.Detach().To(torch.CPU, torch.Float64).Reshape(-1)
	return torch.ToSlice[float64](t)
}
