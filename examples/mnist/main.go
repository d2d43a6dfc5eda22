package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/ddp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// options are the program's own flags; lite.Config has the others.
type options struct {
	model      string
	epochs     int
	batchSize  int
	lr         float64
	seed       uint64
	checkpoint string
	resume     string
	metrics    string
	threads    int
}

func (o *options) register(fs *flag.FlagSet) {
	fs.StringVar(&o.model, "model", "mlp", "what to train: mlp or cnn")
	fs.IntVar(&o.epochs, "epochs", 3, "passes over the training set")
	fs.IntVar(&o.batchSize, "batch-size", 64, "samples a batch, on each rank")
	fs.Float64Var(&o.lr, "lr", 0, "learning rate; 0: the model's own (mlp 0.1, cnn 0.001)")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of all that is random")
	fs.StringVar(&o.checkpoint, "checkpoint", "", "file to save to, after each epoch and when stopped")
	fs.StringVar(&o.resume, "resume", "", "checkpoint to go on from")
	fs.StringVar(&o.metrics, "metrics", "", "file to append a JSON line to at each step")
	fs.IntVar(&o.threads, "threads", 0, "threads of one operation; 0: all cores, divided among the ranks")
}

func main() {
	log.SetFlags(0)
	var cfg lite.Config
	cfg.RegisterFlags(flag.CommandLine)
	var o options
	o.register(flag.CommandLine)
	flag.Parse()

	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		if o.threads > 0 {
			var err error
			torch.WithNumThreads(o.threads, func() { err = train(ctx, l, o) })
			return err
		}
		return train(ctx, l, o)
	})
	if err != nil {
		log.Fatal(err)
	}
}

func train(ctx context.Context, l *lite.Lite, o options) (err error) {
	l.SeedEverything(o.seed)
	net, opt, err := build(o)
	if err != nil {
		return err
	}
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Train(), o.batchSize, data.Options{Shuffle: true}))
	if err != nil {
		return err
	}
	out, err := openMetrics(o.metrics, l.GlobalRank())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()

	epoch, step := 0, 0
	state := lite.State{"model": model, "optimizer": opt, "loader": loader, "epoch": &epoch, "step": &step}
	if o.resume != "" {
		if _, err := l.Load(o.resume, state); err != nil {
			return err
		}
		l.Printf("resuming at epoch %d, step %d", epoch, step)
	}

	model.Train()
	for ; epoch < o.epochs; epoch++ {
		bar := newBar(l, loader.Len(), fmt.Sprintf("epoch %d/%d", epoch+1, o.epochs))
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			loss := net.Loss(model.Forward(batch.Input), batch.Target)
			l.Backward(loss)
			opt.Step()
			step++
			bar.step(loss)
			if err := out.step(epoch, step, loss); err != nil {
				return err
			}
			if l.Stopping() {
				return stop(l, o, state)
			}
		}
		bar.finish()
		if o.checkpoint != "" {
			if err := l.Save(o.checkpoint, state); err != nil {
				return err
			}
		}
	}

	accuracy, err := evaluate(ctx, l, model)
	if err != nil {
		return err
	}
	l.Printf("test accuracy %.2f %%", 100*accuracy)
	if o.checkpoint != "" {
		l.Printf("saved %s", o.checkpoint)
	}
	return out.end(accuracy)
}

// stop saves what there is when the run is asked to end.
func stop(l *lite.Lite, o options, state lite.State) error {
	if o.checkpoint != "" {
		if err := l.Save(o.checkpoint, state); err != nil {
			return err
		}
	}
	return lite.ErrStopped
}

// build makes the model and its optimizer.
func build(o options) (*Classifier, optim.Optimizer, error) {
	lr := o.lr
	switch o.model {
	case "mlp":
		net := NewMLP()
		if lr == 0 {
			lr = 0.1
		}
		return net, optim.NewSGD(nn.Parameters(net), lr, optim.SGDOptions{Momentum: 0.9}), nil
	case "cnn":
		net := NewCNN()
		if lr == 0 {
			lr = 1e-3
		}
		return net, optim.NewAdam(nn.Parameters(net), lr), nil
	}
	return nil, nil, fmt.Errorf("-model %q: want mlp or cnn", o.model)
}

// evaluate returns the share of the test images that the model gets right, over all ranks and each image once.
func evaluate(ctx context.Context, l *lite.Lite, model *lite.Net[*Classifier]) (float64, error) {
	loader, err := lite.SetupDataLoader(l, data.NewLoader(mnist.Test(), 1000), lite.LoaderOptions{Exact: true})
	if err != nil {
		return 0, err
	}
	model.Eval()
	defer model.Train()
	correct := torch.Options{Device: l.Device(), DType: torch.Int64}.Zeros()
	seen := 0
	err = torch.NoGradOf(func() error {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			correct.Add_(model.Forward(batch.Input).ArgMax(-1).Eq(batch.Target).Sum())
			seen += batch.Input.Size(0)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	l.AllReduce(correct, ddp.Sum)
	return correct.Item() / float64(lite.Sum(l, seen)), nil
}
