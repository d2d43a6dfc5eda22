package cuda

import (
	"os"

	"github.com/golite/golite/cgotorch"
)

// Switch is a setting of the whole process about how GPUs compute. It may be set, to no effect, where there is no GPU.
//
// The switches are MatMulTF32, CuDNNTF32, CuDNN, CuDNNBenchmark, CuDNNDeterministic, FlashAttention,
// MemoryEfficientAttention, MathAttention and CuDNNAttention.
type Switch int

// The switches, with what they are in PyTorch and their defaults.
const (
	// MatMulTF32 lets matrix products of float32 round their factors to 10 bits: several times faster from compute
	// capability 8.0 on (torch.backends.cuda.matmul.allow_tf32; off).
	MatMulTF32 Switch = cgotorch.SwitchTF32MatMul
	// CuDNNTF32 lets convolutions do so (torch.backends.cudnn.allow_tf32; on).
	CuDNNTF32 Switch = cgotorch.SwitchTF32CuDNN
	// CuDNN lets operations use cuDNN (torch.backends.cudnn.enabled; on).
	CuDNN Switch = cgotorch.SwitchCuDNN
	// CuDNNBenchmark lets cuDNN try its ways to compute a convolution and keep the fastest: for inputs of few different
	// shapes (torch.backends.cudnn.benchmark; off).
	CuDNNBenchmark Switch = cgotorch.SwitchCuDNNBenchmark
	// CuDNNDeterministic keeps cuDNN to ways whose result is the same each time (torch.backends.cudnn.deterministic; off).
	CuDNNDeterministic Switch = cgotorch.SwitchCuDNNDeterministic
	// FlashAttention, MemoryEfficientAttention, MathAttention and CuDNNAttention are what scaled_dot_product_attention may
	// choose from (torch.backends.cuda.enable_flash_sdp and so on; all on).
	FlashAttention           Switch = cgotorch.SwitchFlashAttention
	MemoryEfficientAttention Switch = cgotorch.SwitchMemoryEfficientAttention
	MathAttention            Switch = cgotorch.SwitchMathAttention
	CuDNNAttention           Switch = cgotorch.SwitchCuDNNAttention
)

// Set sets the switch for the whole process and returns what it was.
func (s Switch) Set(on bool) (before bool) { return cgotorch.Switch(int(s), on) }

// On reports whether the switch is on.
func (s Switch) On() bool { return cgotorch.SwitchState(int(s)) }

// DebugDeterministic makes a run give the same bits each time, at whatever cost: operations whose result may differ
// from run to run choose another way or panic (torch.UseDeterministicAlgorithms), cuDNN is kept to deterministic ways
// and tries none out, TF32 is off, and cuBLAS gets the workspace that it needs for it (CUBLAS_WORKSPACE_CONFIG). It
// comes before the first operation on a GPU, and holds for the whole process. The function that it returns puts the
// switches back.
func DebugDeterministic() (restore func()) {
	wanted := []struct {
		which Switch
		on    bool
	}{{cgotorch.SwitchDeterministic, true}, {CuDNNDeterministic, true}, {CuDNNBenchmark, false}, {MatMulTF32, false},
		{CuDNNTF32, false}}
	before := make([]bool, len(wanted))
	for i, w := range wanted {
		before[i] = w.which.Set(w.on)
	}
	if os.Getenv("CUBLAS_WORKSPACE_CONFIG") == "" {
		_ = os.Setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8") // a name and a value that every system takes
	}
	return func() {
		for i, w := range wanted {
			w.which.Set(before[i])
		}
	}
}
