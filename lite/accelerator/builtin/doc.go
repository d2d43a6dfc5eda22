// Package builtin has golite's own accelerators, and registers them: "cpu", "cuda" and "mps". It uses nothing that an
// accelerator of another module could not. A type that embeds one of them, as CPU, keeps its optional parts.
package builtin

import "github.com/golite/golite/lite/accelerator"

func init() {
	accelerator.Register(accelerator.Entry{Accelerator: CPU{}})
	accelerator.Register(accelerator.Entry{Accelerator: CUDA{}, Aliases: []string{"gpu"}, Priority: 10,
		Variables: []string{"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}})
	accelerator.Register(accelerator.Entry{Accelerator: MPS{}, Aliases: []string{"gpu"}, Priority: 20})
	accelerator.Refuse(`libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); `+
		`use accelerator "gpu" or "cpu"`, "tpu", "xla")
}
