package deepspeed

import (
	"slices"
)

// Why a key has no effect.
const (
	tuning   = "golite chooses sizes and the order of its messages by itself"
	profiler = "use torch's profiler, or lite's throughput"
	monitor  = "give lite.Config.Loggers a logger"
	files    = "golite writes checkpoints by its own rules"
	gone     = "DeepSpeed has removed it too: remove the key"
)

// keys is the table of all keys that DeepSpeed 0.19.8 reads.
func (c *Config) keys(r *reader, clip **float64) []key {
	return slices.Concat(c.doneKeys(r, clip), otherKeys(), goneKeys())
}

// doneKeys are those that have an effect.
func (c *Config) doneKeys(r *reader, clip **float64) []key {
	return []key{
		{name: "train_batch_size", do: integer(&c.TrainBatchSize, 1)},
		{name: "train_micro_batch_size_per_gpu", do: integer(&c.TrainMicroBatchSizePerGPU, 1)},
		{name: "gradient_accumulation_steps", do: integer(&c.GradientAccumulationSteps, 1)},
		{name: "gradient_clipping", do: given(clip, func(f *float64) func(any) error { return number(f, 0, false) })},
		{name: "optimizer", do: func(v any) error { return c.readOptimizer(r, v) }},
		{name: "scheduler", do: func(v any) error { return c.readScheduler(r, v) }},
		{name: "zero_optimization", in: c.zeroKeys(&c.ZeroOptimization)},
		{name: "fp16", in: fp16Keys(&c.FP16)},
		{name: "bf16", old: "bfloat16", in: bf16Keys(&c.BF16)},
		{name: "activation_checkpointing", in: []key{
			{name: "cpu_checkpointing", do: boolean(&c.ActivationCheckpointing.CPU)},
			{name: "partition_activations", unless: false, refuse: "it divides activations among ranks of model parallelism, which golite does not have: remove it"},
			{name: "contiguous_memory_optimization", ignore: tuning, unless: false},
			{name: "number_checkpoints", ignore: "the model's calls of torch.Checkpoint say how many there are"},
			{name: "synchronize_checkpoint_boundary", ignore: tuning, unless: false},
			{name: "profile", ignore: profiler, unless: false},
		}},
	}
}

// otherKeys are ignored or refused.
func otherKeys() []key {
	return []key{
		{name: "zero_allow_untested_optimizer", ignore: "every optimizer is allowed", unless: true},
		{name: "zero_force_ds_cpu_optimizer", ignore: "golite's optimizers run on any device", unless: false},
		{name: "prescale_gradients", unless: false, refuse: "gradients are divided by the world before they are summed; divide the loss instead"},
		{name: "gradient_predivide_factor", unless: 1.0, refuse: "gradients are divided by the world before they are summed; divide the loss instead"},
		{name: "gradient_allreduce_op", unless: "mean", refuse: "gradients are averaged; multiply the loss by l.WorldSize() for their sum"},
		{name: "communication_data_type", unless: "fp32", refuse: `set builtin strategies' type of reduction instead, such as lite.DDP{CommHook: "bf16"}`},
		{name: "seq_parallel_communication_data_type", ignore: "golite has no sequence parallelism", unless: "fp32"},
		{name: "managed_gradient_accumulation", ignore: "lite.Lite.NoBackwardSync says which passes of a step are not its last", unless: true},
		{name: "data_types", in: []key{
			{name: "grad_accum_dtype", unless: "fp32", refuse: "gradients are accumulated in the parameters' type: remove it"},
			{name: "param_dtype", refuse: "set fp16 or bf16, or lite.Config.Precision"},
			{name: "buffer_dtype", refuse: "convert buffers in Go: nn.To"},
			{name: "keep_in_fp32_modules", refuse: "convert these modules in Go after lite.Setup: nn.To(m, torch.Float32)"},
		}},
		{name: "torch_autocast", unless: false, refuse: `set lite.Config{Precision: "bf16-mixed"} in place of it`},
		{name: "steps_per_print", ignore: "log in the training loop"},
		{name: "wall_clock_breakdown", ignore: profiler, unless: false},
		{name: "memory_breakdown", ignore: "Lite reports bytes by rank on request", unless: false},
		{name: "dump_state", ignore: "Config can be printed", unless: false},
		{name: "log_level", ignore: "set lite.Config.Logger"},
		{name: "disable_python_gc", ignore: "there is no Python", unless: false},
		{name: "disable_allgather", ignore: tuning, unless: false},
		{name: "communication", old: "comms_logger", ignore: profiler, unless: false},
		{name: "timers", ignore: profiler},
		{name: "flops_profiler", ignore: profiler},
		{name: "tensorboard", ignore: monitor}, {name: "wandb", ignore: monitor}, {name: "csv_monitor", ignore: monitor}, {name: "comet", ignore: monitor},
		{name: "aio", ignore: "it is for offload to nvme"},
		{name: "checkpoint", ignore: files}, {name: "datastates_ckpt", ignore: files},
		{name: "dataloader_drop_last", unless: false, refuse: "DeepSpeed makes no loader here: set data.LoaderOptions{DropLast: true}"},
		{name: "vocabulary_size", ignore: "DeepSpeed uses it for a warning only"},
		{name: "autotuning", refuse: "remove it, and run DeepSpeed's autotuner with Python"},
		{name: "compile", refuse: "golite has no compiler: remove it"},
		{name: "data_efficiency", refuse: "write the curriculum as a sampler: sampler.Sampler"},
		{name: "hybrid_engine", refuse: "generation has no engine of its own: remove it"},
		{name: "pipeline", refuse: "golite has no pipeline parallelism: remove it"},
		{name: "tensor_parallel", refuse: "golite has no tensor parallelism: remove it"},
		{name: "expert_parallel", refuse: "golite has no expert parallelism: remove it"},
		{name: "use_data_before_expert_parallelism", unless: false, refuse: "golite has no expert parallelism: remove it"},
		{name: "sequence_parallel_size", unless: 1.0, refuse: "golite has no sequence parallelism: remove it"},
		{name: "weight_quantization", refuse: "weights are not quantized in training: remove it"},
	}
}

