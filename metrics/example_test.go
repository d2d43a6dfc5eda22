package metrics_test

import (
	"context"
	"fmt"
	"io"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

// The accuracy of all ranks' batches: rank 1 has one sample less.
func ExampleNewAccuracy() {
	cfg := lite.Config{Accelerator: "cpu", Strategy: "ddp_spawn", Devices: "2", Output: io.Discard}
	value, err := lite.RunValue(context.Background(), cfg, func(_ context.Context, l *lite.Lite) (float64, error) {
		acc := metrics.NewAccuracy(metrics.Multiclass(3))
		if l.GlobalRank() == 0 {
			acc.Update(torch.From([]int64{0, 1, 2}), torch.From([]int64{0, 1, 1}))
		} else {
			acc.Update(torch.From([]int64{2, 2}), torch.From([]int64{2, 0}))
		}
		return acc.Compute(l).Item(), nil
	})
	fmt.Printf("%.2f %v\n", value, err)
	// Output: 0.60 <nil>
}

// Several metrics of the same outputs meet the other ranks once.
func ExampleNewCollection() {
	task := metrics.Binary()
	all := metrics.NewCollection(map[string]metrics.Scorer{
		"accuracy": metrics.NewAccuracy(task),
		"auroc":    metrics.NewAUROC(task),
	})
	all.Update(torch.From([]float32{0.1, 0.4, 0.35, 0.8}), torch.From([]int64{0, 0, 1, 1}))
	values := all.Compute(nil)
	for _, name := range all.Names() {
		fmt.Printf("%s %.2f\n", name, values[name].Item())
	}
	// Output:
	// accuracy 0.75
	// auroc 0.75
}

// The mean loss, each batch by its size.
func ExampleNewMean() {
	loss := metrics.NewMean()
	loss.Update(torch.From([]float32{0.5}), 64)
	loss.Update(torch.From([]float32{2}), 32)
	fmt.Println(loss.Compute(nil).Item())
	// Output: 1
}
