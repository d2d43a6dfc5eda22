package lite_test

import (
	"context"
	"os"
	"testing"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// TestMain runs the tests, or, in a process that a test started, the job that it was started for.
func TestMain(m *testing.M) {
	if code, asked := runJob(); asked {
		os.Exit(code)
	}
	fixture.Main(m)
}

// MLP is the perceptron of the recorded curves.
type MLP struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func NewMLP() *MLP { return &MLP{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)} }

func (n *MLP) Forward(x *torch.Tensor) *torch.Tensor {
	return n.FC2.Forward(F.ReLU(n.FC1.Forward(x.View(-1, 784))))
}

func (n *MLP) Loss(out, y *torch.Tensor) *torch.Tensor { return F.CrossEntropy(out, y) }

// CNN is the convolutional network of PyTorch's MNIST example.
type CNN struct {
	nn.Base
	Conv1, Conv2       *nn.Conv2d
	Dropout1, Dropout2 *nn.Dropout
	FC1, FC2           *nn.Linear
}

func NewCNN() *CNN {
	return &CNN{Conv1: nn.NewConv2d(1, 32, 3), Conv2: nn.NewConv2d(32, 64, 3), Dropout1: nn.NewDropout(0.25), Dropout2: nn.NewDropout(0.5),
		FC1: nn.NewLinear(9216, 128), FC2: nn.NewLinear(128, 10)}
}

func (n *CNN) Forward(x *torch.Tensor) *torch.Tensor {
	x = F.ReLU(n.Conv1.Forward(x))
	x = F.MaxPool2d(F.ReLU(n.Conv2.Forward(x)), 2)
	x = n.Dropout1.Forward(x).Flatten(1, -1)
	x = n.Dropout2.Forward(F.ReLU(n.FC1.Forward(x)))
	return F.LogSoftmax(n.FC2.Forward(x), 1)
}

func (n *CNN) Loss(out, y *torch.Tensor) *torch.Tensor { return F.NLLLoss(out, y) }

// classifier is either.
type classifier interface {
	nn.Module
	Forward(x *torch.Tensor) *torch.Tensor
	Loss(out, y *torch.Tensor) *torch.Tensor
}

func build(model string) classifier {
	if model == "CNN" {
		return NewCNN()
	}
	return NewMLP()
}

func optimizer(name string, m nn.Module) optim.Optimizer {
	if name == "Adam(lr=0.001)" {
		return optim.NewAdam(nn.Parameters(m), 0.001)
	}
	return optim.NewSGD(nn.Parameters(m), 0.1, optim.SGDOptions{Momentum: 0.9})
}

func digits(batchSize int, o data.Options) *data.Loader[data.Example] {
	o.Shuffle = true
	return data.NewLoader(mnist.Train(), batchSize, o)
}

func bits(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

// roots64 is how far training in float64 may be on another vendor's processor: MKL's square roots of that type begin with an approximation that
// each vendor's processors make in their own way.
var roots64 = fixture.Tolerance{ULP: 1 << 10, Abs: 1e-12, Why: "square roots of float64"}

func sameState(t *testing.T, c *fixture.Case, prefix string, m nn.Module) {
	t.Helper()
	for name, p := range nn.StateDict(m).All() {
		if p.DType() == torch.Float64 {
			c.Equal(t, prefix+name, bits(p), roots64)
		} else {
			c.Equal(t, prefix+name, bits(p))
		}
	}
}

var ctx = context.Background()
