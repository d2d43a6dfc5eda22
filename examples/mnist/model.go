package main

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// Classifier is one of the two models: a body that ends in ten scores, and the loss that goes with it.
type Classifier struct {
	nn.Base
	Body *nn.Sequential
	loss func(scores, target *torch.Tensor) *torch.Tensor
}

// Forward takes images [N, 1, 28, 28] and returns scores [N, 10].
func (c *Classifier) Forward(x *torch.Tensor) *torch.Tensor { return c.Body.Forward(x) }

// Loss compares scores with the digits that the images show.
func (c *Classifier) Loss(scores, target *torch.Tensor) *torch.Tensor { return c.loss(scores, target) }

// NewMLP makes a perceptron with one hidden layer.
func NewMLP() *Classifier {
	return &Classifier{
		Body: nn.NewSequential(nn.NewFlatten(), nn.NewLinear(784, 128), nn.NewReLU(), nn.NewLinear(128, 10)),
		loss: func(scores, target *torch.Tensor) *torch.Tensor { return F.CrossEntropy(scores, target) },
	}
}

// NewCNN makes the convolutional network of PyTorch's own MNIST example.
func NewCNN() *Classifier {
	return &Classifier{
		Body: nn.NewSequential(
			nn.NewConv2d(1, 32, 3), nn.NewReLU(),
			nn.NewConv2d(32, 64, 3), nn.NewReLU(),
			nn.NewMaxPool2d(2), nn.NewDropout(0.25), nn.NewFlatten(),
			nn.NewLinear(9216, 128), nn.NewReLU(), nn.NewDropout(0.5),
			nn.NewLinear(128, 10), nn.NewLogSoftmax(1),
		),
		loss: func(scores, target *torch.Tensor) *torch.Tensor { return F.NLLLoss(scores, target) },
	}
}
