package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// find makes the workload of that name.
func find(name, mode string, l *lite.Lite) (workload, error) {
	torch.ManualSeed(1)
	fused := mode == "fused"
	switch name {
	case "add":
		return add(), nil
	case "addgrad":
		return addGrad(), nil
	case "mlp":
		net := newMLP()
		x, y := torch.Randn(64, 784), torch.RandInt(0, 10, 64)
		opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Fused: fused})
		return training(l, net, net.Forward, opt, x, func(out *torch.Tensor) *torch.Tensor { return F.CrossEntropy(out, y) }, 0)
	case "cnn":
		net := newCNN()
		x, y := torch.Randn(64, 1, 28, 28), torch.RandInt(0, 10, 64)
		opt := optim.NewAdam(nn.Parameters(net), 1e-3, optim.AdamOptions{Fused: fused})
		return training(l, net, net.Forward, opt, x, func(out *torch.Tensor) *torch.Tensor { return F.NLLLoss(out, y) }, 0)
	case "transformer":
		net := newGPT(seq)
		x, y := torch.RandInt(0, vocab, 8, seq), torch.RandInt(0, vocab, 8*seq)
		opt := optim.NewAdamW(nn.Parameters(net), 3e-4, optim.AdamWOptions{Fused: fused})
		loss := func(out *torch.Tensor) *torch.Tensor { return F.CrossEntropy(out.View(-1, vocab), y) }
		return training(l, net, net.Forward, opt, x, loss, 1)
	}
	if l != nil {
		if w, ok, err := collective(name, l.Group()); ok {
			return w, err
		}
	}
	if width, ok := wide(name); ok {
		net := newDeep(24, width)
		opt := optim.NewSGD(nn.Parameters(net), 0.01, optim.SGDOptions{Fused: fused})
		return training(l, net, net.Forward, opt, torch.Randn(32, width), func(out *torch.Tensor) *torch.Tensor { return out.Mean() }, 0)
	}
	if n, ok := strings.CutPrefix(name, "deep"); ok {
		layers, err := strconv.Atoi(n)
		if err != nil {
			return workload{}, err
		}
		net := newDeep(layers, 16)
		opt := optim.NewSGD(nn.Parameters(net), 0.01, optim.SGDOptions{Fused: fused})
		return training(l, net, net.Forward, opt, torch.Randn(16, 16), func(out *torch.Tensor) *torch.Tensor { return out.Mean() }, 0)
	}
	return workload{}, fmt.Errorf("no workload %q", name)
}

func add() workload {
	a, b := torch.Randn(4), torch.Randn(4)
	return workload{func() { a.Add(b) }, 100}
}

func addGrad() workload {
	a, b, g := torch.Randn(4).RequiresGrad_(true), torch.Randn(4), torch.Ones(4)
	return workload{func() { a.Add(b).Backward(torch.BackwardOptions{Gradient: g}) }, 100}
}

// training is a whole step: zero_grad, forward, loss, backward, clipping where clip isn't 0, and the optimizer. With l
// it goes through lite.
func training[M nn.Module](l *lite.Lite, net M, forward func(*torch.Tensor) *torch.Tensor, opt optim.Optimizer, x *torch.Tensor,
	loss func(*torch.Tensor) *torch.Tensor, clip float64) (workload, error) {
	if l == nil {
		params := nn.Parameters(net)
		return workload{func() {
			opt.ZeroGrad()
			loss(forward(x)).Backward()
			if clip > 0 {
				nn.ClipGradNorm_(params, clip)
			}
			opt.Step()
		}, 1}, nil
	}
	model, err := lite.Setup(l, net, forward, opt)
	if err != nil {
		return workload{}, err
	}
	return workload{func() {
		opt.ZeroGrad()
		l.Backward(loss(model.Forward(x)))
		if clip > 0 {
			l.ClipGradNorm(model, opt, clip)
		}
		opt.Step()
	}, 1}, nil
}
