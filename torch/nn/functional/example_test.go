package functional_test

import (
	"fmt"

	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

func ExampleCrossEntropy() {
	logits := torch.From([]float32{2, 0, 0, 0, 0, 2}, 2, 3)
	target := torch.From([]int{0, 1})
	fmt.Printf("%.4f\n", F.CrossEntropy(logits, target).Item())
	fmt.Printf("%.4f\n", F.CrossEntropy(logits, target, F.CrossEntropyOptions{Reduction: F.Sum,
		IgnoreIndex: new(1)}).Item())
	// Output:
	// 1.2395
	// 0.2395
}

func ExampleMaxPool2d() {
	x := torch.From([]float32{1, 2, 3, 4}, 1, 2, 2)
	fmt.Println(torch.ToSlice[float32](F.MaxPool2d(x, 2)), F.MaxPool2d(x, [2]int{2, 1}).Shape())
	// Output: [4] [1 1 2]
}
