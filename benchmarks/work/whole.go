package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// start trains one step through lite and says so: the driver measures the time since it started the process.
func start() error {
	return lite.Run(context.Background(), lite.Config{Accelerator: "cpu", Devices: "1"}, func(_ context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		w, err := find("mlp", "lite", l)
		if err != nil {
			return err
		}
		torch.Scope(w.step)
		report(map[string]any{"done": true})
		return nil
	})
}

// epoch trains the MLP on MNIST for one pass through lite, loader included, and reports its milliseconds. The mode is "tensors" (a
// data set of finished tensors: a batch is one gather) or "map" (a function makes each sample from its bytes), with "-N" for N workers.
func epoch(mode string) error {
	kind, count, _ := strings.Cut(mode, "-")
	workers, _ := strconv.Atoi(count)
	return lite.Run(context.Background(), lite.Config{Accelerator: "cpu", Devices: "1"}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := newMLP()
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		ds, err := dataset(kind)
		if err != nil {
			return err
		}
		loader, err := lite.SetupDataLoader(l, data.NewLoader(ds, 64, data.Options{Shuffle: true, Workers: workers}))
		if err != nil {
			return err
		}
		begin := time.Now()
		var last float64
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(batch.Input.View(-1, 784)), batch.Target)
			l.Backward(loss)
			opt.Step()
			last = loss.Item()
		}
		report(map[string]any{"value": float64(time.Since(begin).Microseconds()) / 1e3, "loss": last})
		return nil
	})
}

// dataset gives MNIST's training images, as finished tensors or through a transform of each sample.
func dataset(kind string) (data.Dataset[data.Example], error) {
	switch kind {
	case "tensors":
		return mnist.Train(mnist.Options{Normalize: true}), nil
	case "map":
		return data.Map(mnist.Train(), func(_ context.Context, s data.Example) (data.Example, error) {
			return data.Example{Input: s.Input.SubScalar(mnist.Mean).DivScalar(mnist.Std), Target: s.Target}, nil
		}), nil
	}
	return nil, fmt.Errorf("no data set %q", kind)
}

// evaluate runs a model without gradients over many batches in one scope, and reports by how many bytes the process's memory peaked
// above where it stood before, and how long a batch took.
func evaluate(name string) (err error) {
	torch.RunRank(func() {
		torch.ManualSeed(1)
		var forward func(*torch.Tensor) *torch.Tensor
		var x *torch.Tensor
		switch name {
		case "mlp20":
			net := newDeep(20, 1024)
			forward, x = net.Forward, torch.Randn(1024, 1024)
		case "cnn":
			net := newCNN()
			nn.Eval(net)
			forward, x = net.Forward, torch.Randn(256, 1, 28, 28)
		case "transformer":
			net := newGPT(seq)
			forward, x = net.Forward, torch.RandInt(0, vocab, 64, seq)
		default:
			err = fmt.Errorf("no model %q", name)
			return
		}
		runtime.GC()
		live := torch.Memory(true).Live
		var before int64
		if before, err = newPeak(); err != nil {
			return
		}
		begin := time.Now()
		const batches = 16
		torch.Scope(func() {
			torch.NoGrad(func() {
				for range batches {
					forward(x).Sum()
				}
			})
		})
		report(map[string]any{"value": float64(resident("VmHWM") - before), "live": torch.Memory(false).Peak - live,
			"ms": time.Since(begin).Seconds() * 1e3 / batches})
	})
	return err
}

// long trains the MLP for many steps, and reports the resident memory after a fifth and at the end, and the median time of a step in
// the first and in the last thousand. Its mode is the number of steps.
func long(mode string) error {
	n, err := strconv.Atoi(mode)
	if err != nil {
		return err
	}
	var failed error
	torch.RunRank(func() {
		w, err := find("mlp", "torch", nil)
		if err != nil {
			failed = err
			return
		}
		w.measure(1000)
		first := medianStep(w)
		w.measure(n/5 - 2000)
		early := resident("VmRSS")
		w.measure(n - n/5 - 1000)
		last := medianStep(w)
		report(map[string]any{"first": first, "last": last, "early": early, "late": resident("VmRSS")})
	})
	return failed
}

// medianStep times a thousand steps one by one: others' work on the machine hits some of them.
func medianStep(w workload) float64 {
	times := make([]float64, 1000)
	for i := range times {
		times[i], _ = w.measure(1)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// samples draws a whole pass of a random sampler over as many samples as the mode says, and reports the peak memory above the start.
func samples(mode string) error {
	n, err := strconv.Atoi(mode)
	if err != nil {
		return err
	}
	before, err := newPeak()
	if err != nil {
		return err
	}
	begin := time.Now()
	sum := 0
	for i := range sampler.NewRandom(n).Indices() {
		sum += i
	}
	if sum != n*(n-1)/2 {
		return fmt.Errorf("a pass over %d samples did not give each once", n)
	}
	report(map[string]any{"value": float64(resident("VmHWM") - before), "ms": time.Since(begin).Seconds() * 1e3})
	return nil
}

// numbered is a data set of as many samples as it says, which are made when they are asked for.
type numbered int

func (n numbered) Len() int { return int(n) }

func (n numbered) Get(_ context.Context, i int) (*torch.Tensor, error) {
	return torch.Full(float64(i), 16), nil
}

// loading reads the first thousand batches of a data set of so many samples, and reports the peak memory above the start and the
// microseconds of a batch.
func loading(samples string, shuffled bool) error {
	n, err := strconv.Atoi(samples)
	if err != nil {
		return err
	}
	const batches = 1000
	var failed error
	torch.RunRank(func() {
		loader := data.NewLoader(numbered(n), 64, data.Options{Shuffle: shuffled})
		before, err := newPeak()
		if err != nil {
			failed = err
			return
		}
		begin, left := time.Now(), batches
		for batch, err := range loader.Batches(context.Background()) {
			if err != nil {
				failed = err
				return
			}
			if batch.Size(0) != 64 {
				failed = fmt.Errorf("a batch of %d samples", batch.Size(0))
				return
			}
			if left--; left == 0 {
				break
			}
		}
		report(map[string]any{"value": float64(resident("VmHWM") - before), "us": time.Since(begin).Seconds() * 1e6 / batches})
	})
	return failed
}

// newPeak returns what memory the process has, from where VmHWM counts anew.
func newPeak() (before int64, err error) {
	return resident("VmRSS"), os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// resident reads a figure of the process's memory, in bytes: VmRSS is what it has now, VmHWM its peak.
func resident(key string) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
