package profiler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// A range is on the GPU's timeline as well, from its first kernel to its last: their time counts once.
func TestTotalsCountKernelsOnce(t *testing.T) {
	p := &Profile{Events: []Event{
		{Name: "my step", Device: torch.CPUType, Duration: 10},
		{Name: "aten::mm", Device: torch.CPUType, Start: 1, Duration: 4},
		{Name: "my step", Device: torch.CUDAType, Start: 2, Duration: 20},
		{Name: "gemm", Device: torch.CUDAType, Start: 2, Duration: 7},
		{Name: "gemm", Device: torch.CUDAType, Start: 15, Duration: 7},
	}}
	all := map[string]Total{}
	var onGPU time.Duration
	for _, s := range p.Totals() {
		all[s.Name] = s
		onGPU += s.CUDA
	}
	require.Equal(t, time.Duration(14), onGPU)
	require.Equal(t, Total{Name: "my step", Count: 1, CPU: 10, Self: 6}, all["my step"])
	require.Equal(t, Total{Name: "gemm", Count: 2, CUDA: 14}, all["gemm"])
}
