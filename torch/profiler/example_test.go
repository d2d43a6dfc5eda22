package profiler_test

import (
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/profiler"
)

// Totals has a line for each operator, with the time that it took; a path in the place of "" writes a trace for Chrome
// as well.
func ExampleRun() {
	x := torch.Ones(8, 8)
	p, err := profiler.Run("", func() { x.MatMul(x).ReLU() })
	if err != nil {
		panic(err)
	}
	for _, total := range p.Totals() {
		if total.Name == "aten::mm" || total.Name == "aten::relu" {
			fmt.Println(total.Name, total.Count)
		}
	}
	// Unordered output:
	// aten::mm 1
	// aten::relu 1
}
