package metrics_test

import (
	"testing"

	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

// BenchmarkUpdate is the cost of one Update of 256 samples in a training step. scripts/fixtures/time_metrics.py is the same for
// torchmetrics.
func BenchmarkUpdate(b *testing.B) {
	logits, target, x := torch.Randn(256, 10), torch.RandInt(0, 10, 256), torch.Randn(256)
	for name, m := range map[string]metrics.Scorer{
		"Accuracy": metrics.NewAccuracy(metrics.Multiclass(10)),
		"F1 macro": metrics.NewF1(metrics.Multiclass(10), metrics.ClassOptions{Average: metrics.Macro}),
		"MSE":      metrics.NewMSE(),
	} {
		b.Run(name, func(b *testing.B) {
			p, y := logits, target
			if name == "MSE" {
				p, y = x, x
			}
			for b.Loop() {
				m.Update(p, y)
			}
		})
	}
}
