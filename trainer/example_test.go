package trainer_test

import (
	"context"
	"fmt"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/trainer"
)

// BoringModel is the module of Lightning's examples.
type BoringModel struct {
	nn.Base
	Layer *nn.Linear
}

func (m *BoringModel) Forward(x *torch.Tensor) *torch.Tensor { return m.Layer.Forward(x) }

func (m *BoringModel) TrainingStep(t *trainer.Trainer, x *torch.Tensor, _ int) *torch.Tensor {
	loss := m.Forward(x).Pow(2).Mean()
	t.Log("train_loss", loss, trainer.LogOptions{ProgBar: true})
	return loss
}

func (m *BoringModel) ValidationStep(t *trainer.Trainer, x *torch.Tensor, _ int) {
	t.Log("val_loss", m.Forward(x).Pow(2).Mean())
}

func (m *BoringModel) ConfigureOptimizers(*trainer.Trainer) trainer.Optimization {
	return trainer.Optimization{Optimizer: optim.NewSGD(nn.Parameters(m), 0.1)}
}

func ExampleFit() {
	err := lite.Run(context.Background(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		t, err := trainer.New(l, trainer.Options{
			MaxEpochs: 3, NoLogger: true, NoCheckpointing: true, NoProgressBar: true, NoModelSummary: true,
		})
		if err != nil {
			return err
		}
		samples := data.NewTensorDatasetOf(torch.Randn(64, 32))
		m := &BoringModel{Layer: nn.NewLinear(32, 2)}
		err = trainer.Fit(ctx, t, m, trainer.Data[*torch.Tensor]{
			Train: data.NewLoader(samples, 8, data.Options{Shuffle: true}), Val: data.NewLoader(samples, 16),
		})
		if err != nil {
			return err
		}
		loss, _ := t.Metric("val_loss")
		fmt.Println(t.Epoch(), "epochs,", t.GlobalStep(), "steps, the loss is below 0.1:", loss < 0.1)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: 3 epochs, 24 steps, the loss is below 0.1: true
}
