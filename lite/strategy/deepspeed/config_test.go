package deepspeed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/strategy/deepspeed"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                                   "the JSON ends too early",
		`{"a": 1`:                            "the JSON ends too early",
		`[1]`:                                "a JSON list: want an object",
		`null`:                               "a JSON null: want an object",
		"{\n// no\n}":                        "line 2",
		`{} {}`:                              "text after the end",
		`{"fp16": {}, "fp16": {}}`:           "fp16 is given twice: keep one",
		`{"fp16": {"a": 1, "a": 2}}`:         "fp16.a is given twice",
		`{"bf16": {}, "bfloat16": 1}`:        "bfloat16: it is the same as bf16: keep one",
		`{"train_batchsize": 3}`:             `train_batchsize: unknown key: did you mean "train_batch_size"?`,
		`{"Zero_Optimization": {}}`:          `did you mean "zero_optimization"?`,
		`{"zero_optimization": {"stge": 1}}`: `zero_optimization.stge: unknown key: did you mean "stage"?`,
		`{"qqqqqqqqqqqq": 1}`:                "DeepSpeed 0.19.8 has none of that name here",
		`{"train_batch_size": "auto"}`:       `train_batch_size: "auto" is for Hugging Face's Trainer to fill`,
		`{"zero_optimization": {"reduce_bucket_size": "auto"}}`:                    "leave the key out for its default",
		`{"train_batch_size": 1.5}`:                                                "want a whole number",
		`{"train_batch_size": 1e400}`:                                              "is no number of 64 bits",
		`{"train_batch_size": [1]}`:                                                "a list of 1 is a list: want a number",
		`{"fp16": 3}`:                                                              "fp16: 3 is a number: want an object",
		`{"fp16": {"enabled": 1}}`:                                                 "fp16.enabled: 1 is a number: want true or false",
		`{"fp16": {"enabled": true, "initial_scale_power": 2000}}`:                 "1023 or less",
		`{"gradient_clipping": -1}`:                                                "gradient_clipping: -1: want 0 or more",
		`{"zero_optimization": {"stage": 4}}`:                                      "want a stage from 0 to 3",
		`{"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}`: `offload_param.device: "nvme": want "cpu"`,
		`{"zero_optimization": {"stage": 2, "offload_param": {"device": "cpu"}}}`:  "parameters are divided at stage 3 only",
		`{"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}`:          "stage is 0",
		`{"zero_optimization": {"stage": 3, "zero_quantized_weights": true}}`:      "zero_quantized_weights: true is not supported: messages are not quantized",
		`{"compile": {"deepcompile": true}}`:                                       "golite has no compiler",
		`{"torch_autocast": {"enabled": true}}`:                                    `Precision: "bf16-mixed"`,
		`{"optimizer": {"params": {}}}`:                                            "optimizer: it has no type",
		`{"optimizer": {"type": "Lamb"}}`:                                          "write an optim.Rule",
		`{"optimizer": {"type": "RMSprop"}}`:                                       "optim.NewRMSprop(params, lr)",
		`{"optimizer": {"type": "Adam", "parms": {}}}`:                             `parms: unknown key: did you mean "params"?`,
		`{"optimizer": {"type": "Adam", "params": {"beta": [0, 0]}}}`:              `optimizer.params.beta: unknown key: did you mean "betas"?`,
		`{"optimizer": {"type": "Adam", "params": {"betas": [0.9, 1]}}}`:           "1: want numbers from 0 up to",
		`{"optimizer": {"type": "Adam", "params": {"betas": ["x", 0]}}}`:           "want numbers",
		`{"optimizer": {"type": "Adam", "params": {"lr": "auto"}}}`:                "optimizer.params.lr: \"auto\"",
		`{"optimizer": {"type": "AdamW", "params": {"max_grad_norm": 1}}}`:         "set gradient_clipping",
		`{"optimizer": {"type": "SGD", "params": {"nesterov": true}}}`:             "it wants a momentum and no dampening",
		`{"scheduler": {"type": "CosineLR"}}`:                                      "optim.NewCosineAnnealingLR(opt, steps)",
		`{"scheduler": {"type": "WarmupDecayLR"}}`:                                 "needs total_num_steps",
		`{"scheduler": {"type": "OneCycle", "params": {"cycle_min_lr": 1}}}`:       "needs cycle_min_lr and cycle_max_lr",
		`{"scheduler": {"type": "WarmupLR", "params": {"warmup_num_steps": 0}}}`:   "scheduler.params.warmup_num_steps: 0: want 1 or more",
		`{"scheduler": {"type": "WarmupLR", "params": {"warmup_min_lr": []}}}`:     "an empty list",
		`{"fp16": {"enabled": "x"}, "bf16": {"enabled": "y"}}`:                     "bf16.enabled: \"y\" is a string",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40):                "more than 32 deep",
	} {
		_, err := deepspeed.Read([]byte(text))
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "deepspeed: configuration: ")
	}
}

