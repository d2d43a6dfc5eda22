package aten_test

import (
	"testing"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// BenchmarkAdd is what one small call costs, and what it allocates: the tensor it returns, nothing else.
func BenchmarkAdd(b *testing.B) {
	torch.Scope(func() {
		x := torch.Ones(4)
		b.ReportAllocs()
		for b.Loop() {
			aten.AddTensor(x, x, torch.Int(1)).Release()
		}
	})
}
