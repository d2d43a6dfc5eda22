// Package builtin has golite's own strategies, and registers their names. It uses nothing that the strategy of a user's
// own module could not. Programs name them by strings, or by the aliases in package lite, such as lite.DDP.
package builtin

import (
	"fmt"

	"github.com/golite/golite/lite/strategy"
)

func init() {
	strategy.Register("single_device", func() strategy.Strategy { return SingleDevice{} })
	strategy.Register("dp", func() strategy.Strategy { return DP{} })
	strategy.Register("ddp", func() strategy.Strategy { return DDP{} })
	strategy.Register("ddp_spawn", func() strategy.Strategy { return DDPSpawn{} })
	strategy.Register("ddp_find_unused_parameters", func() strategy.Strategy { return DDP{FindUnusedParameters: true} },
		"ddp_find_unused_parameters_true")
	strategy.Register("horovod", func() strategy.Strategy { return Horovod{} })

	for _, spawn := range []bool{false, true} {
		strategy.Register(spawnName("fsdp", spawn), func() strategy.Strategy { return FSDP{Spawn: spawn} })
		strategy.Register(spawnName("fsdp_cpu_offload", spawn), func() strategy.Strategy { return FSDP{CPUOffload: true, Spawn: spawn} })
		for stage := range 4 {
			name, d := "deepspeed", DeepSpeed{Stage: stage, Spawn: spawn}
			if stage > 0 {
				name = fmt.Sprintf("deepspeed_stage_%d", stage)
				offload := d
				offload.OffloadOptimizer, offload.OffloadParameters = true, stage == 3
				strategy.Register(spawnName(name+"_offload", spawn), func() strategy.Strategy { return offload })
			}
			strategy.Register(spawnName(name, spawn), func() strategy.Strategy { return d })
		}
	}
	strategy.Register("ddp_sharded", func() strategy.Strategy { return DDPSharded{} }, "ddp_sharded_find_unused_parameters_false")
	strategy.Register("ddp_sharded_spawn", func() strategy.Strategy { return DDPShardedSpawn{} },
		"ddp_sharded_spawn_find_unused_parameters_false")

	strategy.Refuse(`nothing is kept in files: use "deepspeed_stage_3_offload", which keeps it in the CPU's memory`,
		"deepspeed_stage_3_offload_nvme")
	strategy.Refuse(`a Go process can't be forked; use "ddp_spawn" (goroutines) or "ddp" (processes)`, "ddp_fork", "ddp_notebook")
	strategy.Refuse(`libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); use accelerator "gpu" or "cpu"`,
		"tpu_spawn", "xla", "xla_fsdp", "single_xla")
}
