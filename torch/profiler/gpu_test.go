package profiler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/cuda/gputest"
	"github.com/golite/golite/torch/profiler"
)

func TestTraceHasTheKernels(t *testing.T) {
	on := gputest.Need(t)
	path := filepath.Join(t.TempDir(), "trace.json")
	p, err := profiler.Run(path, func() {
		torch.Scope(func() {
			profiler.Range("my product", func() {
				x := on.Ones(256, 256)
				x.MatMul(x)
				cuda.Synchronize(0)
			})
		})
	})
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), `"cat": "kernel"`)
	kernels := 0
	for _, e := range p.Events {
		if e.Device == torch.CUDAType && e.Duration > 0 && !strings.Contains(e.Name, "my product") {
			kernels++
		}
	}
	require.Positive(t, kernels)
	for _, s := range p.Totals() {
		if s.Name == "my product" {
			require.Zero(t, s.CUDA, "a range's kernels count as kernels")
		}
	}
}
