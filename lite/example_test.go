package lite_test

import (
	"context"
	"fmt"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// A line is fitted to the points of y = 3x + 1. With Devices: "4" four ranks would do it together.
func Example() {
	x := torch.Linspace(-1, 1, 64).View(-1, 1)
	points := data.NewTensorDataset(x, x.MulScalar(3).AddScalar(1))
	err := lite.Run(context.Background(), lite.Config{Accelerator: "cpu"}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := nn.NewLinear(1, 1)
		opt := optim.NewSGD(nn.Parameters(net), 0.3)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		loader, err := lite.SetupDataLoader(l, data.NewLoader(points, 16, data.Options{Shuffle: true}))
		if err != nil {
			return err
		}
		for range 20 {
			for batch, err := range loader.Batches(ctx) {
				if err != nil {
					return err
				}
				opt.ZeroGrad()
				l.Backward(F.MSELoss(model.Forward(batch.Input), batch.Target))
				opt.Step()
			}
		}
		fmt.Printf("y = %.2fx + %.2f\n", net.Weight.Item(), net.Bias.Item())
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// y = 3.00x + 1.00
	// error: <nil>
}
