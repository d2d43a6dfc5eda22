// Package builtin has golite's own strategies, and registers their names. It uses nothing that the strategy of a user's
// own module could not. Programs name them by strings, or by the aliases in package lite, such as lite.DDP.
package builtin

import "github.com/golite/golite/lite/strategy"

func init() {
	strategy.Register("single_device", func() strategy.Strategy { return SingleDevice{} })
	strategy.Register("dp", func() strategy.Strategy { return DP{} })
	strategy.Register("ddp", func() strategy.Strategy { return DDP{} })
	strategy.Register("ddp_spawn", func() strategy.Strategy { return DDPSpawn{} })
	strategy.Register("ddp_find_unused_parameters", func() strategy.Strategy { return DDP{FindUnusedParameters: true} },
		"ddp_find_unused_parameters_true")
	strategy.Register("horovod", func() strategy.Strategy { return Horovod{} })

	const notBuilt = "golite knows this strategy, but it is not built yet; meanwhile use "
	strategy.Refuse(notBuilt+`"ddp", with precision "bf16-mixed" or gradient accumulation where memory is short`,
		"ddp_sharded", "fsdp", "fsdp_cpu_offload", "deepspeed", "deepspeed_stage_1", "deepspeed_stage_2",
		"deepspeed_stage_2_offload", "deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme")
	strategy.Refuse(notBuilt+`"ddp_spawn"`, "ddp_sharded_spawn")
	strategy.Refuse(`a Go process can't be forked; use "ddp_spawn" (goroutines) or "ddp" (processes)`, "ddp_fork", "ddp_notebook")
	strategy.Refuse(`libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); use accelerator "gpu" or "cpu"`,
		"tpu_spawn", "xla", "xla_fsdp", "single_xla")
}