// goneKeys are those that DeepSpeed has removed.
func goneKeys() []key {
	return []key{
		{name: "amp", refuse: `DeepSpeed has removed it too: set lite.Config{Precision: "16-mixed"} in place of it`},
		{name: "elasticity", refuse: gone}, {name: "nebula", refuse: gone}, {name: "compression_training", refuse: gone},
		{name: "quantize_training", refuse: gone}, {name: "eigenvalue", refuse: gone}, {name: "sparse_attention", refuse: gone},
		{name: "graph_harvesting", refuse: gone, unless: false}, {name: "curriculum_learning", refuse: gone}, {name: "progressive_layer_drop", refuse: gone},
		{name: "sparse_gradients", unless: false, refuse: "DeepSpeed has removed it too: use nn.EmbeddingOptions{Sparse: true}"},
	}
}

func fp16Keys(fp16 *FP16) []key {
	return []key{
		{name: "enabled", do: boolean(&fp16.Enabled)},
		{name: "auto_cast", do: boolean(&fp16.AutoCast)},
		{name: "loss_scale", do: number(&fp16.LossScale, 0, false)},
		{name: "initial_scale_power", do: integer(&fp16.InitialScalePower, 0)},
		{name: "loss_scale_window", do: integer(&fp16.LossScaleWindow, -1<<31)},
		{name: "hysteresis", do: integer(&fp16.Hysteresis, 1)},
		{name: "consecutive_hysteresis", do: boolean(&fp16.ConsecutiveHysteresis)},
		{name: "min_loss_scale", do: wholeNumber(&fp16.MinLossScale)},
		{name: "fp16_master_weights_and_grads", unless: false, refuse: `optimizers step in float32; for weights in 16 bits set lite.Config{Precision: "16-true"}`},
	}
}

func bf16Keys(bf16 *BF16) []key {
	return []key{
		{name: "enabled", do: boolean(&bf16.Enabled)},
		{name: "check_grad_overflow", do: boolean(&bf16.CheckGradOverflow)},
		{name: "immediate_grad_update", ignore: tuning, unless: false},
		{name: "bf16_master_weights_and_grads", unless: false, refuse: `optimizers step in float32; for weights in 16 bits set lite.Config{Precision: "bf16-true"}`},
		{name: "bf16_optimizer_states", unless: false, refuse: `optimizer states are float32; for all in 16 bits set lite.Config{Precision: "bf16-true"}`},
	}
}

// wholeNumber takes whole numbers into a float64.
func wholeNumber(to *float64) func(any) error {
	return func(v any) error {
		var n int
		if err := integer(&n, -1<<53)(v); err != nil {
			return err
		}
		*to = float64(n)
		return nil
	}
}

