package deepspeed

import (
	"errors"
	"fmt"
	"math"
)

// Config is DeepSpeed's configuration, with DeepSpeed's defaults where it gives nothing.
type Config struct {
	// Train, micro-batch and accumulation as given, 0 where they are not: Batch derives them.
	TrainBatchSize, TrainMicroBatchSizePerGPU, GradientAccumulationSteps int

	// GradientClipping is the largest norm of all gradients; 0, also where it is not given: no clipping.
	GradientClipping float64

	ZeroOptimization        ZeroOptimization        // zero_optimization
	FP16                    FP16                    // fp16
	BF16                    BF16                    // bf16
	ActivationCheckpointing ActivationCheckpointing // activation_checkpointing

	// Notes has a line for each key that has no effect, and for defaults that differ from DeepSpeed's.
	Notes []string

	name      string // in messages
	optimizer *optimizerBlock
	scheduler *schedulerBlock
}

// ZeroOptimization says what is divided among the ranks.
type ZeroOptimization struct {
	Stage            int     // 0: nothing, 1: optimizer states, 2: and gradients, 3: and parameters
	OffloadOptimizer Offload // where optimizer states are
	OffloadParam     Offload // where parameters are that are not in use, at stage 3
	Gather16Bit      bool    // stage3_gather_16bit_weights_on_model_save: a checkpoint has a file of all weights too
}

// Offload is a place in place of the device's memory.
type Offload struct {
	Device    string // "none" or "cpu"
	PinMemory bool   // keep it in page-locked memory
}

// FP16 is training in float16, with scaled losses.
type FP16 struct {
	Enabled               bool    // train so
	LossScale             float64 // 0: the scale follows the overflows
	InitialScalePower     int     // the first scale is 2 to this power
	LossScaleWindow       int     // steps without an overflow until the scale doubles
	Hysteresis            int     // overflows until the scale is halved
	ConsecutiveHysteresis bool    // a step without an overflow counts overflows anew
	MinLossScale          float64 // the smallest scale
	AutoCast              bool    // convert floating inputs of the model to float16
}

// BF16 is training in bfloat16, with float32 weights in the optimizer.
type BF16 struct {
	Enabled           bool // train so
	CheckGradOverflow bool // leave out steps whose gradients are not finite
}

// ActivationCheckpointing says how activations are kept where the model runs torch.Checkpoint.
type ActivationCheckpointing struct {
	CPU bool // cpu_checkpointing: saved inputs are kept in the CPU's memory
}

// Read reads a configuration from a path (string), from JSON ([]byte) or from a map[string]any. The error names each key
// that is wrong.
func Read(source any) (*Config, error) {
	data, name, err := load(source)
	if err != nil {
		return nil, err
	}
	object, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("deepspeed: %s: %w", name, err)
	}
	c := &Config{
		name:             name,
		FP16:             FP16{InitialScalePower: 16, LossScaleWindow: 1000, Hysteresis: 2, MinLossScale: 1},
		BF16:             BF16{CheckGradOverflow: true},
		ZeroOptimization: ZeroOptimization{OffloadOptimizer: Offload{Device: "none", PinMemory: true}, OffloadParam: Offload{Device: "none", PinMemory: true}},
	}
	r := &reader{}
	var clip *float64
	r.object("", object, c.keys(r, &clip))
	c.check(r, clip)
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("deepspeed: %s: %w", name, errors.Join(r.errs...))
	}
	c.Notes = r.notes
	return c, nil
}

// check has the rules between keys.
func (c *Config) check(r *reader, clip *float64) {
	if clip != nil {
		c.GradientClipping = *clip
	} else {
		r.notes = append(r.notes, "gradient_clipping is not given: gradients are not clipped (DeepSpeed itself would clip them to a norm of 1)")
	}
	if c.FP16.Enabled && c.BF16.Enabled {
		r.fail("bf16.enabled", "bfloat16 and fp16 modes cannot be simultaneously enabled: switch one of them off")
	}
	if z := &c.ZeroOptimization; z.OffloadParam.Device == "cpu" && z.Stage != 3 {
		r.fail("zero_optimization.offload_param", "parameters are divided at stage 3 only, and stage is %d: set stage to 3, or remove it", z.Stage)
	} else if z.OffloadOptimizer.Device == "cpu" && z.Stage == 0 {
		r.fail("zero_optimization.offload_optimizer", "stage is 0, at which nothing is divided or moved: set stage to 1, 2 or 3, or remove it")
	}
	if c.FP16.InitialScalePower > 1023 {
		r.fail("fp16.initial_scale_power", "%d: want a power of 2 that is a number of 64 bits, 1023 or less", c.FP16.InitialScalePower)
	}
	if f := c.FP16; f.Enabled && f.LossScale == 0 {
		if f.LossScaleWindow <= 0 {
			r.fail("fp16.loss_scale_window", "%d: want 1 or more where loss_scale is 0", f.LossScaleWindow)
		}
		if f.MinLossScale <= 0 {
			r.fail("fp16.min_loss_scale", "%v: want more than 0 where loss_scale is 0", f.MinLossScale)
		}
	}
}

// Batch is how many samples a step has.
type Batch struct {
	Train        int // train_batch_size: of a step, on all ranks
	Micro        int // train_micro_batch_size_per_gpu: of a forward pass
	Accumulation int // gradient_accumulation_steps: passes of a step
}

// Batch derives the sizes that are not given, by DeepSpeed's rule that Train is Micro * Accumulation * world, and refuses
// sizes that break it.
func (c *Config) Batch(world int) (Batch, error) {
	wrong := func(format string, args ...any) (Batch, error) {
		return Batch{}, fmt.Errorf("deepspeed: %s: %s", c.name, fmt.Sprintf(format, args...))
	}
	if world < 1 {
		return wrong("a world of %d ranks: want 1 or more", world)
	}
	b := Batch{c.TrainBatchSize, c.TrainMicroBatchSizePerGPU, c.GradientAccumulationSteps}
	hasTrain, hasMicro, hasAccumulation := b.Train != 0, b.Micro != 0, b.Accumulation != 0
	switch {
	case hasTrain && hasMicro && hasAccumulation:
	case hasTrain && hasMicro:
		b.Accumulation = b.Train / b.Micro / world
	case hasTrain && hasAccumulation:
		b.Micro = b.Train / world / b.Accumulation
	case hasTrain:
		b.Accumulation, b.Micro = 1, b.Train/world
	case hasMicro:
		b.Accumulation = max(b.Accumulation, 1)
		if b.Micro > math.MaxInt/b.Accumulation/world {
			return wrong("train_micro_batch_size_per_gpu=%d and gradient_accumulation_steps=%d are too large", b.Micro, b.Accumulation)
		}
		b.Train = b.Micro * b.Accumulation * world
	default:
		return wrong("either train_batch_size or train_micro_batch_size_per_gpu needs to be provided: add train_micro_batch_size_per_gpu, the loader's batch size")
	}
	if b.Micro == 0 || b.Accumulation == 0 || b.Train%world != 0 || b.Train/world%b.Micro != 0 || b.Train/world/b.Micro != b.Accumulation {
		return wrong("train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size: %d != %d * %d * %d; give two of the three, and a train_batch_size that %d ranks divide",
			b.Train, b.Micro, b.Accumulation, world, world)
	}
	return b, nil
}
