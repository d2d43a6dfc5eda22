package torch_test

import (
	"fmt"

	"github.com/golite/golite/torch"
)

func ExampleFrom() {
	x := torch.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	fmt.Println(x)
	fmt.Println(x.Sum(0), x.Mean().Item())
	// Output:
	// tensor([[1., 2., 3.],
	//         [4., 5., 6.]])
	// tensor([5., 7., 9.]) 3.5
}

func ExampleTensor_Index() {
	x := torch.Arange(12).View(3, 4)
	fmt.Println(x.Index(1))                        // x[1]
	fmt.Println(x.Index(torch.All, torch.R(0, 2))) // x[:, 0:2]
	fmt.Println(x.Index(torch.Ellipsis, -1))       // x[..., -1]
	fmt.Println(x.Index([]int{2, 0}, []int{1, 3})) // x[[2, 0], [1, 3]]
	fmt.Println(x.Index(x.GtScalar(8)))            // x[x > 8]
	fmt.Println(x.Index(0, torch.None).Shape())    // x[0, None].shape
	fmt.Println(x.Set(0, torch.R(1, torch.End)))   // x[1:] = 0
	// Output:
	// tensor([4, 5, 6, 7])
	// tensor([[0, 1],
	//         [4, 5],
	//         [8, 9]])
	// tensor([ 3,  7, 11])
	// tensor([9, 3])
	// tensor([ 9, 10, 11])
	// [1 4]
	// tensor([[0, 1, 2, 3],
	//         [0, 0, 0, 0],
	//         [0, 0, 0, 0]])
}

func ExampleTensor_To() {
	x := torch.From([]float32{1.9, -1.9})
	fmt.Println(x.To(torch.Int64), x.To(torch.CPU, torch.Float64).DType())
	// Output: tensor([ 1, -1]) float64
}

func ExampleScope() {
	x := torch.Ones(3)
	before := torch.LiveTensors()
	var sum float64
	torch.Scope(func() {
		sum = x.MulScalar(2).AddScalar(1).Sum().Item() // a number leaves the scope, three tensors are freed
	})
	fmt.Println(sum, torch.LiveTensors() <= before)
	// Output: 9 true
}

func ExampleNoGrad() {
	w := torch.Ones(2).RequiresGrad_(true)
	torch.NoGrad(func() {
		w.SubAlpha_(torch.Ones(2), 0.5)
		fmt.Println(w.MulScalar(2).RequiresGrad())
	})
	fmt.Println(w)
	// Output:
	// false
	// tensor([0.5000, 0.5000], requires_grad=True)
}

func ExampleTensor_Backward() {
	x := torch.From([]float32{1, 2, 3}).RequiresGrad_(true)
	loss := x.Pow(2).Sum()
	loss.Backward()
	fmt.Println(loss.Item(), x.Grad())
	// Output: 14 tensor([2., 4., 6.])
}

func ExampleTry() {
	x, w := torch.Ones(2, 3), torch.Ones(4, 5)
	err := torch.Try(func() { x.MatMul(w) })
	e := err.(*torch.Error)
	fmt.Println(e.Op, e.Shapes)
	// Output: aten::matmul [float32[2, 3] float32[4, 5]]
}

func ExampleCheckpoint() {
	runs := 0
	block := func(x *torch.Tensor) *torch.Tensor {
		runs++
		return x.Square().Exp()
	}
	x := torch.From([]float32{0, 1}).RequiresGrad_(true)
	y := torch.Checkpoint(block)(x) // saves x alone
	y.Sum().Backward()              // runs block again
	fmt.Println(runs, x.Grad())
	// Output: 2 tensor([0.0000, 5.4366])
}

func ExampleSavedTensorsHooks() {
	x := torch.From([]float32{1, 2}).RequiresGrad_(true)
	var y *torch.Tensor
	torch.SavedTensorsHooks(
		func(t *torch.Tensor) *torch.Tensor { return t.To(torch.BFloat16) }, // half of the memory until Backward
		func(t *torch.Tensor) *torch.Tensor { return t.To(torch.Float32) },
		func() { y = x.Square() },
	)
	y.Sum().Backward()
	fmt.Println(x.Grad())
	// Output: tensor([2., 4.])
}

func ExampleTensor_RegisterHook() {
	x := torch.From([]float32{1, 2}).RequiresGrad_(true)
	remove := x.RegisterHook(func(grad *torch.Tensor) *torch.Tensor { return grad.Clamp(-1, 1) })
	x.Square().Sum().Backward()
	fmt.Println(x.Grad())
	remove()
	// Output: tensor([1., 1.])
}