func TestConfig(t *testing.T) {
	c, err := deepspeed.Read([]byte(`{
		"train_micro_batch_size_per_gpu": 4, "gradient_clipping": 0.5, "steps_per_print": 10, "wall_clock_breakdown": false,
		"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu", "pin_memory": false}, "offload_param": {"device": "cpu"},
			"reduce_bucket_size": 5e8, "overlap_comm": true, "contiguous_gradients": true, "stage3_gather_16bit_weights_on_model_save": true},
		"bf16": {"enabled": true}, "fp16": {"enabled": false}, "amp": {"enabled": false}, "tensorboard": {"enabled": false},
		"activation_checkpointing": {"cpu_checkpointing": true, "partition_activations": false}, "communication_data_type": null}`))
	require.NoError(t, err)
	require.Equal(t, 0.5, c.GradientClipping)
	require.Equal(t, deepspeed.ZeroOptimization{Stage: 3, OffloadOptimizer: deepspeed.Offload{Device: "cpu"},
		OffloadParam: deepspeed.Offload{Device: "cpu", PinMemory: true}, Gather16Bit: true}, c.ZeroOptimization)
	require.Equal(t, deepspeed.BF16{Enabled: true, CheckGradOverflow: true}, c.BF16)
	require.True(t, c.ActivationCheckpointing.CPU)
	require.Len(t, c.Notes, 3)
	require.Equal(t, "DeepSpeed's steps_per_print has no effect: log in the training loop", c.Notes[0])
	require.Contains(t, c.Notes[1], "zero_optimization.reduce_bucket_size")
	require.Contains(t, c.Notes[2], "zero_optimization.overlap_comm")
	require.Nil(t, c.NewOptimizer(nil))
	s, err := c.NewScheduler(nil)
	require.NoError(t, err)
	require.Nil(t, s)
	_, err = c.Batch(0)
	require.ErrorContains(t, err, "a world of 0 ranks")

	c, err = deepspeed.Read([]byte(`{}`))
	require.NoError(t, err)
	require.Zero(t, c.GradientClipping)
	require.Equal(t, []string{"gradient_clipping is not given: gradients are not clipped (DeepSpeed itself would clip them to a norm of 1)"}, c.Notes)
}

// The classes that DeepSpeed makes for a block: FusedAdam decays weights only if weight_decay is given, and Adam is AdamW
// unless adam_w_mode is false.
func TestOptimizers(t *testing.T) {
	for params, want := range map[string]optim.ParamGroup{
		`"Adam"`:  {LR: 1e-3, Betas: [2]float64{0.9, 0.999}, Eps: 1e-8, Decoupled: true},
		`"AdamW"`: {LR: 1e-3, Betas: [2]float64{0.9, 0.999}, Eps: 1e-8, Decoupled: true},
		`"adamw", "params": {"torch_adam": true}`:  {LR: 1e-3, Betas: [2]float64{0.9, 0.999}, Eps: 1e-8, Decoupled: true, WeightDecay: 0.01},
		`"Adam", "params": {"adam_w_mode": false}`: {LR: 1e-3, Betas: [2]float64{0.9, 0.999}, Eps: 1e-8},
		`"AdamW", "params": {"adam_w_mode": false, "lr": 3e-4, "betas": [0.8, 0.99], "eps": 1e-7, "weight_decay": 0.1, "amsgrad": true}`: {LR: 3e-4,
			Betas: [2]float64{0.8, 0.99}, Eps: 1e-7, Decoupled: true, WeightDecay: 0.1, AMSGrad: true},
		`"SGD", "params": {"lr": 0.1, "momentum": 0.9, "nesterov": true, "weight_decay": 0.01}`: {LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.01},
	} {
		torch.Scope(func() {
			c, err := deepspeed.Read([]byte(`{"optimizer": {"type": ` + params + `}}`))
			require.NoError(t, err, params)
			o := c.NewOptimizer(nn.Parameters(nn.NewLinear(2, 2)))
			g := *o.ParamGroups()[0]
			g.Params = nil
			require.Equal(t, want, g, params)
		})
	}
}

func TestSchedulerRefusesOptimizers(t *testing.T) {
	torch.Scope(func() {
		c, err := deepspeed.Read([]byte(`{"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": [1, 2, 3]}}}`))
		require.NoError(t, err)
		_, err = c.NewScheduler(twoGroups("adamw"))
		require.ErrorContains(t, err, "the largest rates are 3 values, and the optimizer has 2 parameter groups")
		_, err = c.NewScheduler(nil)
		require.ErrorContains(t, err, "there is no optimizer")
	})
}

// Whatever the bytes: an error or a configuration whose parts can be used.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"train_batch_size": 8, "fp16": {"enabled": true}}`, `{"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}`,
		`{"scheduler": {"type": "OneCycle", "params": {"cycle_min_lr": 0.1, "cycle_max_lr": [1, 2], "cycle_first_stair_count": 3}}}`,
		`{"scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 3}}}`, `{"optimizer": {"type": "SGD"}}`, `{"a": [[[{}]]], "a": 1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := deepspeed.Read(data)
		if err != nil {
			require.Nil(t, c)
			return
		}
		if b, err := c.Batch(3); err == nil {
			require.Equal(t, b.Train, b.Micro*b.Accumulation*3)
		}
		s := c.NewLossScaler()
		require.NoError(t, s.Update(false))
		require.Positive(t, s.Scale())
	})
}
