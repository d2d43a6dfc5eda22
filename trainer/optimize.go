package trainer

import (
	"errors"
	"fmt"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// optimize runs a batch's step, forward and backward, and that of the optimizer where the accumulation is complete.
func (f *fit[B]) optimize() (loss *torch.Tensor, err error) {
	t := f.t
	if t.optimizer == nil {
		return f.manual(), nil
	}
	if t.accumulating() {
		return f.accumulate()
	}
	t.steps.ready()
	if s := t.hooks.step; s != nil {
		s.OptimizerStep(t, t.optimizer, f.closure)
	} else {
		t.optimizer.StepFunc(f.closure)
	}
	t.steps.completed()
	loss, f.loss = f.loss, nil
	return loss, nil
}

// accumulate adds a batch's gradients, which stay on this rank.
func (f *fit[B]) accumulate() (loss *torch.Tensor, err error) {
	f.t.l.NoBackwardSync(f.model, true, func() { loss, err = f.forwardBackward() })
	return loss, err
}

// evaluate is the closure of the optimizer's step: the loss, its gradients and their clipping.
func (f *fit[B]) evaluate() *torch.Tensor {
	loss, err := f.forwardBackward()
	f.t.must(err)
	f.t.must(f.t.beforeStep(f.t.optimizer))
	f.loss = loss
	return loss
}

// beforeStep calls the hook and clips.
func (t *Trainer) beforeStep(o optim.Optimizer) error {
	if len(t.hooks.beforeStep.calls) > 0 {
		t.l.Unscale(o)
	}
	if err := t.hooks.beforeStep.call(t, o); err != nil {
		return err
	}
	switch c := t.hooks.clip; {
	case c != nil:
		c.ConfigureGradientClipping(t, o, t.o.GradientClipVal, t.o.GradientClipAlgorithm)
	case t.o.GradientClipVal > 0:
		t.ClipGradients(o, t.o.GradientClipVal, t.o.GradientClipAlgorithm)
	}
	return nil
}

// ClipGradients limits the gradients of an optimizer's parameters by "norm" or by "value"
// (LightningModule.clip_gradients).
func (t *Trainer) ClipGradients(o optim.Optimizer, val float64, algorithm string) {
	switch algorithm {
	case "", "norm":
		t.l.ClipGradNorm(t.model, o, val)
	case "value":
		t.l.ClipGradValue(t.model, o, val)
	default:
		torch.Fail("trainer.ClipGradients", "the algorithm is %q: want \"norm\" or \"value\"", algorithm)
	}
}

// forwardBackward is the closure of automatic optimization: TrainingStep, ZeroGrad at the beginning of an accumulation,
// Backward.
func (f *fit[B]) forwardBackward() (loss *torch.Tensor, err error) {
	t := f.t
	loss = f.callStep()
	if (t.batches.current.ready-1)%t.accumulate == 0 {
		if err := f.zeroGrad(); err != nil {
			return nil, err
		}
	}
	if loss == nil {
		if t.l.WorldSize() > 1 {
			return nil, fmt.Errorf("trainer: %T.TrainingStep returned nil, with %d ranks: others wait for the gradients of this one; "+
				"return a loss of zero instead", f.m, t.l.WorldSize())
		}
		return nil, nil
	}
	scaled := loss
	if t.accumulate > 1 {
		scaled = loss.DivScalar(float64(t.accumulate))
	}
	if err := t.hooks.beforeBackward.call(t, scaled); err != nil {
		return nil, err
	}
	t.l.Backward(scaled)
	if len(f.batchHooks.end.calls) > 0 {
		loss = loss.Detach()
	}
	return loss, t.hooks.afterBackward.call(t)
}

// callStep runs TrainingStep.
func (f *fit[B]) callStep() *torch.Tensor {
	t := f.t
	where, running := t.where, t.running
	t.where, t.running = f.rules, f.name
	loss := f.step(t, f.batch, t.BatchIdx())
	if loss != nil && t.optimizer != nil && loss.Numel() != 1 {
		t.Fail(fmt.Errorf("it returned a tensor of shape %v: want a loss of one element, such as its Mean()", loss.Shape()))
	}
	t.where, t.running = where, running
	return loss
}

func (f *fit[B]) zeroGrad() error {
	t := f.t
	t.zeroGrads.ready()
	if err := t.hooks.beforeZeroGrad.call(t, t.optimizer); err != nil {
		return err
	}
	t.zeroGrads.started()
	if z := t.hooks.zeroGrad; z != nil {
		z.OptimizerZeroGrad(t, t.optimizer)
	} else {
		t.optimizer.ZeroGrad()
	}
	t.zeroGrads.completed()
	return nil
}

// manual runs a TrainingStep that steps by itself.
func (f *fit[B]) manual() *torch.Tensor {
	t := f.t
	t.stepped = false
	var loss *torch.Tensor
	t.l.NoBackwardSync(f.model, t.l.WorldSize() > 1 && !t.l.Sharded(), func() { loss = f.callStep() })
	if t.stepped {
		t.manualSteps.ready()
		t.manualSteps.completed()
	}
	if loss != nil {
		loss = loss.Detach()
	}
	return loss
}

// Backward runs the backward pass of a loss in manual optimization (manual_backward).
func (t *Trainer) Backward(loss *torch.Tensor, opts ...torch.BackwardOptions) {
	t.must(t.hooks.beforeBackward.call(t, loss))
	t.l.Backward(loss, opts...)
	t.must(t.hooks.afterBackward.call(t))
}

// Step steps an optimizer in manual optimization (LightningOptimizer.step).
func (t *Trainer) Step(o optim.Optimizer) {
	if t.optimizer != nil {
		torch.Fail("trainer.Step", "the Trainer steps the optimizer: return it as Optimization.Manual for a TrainingStep that does")
	}
	t.average(o)
	t.must(t.beforeStep(o))
	o.Step()
	t.stepped = true
	t.manualUpdates++
}

// Toggle runs f while of the optimizers' parameters only those of o require gradients (toggle_optimizer).
func (t *Trainer) Toggle(o optim.Optimizer, f func()) {
	own := map[*torch.Tensor]bool{}
	for _, p := range o.Tensors() {
		own[p] = true
	}
	var off []*torch.Tensor
	for _, other := range t.Optimizers() {
		for _, p := range other.Tensors() {
			if !own[p] && p.RequiresGrad() {
				own[p] = true
				off = append(off, p)
			}
		}
	}
	for _, p := range off {
		p.RequiresGrad_(false)
	}
	defer func() {
		for _, p := range off {
			p.RequiresGrad_(true)
		}
	}()
	f()
}

// setOptimization checks what ConfigureOptimizers returned.
func (t *Trainer) setOptimization(m nn.Module, c Optimization) error {
	name := fmt.Sprintf("trainer: %T.ConfigureOptimizers", m)
	switch {
	case c.Optimizer != nil && len(c.Manual) > 0:
		return errors.New(name + " returned an Optimizer and Manual ones: want one of them")
	case c.Optimizer == nil && len(c.Manual) == 0:
		return errors.New(name + " returned no optimizer: want Optimizer, which the Trainer steps, or Manual ones")
	case c.Manual != nil && t.o.AccumulateGradBatches > 1:
		return errors.New(name + " returned Manual optimizers, and AccumulateGradBatches is set: TrainingStep accumulates by itself")
	case c.Manual != nil && t.o.GradientClipVal > 0:
		return errors.New(name + " returned Manual optimizers, and GradientClipVal is set: TrainingStep calls t.ClipGradients")
	}
	for i, o := range c.all() {
		if isNil(o) {
			return fmt.Errorf("%s returned a nil optimizer, number %d", name, i)
		}
	}
	for i := range c.Schedules {
		if err := c.Schedules[i].check(t, name, i); err != nil {
			return err
		}
	}
	if t.finding {
		c.Schedules = nil
	}
	t.optimizer, t.manual, t.schedules = c.Optimizer, c.Manual, c.Schedules
	return nil
}

// average averages an optimizer's gradients over the ranks: in manual optimization the backward passes leave them on each
// rank, as what one loss makes of the gradients of another optimizer's parameters is not used.
func (t *Trainer) average(o optim.Optimizer) {
	if t.l.WorldSize() == 1 || t.l.Sharded() { // a sharded strategy has combined them
		return
	}
	for _, p := range o.Tensors() {
		if g := p.Grad(); g != nil {
			t.l.AllReduce(g)
		}
	}
}