func (c *Config) zeroKeys(zero *ZeroOptimization) []key {
	old := func(to *Offload) func(any) error {
		return func(v any) error {
			var on bool
			err := boolean(&on)(v)
			if on {
				to.Device = "cpu"
			}
			return err
		}
	}
	const quantized = "messages are not quantized: remove it"
	return []key{
		{name: "stage", do: zeroStage(&zero.Stage)},
		{name: "offload_optimizer", in: offloadKeys(&zero.OffloadOptimizer)},
		{name: "offload_param", in: offloadKeys(&zero.OffloadParam)},
		{name: "cpu_offload", do: old(&zero.OffloadOptimizer)},
		{name: "cpu_offload_param", do: old(&zero.OffloadParam)},
		{name: "cpu_offload_use_pin_memory", ignore: "it was replaced by offload_optimizer.pin_memory", unless: false},
		{name: "stage3_gather_16bit_weights_on_model_save", old: "gather_16bit_weights_on_model_save", do: boolean(&zero.Gather16Bit)},
		{name: "stage3_gather_fp16_weights_on_model_save", do: boolean(&zero.Gather16Bit)},
		{name: "contiguous_gradients", ignore: tuning, unless: true},
		{name: "reduce_scatter", ignore: tuning, unless: true},
		{name: "reduce_bucket_size", ignore: tuning},
		{name: "use_multi_rank_bucket_allreduce", ignore: tuning, unless: true},
		{name: "allgather_partitions", ignore: tuning, unless: true},
		{name: "allgather_bucket_size", ignore: tuning},
		{name: "overlap_comm", ignore: tuning},
		{name: "compute_grad_norm", ignore: tuning, unless: true},
		{name: "sub_group_size", ignore: tuning},
		{name: "round_robin_gradients", ignore: tuning, unless: false},
		{name: "parameter_alignment", ignore: tuning, unless: false},
		{name: "legacy_stage1", ignore: tuning, unless: false},
		{name: "stage3_prefetch_bucket_size", old: "prefetch_bucket_size", ignore: tuning},
		{name: "stage3_param_persistence_threshold", old: "param_persistence_threshold", ignore: tuning},
		{name: "stage3_model_persistence_threshold", old: "model_persistence_threshold", ignore: tuning},
		{name: "stage3_max_live_parameters", old: "max_live_parameters", ignore: tuning},
		{name: "stage3_max_reuse_distance", old: "max_reuse_distance", ignore: tuning},
		{name: "stage3_module_granularity_threshold", old: "module_granularity_threshold", ignore: tuning, unless: 0.0},
		{name: "stage3_use_all_reduce_for_fetch_params", old: "use_all_reduce_for_fetch_params", ignore: tuning, unless: false},
		{name: "stage3_allgather_sequential", old: "allgather_sequential", ignore: tuning, unless: false},
		{name: "ignore_unused_parameters", ignore: "parameters that take no part in a step are allowed", unless: true},
		{name: "memory_efficient_linear", ignore: tuning, unless: true},
		{name: "override_module_apply", ignore: "there is no Python", unless: true},
		{name: "log_trace_cache_warnings", ignore: tuning, unless: false},
		{name: "enable_sanity_checks", ignore: "golite's checks are always on", unless: false},
		{name: "leaf_module", ignore: "a strategy's Wrap says what is gathered at once"},
		{name: "load_from_fp32_weights", ignore: files, unless: true},
		{name: "elastic_checkpoint", ignore: "golite's checkpoints load at any world size", unless: false},
		{name: "pipeline_loading_checkpoint", ignore: files, unless: false},
		{name: "zero_hpz_partition_size", unless: 1.0, refuse: `use lite's "fsdp" with hybrid sharding`},
		{name: "zero_quantized_weights", unless: false, refuse: quantized},
		{name: "zero_quantized_nontrainable_weights", unless: false, refuse: quantized},
		{name: "zero_quantized_gradients", unless: false, refuse: quantized},
		{name: "zenflow", refuse: "remove it"},
		{name: "save_muon_momentum_buffer_in_memory", unless: false, refuse: "golite has no Muon"},
		{name: "mics_shard_size", refuse: gone}, {name: "mics_hierarchical_params_gather", refuse: gone}, {name: "zeropp_loco_param", refuse: gone},
	}
}

func zeroStage(to *int) func(any) error {
	return func(v any) error {
		if err := integer(to, 0)(v); err != nil {
			return err
		}
		if *to > 3 {
			return wrongValue(v, "a stage from 0 to 3")
		}
		return nil
	}
}

func offloadKeys(to *Offload) []key {
	return []key{
		{name: "device", do: func(v any) error {
			if v == "nvme" {
				return wrongValue(v, `"cpu": golite does not offload to nvme`)
			}
			return text(&to.Device, "none", "cpu")(v)
		}},
		{name: "pin_memory", do: boolean(&to.PinMemory)},
		{name: "nvme_path", ignore: "it is for offload to nvme"},
		{name: "buffer_count", ignore: tuning},
		{name: "buffer_size", ignore: tuning},
		{name: "max_in_cpu", ignore: tuning},
		{name: "pipeline_read", ignore: tuning, unless: false},
		{name: "pipeline_write", ignore: tuning, unless: false},
		{name: "fast_init", ignore: tuning, unless: false},
		{name: "ratio", unless: 1.0, refuse: "optimizer states are offloaded whole: remove it"},
		{name: "super_offload", unless: false, refuse: "remove it"},
		{name: "cpuadam_cores_perc", ignore: tuning},
	}
}
