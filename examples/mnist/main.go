package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// auto is the -resume of a program that may be started again.
const auto = "auto"

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
	maxSteps   int
}

func (o *options) register(fs *flag.FlagSet) {
	fs.StringVar(&o.model, "model", "mlp", "what to train: mlp or cnn")
	fs.IntVar(&o.epochs, "epochs", 3, "passes over the training set")
	fs.IntVar(&o.batchSize, "batch-size", 64, "samples a batch, on each rank")
	fs.Float64Var(&o.lr, "lr", 0, "learning rate; 0: the model's own (mlp 0.1, cnn 0.001)")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of all that is random")
	fs.StringVar(&o.checkpoint, "checkpoint", "", "file to save to, after each epoch and when stopped")
	fs.StringVar(&o.resume, "resume", "", "checkpoint to go on from; auto: that of -checkpoint, as soon as there is one")
	fs.StringVar(&o.metrics, "metrics", "", "file to append a JSON line to at each step")
	fs.IntVar(&o.threads, "threads", 0, "threads of one operation; 0: all cores, divided among the ranks")
	fs.IntVar(&o.maxSteps, "max-steps", 0, "steps after which training ends, those before a -resume included; 0: with the last epoch")
}

// digits are the images that the program trains on, and those that it is tested with, read when a rank asks for them.
type digits struct {
	train, test func() data.Dataset[data.Example]
}

// all is the real MNIST.
var all = digits{
	train: func() data.Dataset[data.Example] { return mnist.Train() },
	test:  func() data.Dataset[data.Example] { return mnist.Test() },
}

// check refuses what can't be meant, before a rank starts.
func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is no flag: every argument is one, with a - before its name", rest[0])
	case o.model != "mlp" && o.model != "cnn":
		return fmt.Errorf("-model %q: want mlp or cnn", o.model)
	case o.resume == auto && o.checkpoint == "":
		return errors.New("-resume auto goes on from what -checkpoint names, and that is not given")
	case o.epochs < 0 || o.threads < 0 || o.maxSteps < 0:
		return fmt.Errorf("-epochs (%d), -threads (%d) and -max-steps (%d) can't be negative", o.epochs, o.threads, o.maxSteps)
	}
	return nil
}

func main() {
	if err := run(context.Background(), all, flag.CommandLine, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mnist:", err)
		os.Exit(lite.ExitCode(err))
	}
}

// run trains as the arguments say, and writes what rank 0 has to say to out.
func run(ctx context.Context, d digits, fs *flag.FlagSet, args []string, out io.Writer) error {
	cfg := lite.Config{Output: out}
	cfg.RegisterFlags(fs)
	var o options
	o.register(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := o.check(fs.Args()); err != nil {
		return err
	}
	return lite.Run(ctx, cfg, func(ctx context.Context, l *lite.Lite) (err error) {
		if o.threads == 0 {
			return train(ctx, l, d, o)
		}
		torch.WithNumThreads(o.threads, func() { err = train(ctx, l, d, o) })
		return err
	})
}

// train is the program that one would write for one device, with the four calls that make it run on any.
func train(ctx context.Context, l *lite.Lite, d digits, o options) (err error) {
	l.SeedEverything(o.seed)
	net, opt := build(o)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader(d.train(), o.batchSize, data.Options{Shuffle: true}))
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
	resumed, err := resume(l, o, state)
	if err != nil {
		return err
	}
	if resumed {
		l.Printf("resuming at epoch %d, step %d", epoch, step)
	}
	saved := false
	save := func() error {
		saved = true
		return save(l, o, state)
	}
	enough := func() bool { return o.maxSteps > 0 && step >= o.maxSteps }

	model.Train()
	for epoch < o.epochs && !enough() {
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
			stopping := l.Stopping()
			if !stopping && !enough() {
				continue
			}
			if err := save(); err != nil { // here, while the loader still knows where in its pass it is
				return err
			}
			if stopping {
				return lite.ErrStopped
			}
			break
		}
		bar.finish()
		if enough() {
			break
		}
		epoch++ // before the save: the pass has ended, and what resumes from here begins the next
		if err := save(); err != nil {
			return err
		}
	}
	if !saved { // nothing was left to train
		if err := save(); err != nil {
			return err
		}
	}
	return finish(ctx, l, d, o, model, out)
}

// resume loads the checkpoint to go on from, where there is one. A program that an engine starts again and again resumes with
// the flags of its first start, when it has saved nothing yet.
func resume(l *lite.Lite, o options, state lite.State) (resumed bool, err error) {
	path := o.resume
	if path == auto {
		path = o.checkpoint
	}
	if path == "" {
		return false, nil
	}
	_, err = l.Load(path, state)
	if o.resume == auto && errors.Is(err, fs.ErrNotExist) {
		l.Printf("starting anew: there is no %s yet", path)
		return false, nil
	}
	return err == nil, err
}

// finish says how good the model became.
func finish(ctx context.Context, l *lite.Lite, d digits, o options, model *lite.Net[*Classifier], out *metrics) error {
	accuracy, err := evaluate(ctx, l, d.test(), model)
	if err != nil {
		return err
	}
	l.Printf("test accuracy %.2f %%", 100*accuracy)
	if o.checkpoint != "" {
		l.Printf("saved %s", o.checkpoint)
	}
	return out.end(accuracy)
}

// save writes the checkpoint, where one is wanted.
func save(l *lite.Lite, o options, state lite.State) error {
	if o.checkpoint == "" {
		return nil
	}
	return l.Save(o.checkpoint, state)
}

// build makes the model and its optimizer.
func build(o options) (*Classifier, optim.Optimizer) {
	rate := func(usual float64) float64 {
		if o.lr == 0 {
			return usual
		}
		return o.lr
	}
	if o.model == "cnn" {
		net := NewCNN()
		return net, optim.NewAdam(nn.Parameters(net), rate(1e-3))
	}
	net := NewMLP()
	return net, optim.NewSGD(nn.Parameters(net), rate(0.1), optim.SGDOptions{Momentum: 0.9})
}

// evaluate returns the share of the test images that the model gets right, over all ranks and each image once.
func evaluate(ctx context.Context, l *lite.Lite, test data.Dataset[data.Example], model *lite.Net[*Classifier]) (float64, error) {
	loader, err := lite.SetupDataLoader(l, data.NewLoader(test, 1000), lite.LoaderOptions{Exact: true})
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
	l.AllReduce(correct, dist.Sum)
	return correct.Item() / float64(lite.Sum(l, seen)), nil
}
