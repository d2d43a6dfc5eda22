package amp

import (
	"fmt"

	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
)

// ScalerOptions are GradScaler's settings. The zero value is PyTorch's.
type ScalerOptions struct {
	Device         torch.Device
	InitScale      float64 // 0: 65536
	GrowthFactor   float64 // 0: 2
	BackoffFactor  float64 // 0: 0.5
	GrowthInterval int     // steps without overflow before the scale grows; 0: 2000
}

// Parameters is what a scaler needs of an optimizer: the tensors whose gradients it uses. Every optimizer of
// package optim is one.
type Parameters interface{ Tensors() []*torch.Tensor }

// GradScaler multiplies the loss, so that the gradients of float16 don't vanish, and divides the gradients again
// before the step (torch.amp.GradScaler). A step whose gradients overflowed is skipped and the scale halved; after
// 2000 good steps it doubles.
//
// Two things differ from PyTorch's, both where it goes wrong silently: with several optimizers, a step of the first
// doesn't make the second forget that it was unscaled already; and gradients are divided by the scale that the loss was
// multiplied by, even if another optimizer's step has changed the scale since.
type GradScaler struct {
	o       ScalerOptions
	scale   *torch.Tensor // float32, one element
	tracker *torch.Tensor // int32: good steps since the last change
	used    *torch.Tensor // the scale of the last backward pass
	pending map[Parameters]*torch.Tensor
}

var (
	abi       torch.ABI
	opUnscale = op.Op{Name: "aten::_amp_foreach_non_finite_check_and_unscale_"}
	opUpdate  = op.Op{Name: "aten::_amp_update_scale_"}
	opMul     = op.Op{Name: "aten::mul.Tensor"}
	opCopy    = op.Op{Name: "aten::copy_"}
)

// NewGradScaler makes a scaler.
func NewGradScaler(opts ...ScalerOptions) *GradScaler {
	var o ScalerOptions
	if len(opts) > 1 {
		torch.Fail("amp.NewGradScaler", "want at most one ScalerOptions, got %d", len(opts))
	}
	if len(opts) == 1 {
		o = opts[0]
	}
	o.InitScale = orDefault(o.InitScale, 65536)
	o.GrowthFactor = orDefault(o.GrowthFactor, 2)
	o.BackoffFactor = orDefault(o.BackoffFactor, 0.5)
	if o.GrowthInterval == 0 {
		o.GrowthInterval = 2000
	}
	if o.GrowthFactor <= 1 || o.BackoffFactor >= 1 || o.InitScale <= 0 || o.GrowthInterval < 0 {
		torch.Fail("amp.NewGradScaler", "want a scale above 0, growth above 1 and backoff below 1, got %+v", o)
	}
	s := &GradScaler{o: o, pending: map[Parameters]*torch.Tensor{}}
	torch.Outside(func() {
		s.scale = torch.Options{DType: torch.Float32, Device: o.Device}.Full(o.InitScale)
		s.used = torch.Options{DType: torch.Float32, Device: o.Device}.Full(o.InitScale)
		s.tracker = torch.Options{DType: torch.Int32, Device: o.Device}.Zeros()
	})
	return s
}

func orDefault(v, d float64) float64 {
	if v == 0 {
		return d
	}
	return v
}

// Scale returns the loss times the scale, to go backward from (GradScaler.scale).
func (s *GradScaler) Scale(loss *torch.Tensor) *torch.Tensor {
	var c op.Args
	var none op.Results
	abi.Tensor(&c, s.used)
	abi.Tensor(&c, s.scale)
	c.Bool(false)
	torch.NoGrad(func() { abi.Call(&opCopy, &c, &none) })

	var a op.Args
	var r op.Results
	abi.Tensor(&a, loss)
	abi.Tensor(&a, s.scale)
	abi.Call(&opMul, &a, &r)
	return abi.Result(&r)
}

// Unscale divides the gradients of p by the scale, if that was not done since its last Step (GradScaler.unscale_).
// Clipping needs it first.
func (s *GradScaler) Unscale(p Parameters) {
	if _, done := s.pending[p]; done {
		return
	}
	var found *torch.Tensor
	torch.Outside(func() {
		found = torch.Options{DType: torch.Float32, Device: s.o.Device}.Zeros()
	})
	torch.Scope(func() {
		inverse := s.inverse()
		for _, grads := range byType(p.Tensors()) {
			if grads[0].DType() == torch.Float16 {
				torch.Fail("amp.GradScaler", "the gradients are float16 themselves: mixed precision keeps parameters in float32; \"16-true\" needs no scaler")
			}
			var a op.Args
			var r op.Results
			abi.Tensors(&a, grads)
			abi.Tensor(&a, found)
			abi.Tensor(&a, inverse)
			torch.NoGrad(func() { abi.Call(&opUnscale, &a, &r) })
		}
	})
	s.pending[p] = found
}

