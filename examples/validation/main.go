package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// Metrics are of the whole set, the same on every rank.
type Metrics struct {
	Loss     float64
	Accuracy float32
}

func main() {
	cfg := lite.Config{Strategy: "ddp", Devices: "3"}
	cfg.RegisterFlags(flag.CommandLine)
	checkpoint := flag.String("checkpoint", "linear.pt", "a checkpoint with the linear layer under \"model\"")
	flag.Parse()
	m, err := lite.RunValue(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) (Metrics, error) {
		return run(ctx, l, *checkpoint)
	}) // rank 0's result
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
	log.Printf("loss %.4f, accuracy %.2f %%", m.Loss, 100*m.Accuracy)
}

func run(ctx context.Context, l *lite.Lite, checkpoint string) (Metrics, error) {
	l.SeedEverything(1)
	net := nn.NewSequential(nn.NewLinear(784, 10))
	model, err := lite.Setup(l, net, net.Forward)
	if err != nil {
		return Metrics{}, err
	}
	if _, err := l.Load(checkpoint, lite.State{"model": model}); err != nil {
		return Metrics{}, err
	}
	// 10,000 samples over 3 ranks are 3,334 + 3,333 + 3,333: none twice, none left out.
	loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Test(), 512), lite.LoaderOptions{Exact: true})
	if err != nil {
		return Metrics{}, err
	}
	return evaluate(ctx, l, model, loader)
}

func evaluate(ctx context.Context, l *lite.Lite, model *lite.Net[*nn.Sequential], loader *data.Loader[data.Example]) (Metrics, error) {
	model.Eval()
	defer model.Train()

	loss, accuracy := metrics.NewMean(), metrics.NewAccuracy(metrics.Multiclass(10))
	err := torch.NoGradOf(func() error {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			out := model.Forward(batch.Input.View(-1, 784))
			each := F.CrossEntropy(out, batch.Target, F.CrossEntropyOptions{Reduction: F.None})
			loss.Update(each.Double()) // added up in 64 bits
			accuracy.Update(out, batch.Target)
		}
		return nil
	})
	if err != nil {
		return Metrics{}, err
	}

	// Ranks may have had different numbers of batches: they meet here, and nowhere in the loop.
	return Metrics{Loss: loss.Compute(l).Item(), Accuracy: float32(accuracy.Compute(l).Item())}, nil
}
