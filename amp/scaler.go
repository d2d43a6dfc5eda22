package amp

import (
	"fmt"

	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// ScalerOptions are GradScaler's settings. The zero value is PyTorch's.
type ScalerOptions struct {
	Device         torch.Device // where the scale is kept: that of the gradients; default: the CPU
	InitScale      float64      // the scale to begin with; 0: 65536
	GrowthFactor   float64      // what the scale is multiplied by; 0: 2
	BackoffFactor  float64      // what it is multiplied by after an overflow; 0: 0.5
	GrowthInterval int          // steps without overflow before the scale grows; 0: 2000
}

// Parameters is what a scaler needs of an optimizer: the tensors whose gradients it uses. Every optimizer of
// package optim is one.
type Parameters interface{ Tensors() []*torch.Tensor }

// GradScaler multiplies the loss, so that the gradients of float16 don't vanish, and divides the gradients again
// before the step (torch.amp.GradScaler). A step whose gradients overflowed is skipped and the scale halved; after
// 2000 good steps it doubles.
//
// What goes wrong silently in PyTorch can't here:
//   - The scale changes once for each backward pass, at the next Scale, however many optimizers step after it: one
//     overflow that two of them meet halves it, as with PyTorch's own recipe of one update an iteration. (Fabric updates
//     after each optimizer's step, which quarters it, and counts a good iteration twice.)
//   - The gradients of several optimizers are divided once each, and by the scale that their loss was multiplied by.
//   - Gradients that no scaled loss gave are refused by Step, as they would be divided all the same: a plain
//     loss.Backward(), or a second Step.
//   - Gradients that were divided and then added to are refused by Unscale.
type GradScaler struct {
	o       ScalerOptions
	scale   *torch.Tensor // float32, one element
	tracker *torch.Tensor // int32: good steps since the last change
	used    *torch.Tensor // the scale of the last backward pass
	scaled  int           // how many losses were scaled
	marks   map[Parameters]*mark
	agree   func(found *torch.Tensor) // of OnFoundInf; nil: nothing is called
}

// mark is what is known of an optimizer's gradients between Unscale and the Scale after its Step.
type mark struct {
	found   *torch.Tensor // above 0: some overflowed; nil: the scale has taken that into account
	scaled  int           // how many losses were scaled before they were divided
	stepped bool
}

var (
	abi       torch.ABI
	opUnscale = op.Op{Name: "aten::_amp_foreach_non_finite_check_and_unscale_"}
	opUpdate  = op.Op{Name: "aten::_amp_update_scale_"}
)

// NewGradScaler makes a scaler (torch.amp.GradScaler), by default with scale 65536, growth by 2 after 2000 good steps
// and backoff by 0.5. It panics if the scale is not above 0, the growth not above 1, the backoff not below 1, or the
// interval negative.
func NewGradScaler(opts ...ScalerOptions) *GradScaler {
	o := options.Must("amp.NewGradScaler", opts, torch.Fail)
	o.InitScale = orDefault(o.InitScale, 65536)
	o.GrowthFactor = orDefault(o.GrowthFactor, 2)
	o.BackoffFactor = orDefault(o.BackoffFactor, 0.5)
	if o.GrowthInterval == 0 {
		o.GrowthInterval = 2000
	}
	if o.GrowthFactor <= 1 || o.BackoffFactor >= 1 || o.InitScale <= 0 || o.GrowthInterval < 0 {
		torch.Fail("amp.NewGradScaler", "want a scale above 0, growth above 1 and backoff below 1, got %+v", o)
	}
	s := &GradScaler{o: o, marks: map[Parameters]*mark{}}
	torch.NoScope(func() {
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

// Scale returns the loss times the scale, to go backward from (GradScaler.scale). What the steps since the last Scale
// have found changes the scale first.
func (s *GradScaler) Scale(loss *torch.Tensor) *torch.Tensor {
	s.Update()
	for p, m := range s.marks {
		if m.stepped {
			delete(s.marks, p)
		}
	}
	s.scaled++
	torch.NoGrad(func() { s.used.Copy_(s.scale) })
	return loss.Mul(s.scale)
}

// Unscale divides the gradients of p by the scale, if that was not done already (GradScaler.unscale_). Clipping needs it
// first. It panics if a loss was scaled since it was done, and neither Step nor ZeroGrad came in between: what that loss
// has added to the gradients is too large, and can't be told from the rest. Clip once, after the last backward pass.
func (s *GradScaler) Unscale(p Parameters) {
	m := s.marks[p]
	if m == nil || m.stepped {
		s.divide(p)
		return
	}
	if m.scaled != s.scaled {
		torch.Fail("amp.GradScaler.Unscale", "these gradients were divided by the scale already, and a loss was scaled since, whose gradients are not: "+
			"clip once, after the last backward pass of an accumulation, and then call Step; or drop them with the optimizer's ZeroGrad")
	}
}

func (s *GradScaler) divide(p Parameters) {
	grads := byType(p.Tensors())
	if m := s.marks[p]; len(grads) > 0 && (s.scaled == 0 || m != nil && m.stepped) {
		torch.Fail("amp.GradScaler", "there are gradients, but no loss was scaled since the last step, and dividing them by the scale would spoil them: "+
			"go backward from Scale's result, with lite by l.Backward(loss) in place of loss.Backward()")
	}
	var found *torch.Tensor
	torch.NoScope(func() {
		found = torch.Options{DType: torch.Float32, Device: s.o.Device}.Zeros()
	})
	torch.Scope(func() {
		inverse := s.inverse()
		for _, list := range grads {
			if list[0].DType() == torch.Float16 {
				torch.Fail("amp.GradScaler", "the gradients are float16 themselves: mixed precision keeps parameters in float32; \"16-true\" needs no scaler")
			}
			var a op.Args
			var r op.Results
			abi.Tensors(&a, list)
			abi.Tensor(&a, found)
			abi.Tensor(&a, inverse)
			torch.NoGrad(func() { abi.Call(&opUnscale, &a, &r) })
		}
	})
	if s.agree != nil {
		torch.NoGrad(func() { s.agree(found) })
	}
	s.Forget(p)
	s.marks[p] = &mark{found: found, scaled: s.scaled}
}

// OnFoundInf has f called each time that the gradients of an optimizer were divided, also where it has none, with the
// mark of an overflow: a float32 of one element on the scaler's device that is above 0 if a gradient was infinite or NaN.
// f may change it in place. Ranks that hold parts of the gradients take the largest of their marks in f, so that all leave
// the step out or none (torch.distributed.fsdp.sharded_grad_scaler.ShardedGradScaler); all of them then call Step and
// Unscale in the same order. It takes the place of the function that was given before; nil: none is called.
func (s *GradScaler) OnFoundInf(f func(found *torch.Tensor)) { s.agree = f }

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

// Step unscales the gradients of p unless that was done, and runs step if all of them are finite (GradScaler.step). It
// tells whether step ran. It panics if there are gradients and no loss was scaled since p's last step.
func (s *GradScaler) Step(p Parameters, step func()) (ran bool) {
	if p == nil || step == nil {
		torch.Fail("amp.GradScaler.Step", "the parameters or the step are nil")
	}
	m := s.ready(p)
	if ran = m.found.Item() == 0; ran {
		step()
	}
	m.stepped = true
	return ran
}

// StepOnDevice is Step that doesn't wait for the device to tell whether the gradients are finite: step is given a tensor that is above 0 if they
// aren't, and leaves the parameters as they are then. Fused optimizers can (optim.StepUnless), and steps that CUDA graphs replay need it.
func (s *GradScaler) StepOnDevice(p Parameters, step func(found *torch.Tensor)) {
	if p == nil || step == nil {
		torch.Fail("amp.GradScaler.StepOnDevice", "the parameters or the step are nil")
	}
	m := s.ready(p)
	step(m.found)
	m.stepped = true
}

func (s *GradScaler) ready(p Parameters) *mark {
	if m := s.marks[p]; m == nil || m.stepped {
		s.divide(p)
	}
	return s.marks[p]
}

// Forget drops what is known of the gradients of p, because they are gone. lite calls it where the optimizer's ZeroGrad
// is called.
func (s *GradScaler) Forget(p Parameters) {
	if m := s.marks[p]; m != nil && !m.stepped {
		m.found.Release()
		delete(s.marks, p)
	}
}

// Update changes the scale by what the steps since the last change have found (GradScaler.update). Scale does it by itself,
// so it is for those who want the change at once.
func (s *GradScaler) Update() {
	s.update(s.scale, s.tracker)
	for _, m := range s.marks {
		if m.stepped && m.found != nil {
			m.found.Release()
			m.found = nil
		}
	}
}

// update changes scale and tracker as Update does.
func (s *GradScaler) update(scale, tracker *torch.Tensor) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			var found *torch.Tensor
			for _, m := range s.marks {
				switch {
				case !m.stepped || m.found == nil:
				case found == nil:
					found = m.found
				default:
					found = found.Add(m.found)
				}
			}
			if found == nil {
				return
			}
			var a op.Args
			var r op.Results
			abi.Tensor(&a, scale)
			abi.Tensor(&a, tracker)
			abi.Tensor(&a, found)
			a.Float(s.o.GrowthFactor)
			a.Float(s.o.BackoffFactor)
			a.Int(int64(s.o.GrowthInterval))
			abi.Call(&opUpdate, &a, &r)
		})
	})
}

