package lite

import (
	"fmt"
	"strings"
)

// strategyNames are those that can be asked for, as messages list them.
const strategyNames = `auto, single_device, dp, ddp, ddp_spawn, ddp_find_unused_parameters`

// parseStrategy returns the strategy that a name or a value stands for, nil for "auto".
func parseStrategy(given any, from string) (Strategy, error) {
	switch v := given.(type) {
	case nil:
		return nil, nil
	case string:
		return namedStrategy(v, from)
	case *DDP:
		if v == nil {
			return nil, &ConfigError{Setting: "strategy", From: from, Problem: "the *DDP is nil: give a DDP{...}"}
		}
		return *v, checkDDP(*v, from)
	case *DDPSpawn:
		if v == nil {
			return nil, &ConfigError{Setting: "strategy", From: from, Problem: "the *DDPSpawn is nil: give a DDPSpawn{...}"}
		}
		return *v, checkDDP(DDP(*v), from)
	case DDP:
		return v, checkDDP(v, from)
	case DDPSpawn:
		return v, checkDDP(DDP(v), from)
	case SingleDevice, DP:
		return v.(Strategy), nil
	}
	return nil, &ConfigError{Setting: "strategy", From: from,
		Problem: fmt.Sprintf("a %T is no strategy: give a name (%s) or a value of type DDP, DDPSpawn, DP or SingleDevice", given, strategyNames)}
}

func namedStrategy(given, from string) (Strategy, error) {
	wrong := func(problem string) error {
		return &ConfigError{Setting: "strategy", Value: given, From: from, Problem: problem}
	}
	name := strings.ToLower(strings.TrimSpace(given))
	switch name {
	case "", "auto":
		return nil, nil
	case "single_device":
		return SingleDevice{}, nil
	case "dp":
		return DP{}, nil
	case "ddp":
		return DDP{}, nil
	case "ddp_spawn":
		return DDPSpawn{}, nil
	case "ddp_find_unused_parameters", "ddp_find_unused_parameters_true":
		return DDP{FindUnusedParameters: true}, nil
	case "ddp_fork", "ddp_notebook":
		return nil, wrong(`a Go process can't be forked; use "ddp_spawn" (goroutines) or "ddp" (processes)`)
	case "tpu_spawn", "xla", "xla_fsdp", "single_xla":
		return nil, refuseTPU("strategy", given, from)
	}
	if meanwhile, known := notBuilt(name); known {
		return nil, wrong("golite knows this strategy, but it is not built yet; meanwhile use " + meanwhile)
	}
	return nil, wrong("no such strategy; the names are " + strategyNames)
}

// notBuilt says what to use instead of a strategy that the original has and golite has not.
func notBuilt(name string) (meanwhile string, known bool) {
	switch {
	case name == "ddp_sharded", name == "fsdp", name == "fsdp_cpu_offload",
		name == "deepspeed", strings.HasPrefix(name, "deepspeed_stage_"):
		return `"ddp", with precision "bf16-mixed" or gradient accumulation where memory is short`, true
	case name == "ddp_sharded_spawn":
		return `"ddp_spawn"`, true
	case name == "horovod":
		return `"ddp", which runs under mpirun as well`, true
	}
	return "", false
}

func refuseTPU(setting, value, from string) error {
	return &ConfigError{Setting: setting, Value: value, From: from,
		Problem: `libtorch has no TPU backend of its own (PyTorch's is torch_xla, which needs Python); use accelerator "gpu" or "cpu"`}
}

func checkDDP(d DDP, from string) error {
	wrong := func(field string, value any, want string) error {
		return &ConfigError{Setting: "strategy", From: from, Problem: fmt.Sprintf("%s is %v: want %s", field, value, want)}
	}
	switch {
	case d.BucketCapMB < 0:
		return wrong("BucketCapMB", d.BucketCapMB, "0 for the default of 25, or a size in MiB")
	case d.Backend != "" && d.Backend != "gloo" && d.Backend != "nccl":
		return wrong("Backend", fmt.Sprintf("%q", d.Backend), `"gloo", "nccl" or nothing`)
	case d.CommHook != "" && d.CommHook != "fp16" && d.CommHook != "bf16" && d.CommHook != "powersgd":
		return wrong("CommHook", fmt.Sprintf("%q", d.CommHook), `"fp16", "bf16", "powersgd" or nothing`)
	case d.CommHook != "" && d.Hook != nil:
		return wrong("CommHook", fmt.Sprintf("%q", d.CommHook), "none beside a Hook")
	case d.Timeout < 0:
		return wrong("Timeout", d.Timeout, "0 for Config.Timeout, or a duration")
	}
	return nil
}
