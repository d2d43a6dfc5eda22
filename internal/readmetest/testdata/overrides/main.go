// Command overrides prints what works in a program with overrides or without them.
package main

import (
	"context"
	"fmt"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

func main() {
	nothing := func(context.Context, *lite.Lite) error { return nil }
	fmt.Println("run:", lite.Run(context.Background(), lite.Config{Accelerator: "cpu"}, nothing))
	two := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}
	fmt.Println("spawn:", lite.Run(context.Background(), two, nothing))
	torch.ManualSeed(1)
	a := torch.Randn(4)
	torch.ManualSeed(1)
	fmt.Println("seeded:", a.Equal(torch.Randn(4)))
	before := torch.SetDefaultDType(torch.Float64)
	fmt.Println("dtype:", torch.Ones(1).DType())
	torch.SetDefaultDType(before)
	fmt.Println("kernels:", torch.MKLAVX512())
	fmt.Println("sum:", torch.Ones(64, 64).MatMul(torch.Ones(64, 1)).Sum().Item())
}
