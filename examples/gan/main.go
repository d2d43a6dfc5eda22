package main

import (
	"context"
	"flag"
	"log"
	"os"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

const latent = 64

type Generator struct {
	nn.Base
	Body *nn.Sequential
}

func NewGenerator() *Generator {
	return &Generator{Body: nn.NewSequential(
		nn.NewLinear(latent, 256), nn.NewReLU(),
		nn.NewLinear(256, 784), nn.NewTanh(),
	)}
}

func (g *Generator) Forward(z *torch.Tensor) *torch.Tensor { return g.Body.Forward(z) }

// Discriminator returns two results: the score, and the features it was made from.
type Discriminator struct {
	nn.Base
	Features *nn.Sequential
	Score    *nn.Linear
}

func NewDiscriminator() *Discriminator {
	return &Discriminator{
		Features: nn.NewSequential(nn.NewLinear(784, 256), nn.NewLeakyReLU(0.2)),
		Score:    nn.NewLinear(256, 1),
	}
}

func (d *Discriminator) Forward(x *torch.Tensor) (score, features *torch.Tensor) {
	features = d.Features.Forward(x)
	return d.Score.Forward(features), features
}

func main() {
	cfg := lite.Config{Strategy: "ddp", Devices: "2", Precision: "16-mixed"}
	cfg.RegisterFlags(flag.CommandLine)
	epochs := flag.Int("epochs", 20, "passes over the training set")
	checkpoint := flag.String("checkpoint", "gan.pt", "where to save")
	flag.Parse()
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, mnist.Train(), *epochs, *checkpoint)
	})
	if err != nil {
		log.Print(err)
		os.Exit(lite.ExitCode(err))
	}
}

func train(ctx context.Context, l *lite.Lite, photos data.Dataset[data.Example], epochs int, checkpoint string) error {
	l.SeedEverything(1)

	gen, disc := NewGenerator(), NewDiscriminator()
	adam := optim.AdamOptions{Betas: &[2]float64{0.5, 0.999}}
	optG := optim.NewAdam(nn.Parameters(gen), 2e-4, adam)
	optD := optim.NewAdam(nn.Parameters(disc), 2e-4, adam)

	g, err := lite.Setup(l, gen, gen.Forward, optG) // one model with its optimizers a call
	if err != nil {
		return err
	}
	d, err := lite.Setup(l, disc, disc.Forward, optD)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l,
		data.NewLoader(photos, 128, data.Options{Shuffle: true, DropLast: true}))
	if err != nil {
		return err
	}

	on := torch.Options{Device: l.Device()}
	noise := torch.Options{Device: l.Device(), Generator: l.RankGenerator()} // differs from rank to rank
	for epoch := range epochs {
		sumG, sumD := on.Zeros(), on.Zeros()
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			n := batch.Input.Size(0)
			photo := batch.Input.View(n, 784)
			fake := g.Forward(noise.Randn(n, latent))

			// The discriminator: one forward pass for both halves.
			optD.ZeroGrad()
			score, _ := d.Forward(torch.Cat([]*torch.Tensor{photo, fake.Detach()}, 0))
			target := torch.Cat([]*torch.Tensor{on.Ones(n, 1), on.Zeros(n, 1)}, 0)
			stepD := F.BCEWithLogits(score, target)
			l.Backward(stepD)
			optD.Step()

			// The generator: the discriminator's gradients are by-products, so its ranks need not agree on them.
			optG.ZeroGrad()
			var stepG *torch.Tensor
			l.NoBackwardSync(d, true, func() {
				score, feat := d.Forward(fake)
				_, want := d.Forward(photo)
				match := feat.Mean(0).Sub(want.Detach().Mean(0)).Pow(2).Sum()
				stepG = F.BCEWithLogits(score, on.Ones(n, 1)).Add(match.MulScalar(0.1))
				l.Backward(stepG)
			})
			optG.Step()

			sumG.Add_(stepG.Detach())
			sumD.Add_(stepD.Detach())
		}
		steps := float64(loader.Len())
		l.Print("epoch", epoch, "G", sumG.Item()/steps, "D", sumD.Item()/steps)
	}
	return l.Save(checkpoint, lite.State{"gen": g, "disc": d, "opt_g": optG, "opt_d": optD})
}