// inverse is 1 over the scale, rounded once. On the CPU the number is at hand; a GPU would be waited for.
func (s *GradScaler) inverse() *torch.Tensor {
	if s.used.Device() == torch.CPU {
		return torch.Options{DType: torch.Float32}.Full(float64(float32(1 / s.used.Item())))
	}
	return torch.NoGradOf(func() *torch.Tensor { return s.used.Double().Reciprocal().Float() })
}

// byType gives the gradients that are there, those of one type together.
func byType(params []*torch.Tensor) map[torch.DType][]*torch.Tensor {
	groups := map[torch.DType][]*torch.Tensor{}
	for _, g := range torch.Grads(params) {
		if g != nil {
			groups[g.DType()] = append(groups[g.DType()], g)
		}
	}
	return groups
}

// Step unscales the gradients of p unless that was done, runs step if all of them are finite, and changes the scale
// (GradScaler.step and update in one). It tells whether step ran.
func (s *GradScaler) Step(p Parameters, step func()) (ran bool) {
	s.Unscale(p)
	ran = s.pending[p].Item() == 0
	if ran {
		step()
	}
	s.update(p)
	return ran
}

// StepOnDevice is Step that doesn't wait for the device to tell whether the gradients are finite: step is given a tensor that is above 0 if they
// aren't, and leaves the parameters as they are then. Fused optimizers can (optim.StepUnless), and steps that CUDA graphs replay need it.
func (s *GradScaler) StepOnDevice(p Parameters, step func(found *torch.Tensor)) {
	s.Unscale(p)
	step(s.pending[p])
	s.update(p)
}

// update changes the scale after a step.
func (s *GradScaler) update(p Parameters) {
	found := s.pending[p]
	var a op.Args
	var r op.Results
	abi.Tensor(&a, s.scale)
	abi.Tensor(&a, s.tracker)
	abi.Tensor(&a, found)
	a.Float(s.o.GrowthFactor)
	a.Float(s.o.BackoffFactor)
	a.Int(int64(s.o.GrowthInterval))
	torch.NoGrad(func() { abi.Call(&opUpdate, &a, &r) })
	delete(s.pending, p)
	found.Release()
}

// Found returns the tensor that is above 0 if gradients of p overflowed, between Unscale and Step, so that ranks can
// agree about it; nil otherwise.
func (s *GradScaler) Found(p Parameters) *torch.Tensor { return s.pending[p] }

// CurrentScale returns the scale (GradScaler.get_scale). It waits for the device.
func (s *GradScaler) CurrentScale() float64 { return s.scale.Item() }

// StateDict returns the scaler's state with Python's keys (GradScaler.state_dict).
func (s *GradScaler) StateDict() map[string]any {
	return map[string]any{
		"scale": s.scale.Item(), "growth_factor": s.o.GrowthFactor, "backoff_factor": s.o.BackoffFactor,
		"growth_interval": s.o.GrowthInterval, "_growth_tracker": torch.Item[int](s.tracker),
	}
}

// LoadStateDict restores it.
func (s *GradScaler) LoadStateDict(d map[string]any) error {
	scale, ok1 := number(d["scale"])
	growth, ok2 := number(d["growth_factor"])
	backoff, ok3 := number(d["backoff_factor"])
	interval, ok4 := number(d["growth_interval"])
	tracker, ok5 := number(d["_growth_tracker"])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return fmt.Errorf("amp: no scaler's state: want the numbers scale, growth_factor, backoff_factor, growth_interval and _growth_tracker, got %v", d)
	}
	s.o.GrowthFactor, s.o.BackoffFactor, s.o.GrowthInterval = growth, backoff, int(interval)
	torch.NoGrad(func() {
		torch.Scope(func() {
			for to, v := range map[*torch.Tensor]float64{s.scale: scale, s.tracker: tracker} {
				var a op.Args
				var r op.Results
				abi.Tensor(&a, to)
				abi.Tensor(&a, torch.Options{DType: to.DType()}.Full(v))
				a.Bool(false)
				abi.Call(&opCopy, &a, &r)
			}
		})
	})
	return nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}
