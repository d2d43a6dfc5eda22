package nninit_test

import (
	"fmt"

	"github.com/golite/golite/torch"
	nninit "github.com/golite/golite/torch/nn/init"
)

func Example() {
	w := nninit.KaimingUniform_(torch.Empty(64, 32), nninit.KaimingOptions{Nonlinearity: nninit.ReLU})
	fmt.Println(w.Shape(), nninit.CalculateGain(nninit.Tanh))
	// Output: [64 32] 1.6666666666666667
}