// ahead gives the scale and the count of good steps as the next Scale will have them. Looking changes nothing: other
// optimizers' steps may still belong to the same change.
func (s *GradScaler) ahead() (scale float64, tracker int) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			a, b := s.scale.Clone(), s.tracker.Clone()
			s.update(a, b)
			scale, tracker = a.Item(), torch.Item[int](b)
		})
	})
	return scale, tracker
}

// CurrentScale returns the scale that the next loss will be multiplied by (GradScaler.get_scale). It waits for the device.
func (s *GradScaler) CurrentScale() float64 {
	scale, _ := s.ahead()
	return scale
}

// StateDict returns the scaler's state with Python's keys (GradScaler.state_dict).
func (s *GradScaler) StateDict() map[string]any {
	scale, tracker := s.ahead()
	return map[string]any{
		"scale": scale, "growth_factor": s.o.GrowthFactor, "backoff_factor": s.o.BackoffFactor,
		"growth_interval": s.o.GrowthInterval, "_growth_tracker": tracker,
	}
}

// LoadStateDict restores it, and forgets what was found since. A state that lacks a number is an error, and changes nothing.
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
	clear(s.marks)
	torch.NoGrad(func() {
		s.scale.Fill_(scale)
		s.tracker.Fill_(tracker)
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
