package nn_test

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	nninit "github.com/golite/golite/torch/nn/init"
)

// MLP is a model: a struct that embeds nn.Base.
type MLP struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func NewMLP() *MLP {
	return &MLP{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
}

func (n *MLP) Forward(x *torch.Tensor) *torch.Tensor {
	return n.FC2.Forward(F.ReLU(n.FC1.Forward(x)))
}

func Example() {
	net := NewMLP()
	out := net.Forward(torch.Ones(2, 784))
	fmt.Println(out.Shape(), nn.CountParameters(net))
	for name, t := range nn.StateDict(net).All() {
		fmt.Println(name, t.Shape())
	}
	// Output:
	// [2 10] 101770
	// fc1.weight [128 784]
	// fc1.bias [128]
	// fc2.weight [10 128]
	// fc2.bias [10]
}

func ExampleNewSequential() {
	net := nn.NewSequential(
		nn.NewConv2d(1, 8, 3, nn.ConvOptions{Padding: 1}), nn.NewReLU(), nn.NewMaxPool2d(2),
		nn.NewFlatten(), nn.NewLinear(8*14*14, 10),
	)
	fmt.Println(net.Forward(torch.Zeros(4, 1, 28, 28)).Shape())
	// Output: [4 10]
}

func ExampleLoadStateDict() {
	saved := nn.StateDict(nn.NewSequential(nn.NewLinear(2, 2)))
	err := nn.LoadStateDict(nn.NewSequential(nn.NewLinear(2, 3)), saved)
	fmt.Println(err)
	// Output: the state dict doesn't fit *nn.Sequential; of another shape: 0.weight is [2 2], want [3 2], 0.bias is [2], want [3]
}

func ExampleApply() {
	net := NewMLP()
	nn.Apply(net, func(m nn.Module) {
		if l, ok := m.(*nn.Linear); ok {
			nninit.Zeros_(l.Bias.Tensor)
		}
	})
	fmt.Println(net.FC2.Bias.Tensor.Numel(), torch.ToSlice[float32](net.FC2.Bias.Tensor)[0])
	// Output: 10 0
}

func ExampleLSTM() {
	lstm := nn.NewLSTM(4, 3, nn.RNNOptions{NumLayers: 2, BatchFirst: true})
	out, h, c := lstm.Forward(torch.Zeros(5, 7, 4))
	fmt.Println(out.Shape(), h.Shape(), c.Shape())
	out, _, _ = lstm.Forward(torch.Zeros(5, 1, 4), h, c)
	fmt.Println(out.Shape())
	// Output:
	// [5 7 3] [2 5 3] [2 5 3]
	// [5 1 3]
}

func ExampleBase_Format() {
	fmt.Println(NewMLP())
	// Output:
	// MLP(
	//   (fc1): Linear(in_features=784, out_features=128, bias=True)
	//   (fc2): Linear(in_features=128, out_features=10, bias=True)
	// )
}

func ExampleSummary() {
	fmt.Println(nn.Summary(NewMLP()))
	// Output:
	// Name  Type    Shape                          Parameters  Trainable
	// fc1   Linear  weight [128, 784], bias [128]  100,480     yes
	// fc2   Linear  weight [10, 128], bias [10]    1,290       yes
	// 101,770 parameters, 101,770 of them trainable, 0.4 MB
}

func ExampleRegisterForwardHook() {
	net := nn.NewSequential(nn.NewLinear(4, 3), nn.NewReLU(), nn.NewLinear(3, 2))
	for i, l := range net.Layers() {
		defer nn.RegisterForwardHook(l, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			fmt.Println(i, in[0].Shape(), out[0].Shape())
			return nil
		})()
	}
	net.Forward(torch.Ones(5, 4))
	// Output:
	// 0 [5 4] [5 3]
	// 1 [5 3] [5 3]
	// 2 [5 3] [5 2]
}

func ExampleCall() {
	net := NewMLP() // a module of the program's own
	defer nn.RegisterForwardPreHook(net, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{in[0].MulScalar(0)}
	})()
	out := nn.Call(net, net.Forward)(torch.Ones(1, 784)) // net.Forward alone is a plain call, without hooks
	fmt.Println(out.Shape())
	// Output: [1 10]
}
