package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/profiler"
)

// size is how large the workloads for a GPU are. On a CPU they are small: it shows that they run, and no more.
type size struct {
	dim, heads, depth, vocab, seq, batch int // the transformer's
	images, side, passes                 int // the loader's: images a batch, their width, batches a pass
}

func sizeOn(device string) size {
	if device == "cpu" {
		return size{dim: 32, heads: 2, depth: 2, vocab: 64, seq: 16, batch: 2, images: 8, side: 16, passes: 8}
	}
	return size{dim: 768, heads: 12, depth: 12, vocab: 50257, seq: 1024, batch: 8, images: 256, side: 64, passes: 200}
}

// card prints the GPU's name.
func card() error {
	name := ""
	if cuda.IsAvailable() {
		name = cuda.DeviceName(0)
	}
	fmt.Println(name)
	return nil
}

// onDevice answers the driver's lines with the time of a step on a device, which has done it when the clock is read.
func onDevice(name, mode, device string) error {
	cfg := lite.Config{Accelerator: device, Devices: "1"}
	if name == "gpt2" {
		cfg.Precision = "bf16-mixed"
	}
	return lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		var run func(n int) error
		var err error
		switch name {
		case "mlp":
			run, err = mlpOn(l, mode == "captured")
		case "gpt2":
			run, err = gptOn(l, sizeOn(device), mode == "captured")
		case "loader":
			run, err = loaderOn(ctx, l, sizeOn(device), mode == "ready")
		default:
			err = fmt.Errorf("no workload %q for a device", name)
		}
		if err != nil {
			return err
		}
		done := func(n int) error {
			err := run(n)
			if err == nil && device != "cpu" {
				cuda.Synchronize(l.Device().Index)
			}
			return err
		}
		if err := warm(done); err != nil {
			return err
		}
		if err := trace(os.Getenv("BENCH_TRACE"), done); err != nil {
			return err
		}
		return answer(func(n int) (wall, cpu float64) {
			start, used := time.Now(), processorTime()
			err = done(n)
			return float64(time.Since(start).Nanoseconds()) / 1e3, (processorTime() - used) / 1e3
		}, byClock, deviceBlock, &err)
	})
}

// deviceBlock is how many microseconds a block of a device's steps takes: long beside what filling and emptying the device's queue takes.
const deviceBlock = 5e5

// warm runs steps for a second: kernels are loaded and chosen, and a captured step is recorded.
func warm(run func(n int) error) error {
	for start := time.Now(); time.Since(start) < time.Second; {
		if err := run(1); err != nil {
			return err
		}
	}
	return nil
}

// trace writes a profile of five steps to a file, and prints which operations took most, and how much of a GPU's memory was in use.
func trace(path string, run func(n int) error) error {
	if path == "" {
		return nil
	}
	var failed error
	p, err := profiler.Run(path, func() { failed = run(5) })
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	fmt.Fprintln(os.Stderr, p.Table(40))
	if cuda.IsAvailable() {
		fmt.Fprintf(os.Stderr, "%d MiB at most\n", cuda.MaxMemoryAllocated(0)>>20)
	}
	return nil
}

// repeat runs a step many times, each in a scope of its own.
func repeat(step func(data.Example) *torch.Tensor, b data.Example) func(n int) error {
	return func(n int) error {
		for range n {
			torch.Scope(func() { step(b) })
		}
		return nil
	}
}

func stepOf[M nn.Module](l *lite.Lite, net M, forward func(*torch.Tensor) *torch.Tensor, opt optim.Optimizer, clip float64, captured bool) (func(data.Example) *torch.Tensor, error) {
	model, err := lite.Setup(l, net, forward, opt)
	if err != nil {
		return nil, err
	}
	step := func(b data.Example) *torch.Tensor {
		opt.ZeroGrad()
		out := model.Forward(b.Input)
		loss := F.CrossEntropy(out.View(-1, out.Size(-1)), b.Target)
		l.Backward(loss)
		if clip > 0 {
			l.ClipGradNorm(model, opt, clip)
		}
		opt.Step()
		return loss.Detach()
	}
	if captured {
		step = lite.Capture(l, step)
	}
	return step, nil
}

// mlpOn is the small step, whose cost is that of starting its kernels.
func mlpOn(l *lite.Lite, captured bool) (func(n int) error, error) {
	net := newMLP()
	step, err := stepOf(l, net, net.Forward, optim.NewSGD(nn.Parameters(net), 0.1), 0, captured)
	b := lite.ToDevice(l, data.Example{Input: torch.Randn(64, 784), Target: torch.RandInt(0, 10, 64)})
	return repeat(step, b), err
}

// gptOn is a transformer of GPT-2's size.
func gptOn(l *lite.Lite, s size, captured bool) (func(n int) error, error) {
	net := newGPTOf(s)
	step, err := stepOf(l, net, net.Forward, optim.NewAdamW(nn.Parameters(net), 3e-4, optim.AdamWOptions{Fused: true}), 1, captured)
	b := lite.ToDevice(l, data.Example{Input: torch.RandInt(0, s.vocab, s.batch, s.seq), Target: torch.RandInt(0, s.vocab, s.batch*s.seq)})
	return repeat(step, b), err
}

func newGPTOf(s size) *gpt {
	g := &gpt{Tok: nn.NewEmbedding(s.vocab, s.dim), Pos: nn.NewParameter(torch.Randn(s.seq, s.dim).MulScalar(0.02)),
		Norm: nn.NewLayerNorm(s.dim), Head: nn.NewLinear(s.dim, s.vocab, nn.LinearOptions{NoBias: true})}
	for range s.depth {
		g.Blocks = append(g.Blocks, newBlock(s.dim, s.heads))
	}
	return g
}

// loaderOn trains on images that a loader's workers read while the device computes, or, where they are ready, on batches that are on the device
// already.
func loaderOn(ctx context.Context, l *lite.Lite, s size, ready bool) (func(n int) error, error) {
	net := &net{Body: nn.NewSequential(nn.NewConv2d(3, 64, 3), nn.NewReLU(), nn.NewConv2d(64, 64, 3), nn.NewReLU(), nn.NewMaxPool2d(4), nn.NewFlatten(),
		nn.NewLinear(64*((s.side-4)/4)*((s.side-4)/4), 10))}
	step, err := stepOf(l, net, net.Forward, optim.NewSGD(nn.Parameters(net), 0.01), 0, false)
	if err != nil {
		return nil, err
	}
	n := s.images * 16
	images := data.NewTensorDataset(torch.Randn(n, 3, s.side, s.side), torch.RandInt(0, 10, n))
	loader, err := lite.SetupDataLoader(l, data.NewLoader(images, s.images, data.Options{Shuffle: true, Workers: 4}))
	if err != nil {
		return nil, err
	}
	if !ready {
		return func(n int) error { return passes(ctx, loader, n*s.passes, step) }, nil
	}
	var there []data.Example
	for b, err := range loader.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		there = append(there, data.Example{Input: b.Input.Keep(), Target: b.Target.Keep()})
	}
	return func(n int) error {
		for i := range n * s.passes {
			torch.Scope(func() { step(there[i%len(there)]) })
		}
		return nil
	}, nil
}

// passes reads n batches, in as many passes as that takes.
func passes(ctx context.Context, loader *data.Loader[data.Example], n int, step func(data.Example) *torch.Tensor) error {
	for n > 0 {
		for b, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			step(b)
			if n--; n == 0 {
				break
			}
		}
	}
	return nil
}
