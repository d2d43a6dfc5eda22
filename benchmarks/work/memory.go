package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// long sequences and many steps, for trains.
const longSeq, trained = 1024, 25

// trains runs training steps of a large model or batch, each in a scope of its own, and reports by how many bytes tensors peaked above
// where they stood before the model was made, in the first step and in all, by how many the process's memory did, and the median time of
// a step.
func trains(name string) (err error) {
	torch.RunRank(func() {
		torch.ManualSeed(1)
		torch.Scope(func() { torch.Zeros(1).AddScalar(1) })
		var before int64
		if before, err = newPeak(); err != nil {
			return
		}
		live := torch.Memory(true).Live
		var w workload
		if w, err = large(name); err != nil {
			return
		}
		var first int64
		times := make([]float64, trained)
		for i := range times {
			begin := time.Now()
			torch.Scope(w.step)
			times[i] = time.Since(begin).Seconds() * 1e3
			if i == 0 {
				first = torch.Memory(false).Peak - live
			}
		}
		slices.Sort(times)
		report(map[string]any{"first": first, "value": torch.Memory(false).Peak - live, "resident": resident("VmHWM") - before, "ms": times[trained/2]})
	})
	return err
}

// large makes the steps that trains measures.
func large(name string) (workload, error) {
	switch name {
	case "transformer":
		net := newGPT(longSeq)
		x, y := torch.RandInt(0, vocab, 4, longSeq), torch.RandInt(0, vocab, 4*longSeq)
		loss := func(out *torch.Tensor) *torch.Tensor { return F.CrossEntropy(out.View(-1, vocab), y) }
		return training(nil, net, net.Forward, optim.NewAdamW(nn.Parameters(net), 3e-4), x, loss, 0)
	case "cnn":
		net := newCNN()
		x, y := torch.Randn(256, 1, 28, 28), torch.RandInt(0, 10, 256)
		loss := func(out *torch.Tensor) *torch.Tensor { return F.NLLLoss(out, y) }
		return training(nil, net, net.Forward, optim.NewAdam(nn.Parameters(net), 1e-3), x, loss, 0)
	case "lstm":
		net := newLSTM()
		x, y := torch.RandInt(0, words, 32, 128), torch.RandInt(0, words, 32*128)
		loss := func(out *torch.Tensor) *torch.Tensor { return F.NLLLoss(out, y) }
		return training(nil, net, net.Forward, optim.NewSGD(nn.Parameters(net), 0.1), x, loss, 0)
	}
	return workload{}, fmt.Errorf("no model %q", name)
}

// oneScope computes for long in a single scope, without gradients, a line-for-line port of nanoGPT's generate or a chain of layers, and
// reports by how many bytes the process's memory peaked above where it stood before the model was made, and the milliseconds.
func oneScope(mode string) (err error) {
	torch.RunRank(func() {
		torch.ManualSeed(1)
		torch.Scope(func() { torch.Zeros(1).AddScalar(1) })
		var before int64
		if before, err = newPeak(); err != nil {
			return
		}
		var run func()
		switch mode {
		case "generate":
			net := newGPT(seq)
			run = func() { generate(net, torch.Zeros(1, 1).To(torch.Int64), 400) }
		case "chain":
			net, x := newDeep(100, 512), torch.Randn(256, 512)
			run = func() {
				for range 10 {
					net.Forward(x).Sum()
				}
			}
		default:
			err = fmt.Errorf("no mode %q", mode)
			return
		}
		begin := time.Now()
		torch.Scope(func() { torch.NoGrad(run) })
		report(map[string]any{"value": resident("VmHWM") - before, "tensors": torch.Memory(false).Peak, "ms": time.Since(begin).Seconds() * 1e3})
	})
	return err
}

// generate appends tokens to ids, each drawn from the model's distribution over the last ones.
func generate(g *gpt, ids *torch.Tensor, count int) *torch.Tensor {
	const temperature, topK = 0.8, 200
	for range count {
		last := ids
		if ids.Size(1) > seq {
			last = ids.Slice(1, -seq, math.MaxInt64)
		}
		logits := g.Forward(last)
		logits = logits.Select(1, -1).DivScalar(temperature)
		v, _ := logits.TopK(topK, -1)
		logits = logits.MaskedFill(logits.Lt(v.Slice(1, -1, math.MaxInt64)), math.Inf(-1))
		ids = torch.Cat([]*torch.Tensor{ids, F.Softmax(logits, -1).Multinomial(1, false)}, 1)
	}
	return ids
}
