package optim

import (
	"fmt"
	"math"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Averager returns the new average from the average so far, of n values, and a value (avg_fn of
// torch.optim.swa_utils.AveragedModel).
type Averager func(average, value *torch.Tensor, n int) *torch.Tensor

// SWA is the mean of all values (torch.optim.swa_utils.get_swa_avg_fn).
func SWA() Averager {
	return func(average, value *torch.Tensor, n int) *torch.Tensor {
		if average.Device() != torch.CPU { // as PyTorch's foreach kernels
			return average.Lerp(value, 1/float64(n+1))
		}
		return average.Add(value.Sub(average).DivScalar(float64(n + 1)))
	}
}

// EMA is the exponential moving average, which keeps decay of the average at each value
// (torch.optim.swa_utils.get_ema_avg_fn). decay is from 0 to 1; others panic.
func EMA(decay float64) Averager {
	if !(decay >= 0 && decay <= 1) {
		torch.Fail("optim.EMA", "decay is %v: want a number from 0 to 1", decay)
	}
	return func(average, value *torch.Tensor, _ int) *torch.Tensor {
		return average.MulScalar(decay).Add(value.MulScalar(1 - decay))
	}
}

// AveragedModelOptions are the optional arguments of NewAveragedModel.
type AveragedModelOptions struct {
	// Average is how parameters are averaged (avg_fn). nil: SWA().
	Average Averager
	// Buffers averages buffers too (use_buffers); whole numbers among them are cut. Else buffers are copied from the
	// model.
	Buffers bool
}

// AveragedModel is a copy of a model whose parameters are averages of the model's over its training
// (torch.optim.swa_utils.AveragedModel).
type AveragedModel[M nn.Module] struct {
	// Module is the copy, with the averages.
	Module M
	o      AveragedModelOptions
	n      int
}

// NewAveragedModel makes a copy of a model, on the device where it is.
func NewAveragedModel[M nn.Module](m M, opts ...AveragedModelOptions) *AveragedModel[M] {
	o := one("AveragedModel", opts)
	if o.Average == nil {
		o.Average = SWA()
	}
	a := &AveragedModel[M]{Module: nn.Clone(m), o: o}
	nn.RequiresGrad(a.Module, false)
	return a
}

// Updates returns how often Update was called (n_averaged).
func (a *AveragedModel[M]) Updates() int { return a.n }

// Update takes the model's parameters into the averages (update_parameters). The first one copies them. A model with
// other parameters panics.
func (a *AveragedModel[M]) Update(m M) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			a.each("optim.AveragedModel.Update", nn.NamedParameters(a.Module), nn.NamedParameters(m), true)
			a.eachBuffer(m)
		})
	})
	a.n++
}

func (a *AveragedModel[M]) each(op string, own, from func(yield func(string, nn.Parameter) bool), averaged bool) {
	values := map[string]*torch.Tensor{}
	for name, p := range from {
		values[name] = p.Tensor
	}
	for name, p := range own {
		v := values[name]
		if v == nil {
			torch.Fail(op, "the model has no parameter %s", name)
		}
		a.take(p.Tensor, v, averaged)
	}
}

func (a *AveragedModel[M]) eachBuffer(m M) {
	values := map[string]*torch.Tensor{}
	for name, b := range nn.NamedBuffers(m) {
		values[name] = b.Tensor
	}
	for name, b := range nn.NamedBuffers(a.Module) {
		v := values[name]
		if v == nil {
			torch.Fail("optim.AveragedModel.Update", "the model has no buffer %s", name)
		}
		a.take(b.Tensor, v, a.o.Buffers)
	}
}

// take averages one tensor, or copies it.
func (a *AveragedModel[M]) take(average, v *torch.Tensor, averaged bool) {
	average = average.Detach()
	if v = v.Detach().To(average.Device()); averaged && a.n > 0 {
		from := average
		if d := average.DType(); !d.IsFloating() && !d.IsComplex() {
			from, v = average.To(torch.Float32), v.To(torch.Float32)
		}
		v = a.o.Average(from, v, a.n)
	}
	average.Copy_(v)
}

// StateDict returns the copy's state under module. and the number of updates as n_averaged.
func (a *AveragedModel[M]) StateDict() *torch.StateDict {
	sd := &torch.StateDict{}
	sd.Set("n_averaged", torch.Options{DType: torch.Int64}.Full(float64(a.n)))
	for name, t := range nn.StateDict(a.Module).All() {
		sd.Set("module."+name, t)
	}
	return sd
}

// LoadStateDict takes a state of StateDict's or of Python's AveragedModel. On an error nothing is changed.
func (a *AveragedModel[M]) LoadStateDict(sd *torch.StateDict, opts ...nn.LoadOptions) error {
	n, ok := sd.Get("n_averaged")
	if !ok || n.Numel() != 1 {
		return fmt.Errorf("optim: AveragedModel: the state has no n_averaged: it is of another model; load it into Module")
	}
	inner := &torch.StateDict{}
	for name, t := range sd.All() {
		if key, ok := strings.CutPrefix(name, "module."); ok {
			inner.Set(key, t)
		}
	}
	if err := nn.LoadStateDict(a.Module, inner, opts...); err != nil {
		return err
	}
	a.n = int(n.Item())
	return nil
}

// SWALROptions are NewSWALR's optional arguments.
type SWALROptions struct {
	LRs          []float64 // for each group, in the place of the constructor's
	AnnealEpochs *int      // steps on the way; nil: 10
	Linear       bool      // anneal_strategy "linear" in the place of "cos"
}

// SWALR brings the rates to one value and leaves them there, for averaging weights (torch.optim.swa_utils.SWALR).
type SWALR struct {
	LRScheduler
	strategy string
	epochs   int
}

// NewSWALR makes an SWALR that ends at the rate lr (torch.optim.swa_utils.SWALR). It panics if AnnealEpochs is
// negative, or LRs has another length than there are groups.
func NewSWALR(o Optimizer, lr float64, opts ...SWALROptions) *SWALR {
	given := one("SWALR", opts)
	s := &SWALR{strategy: "cos", epochs: orElse(given.AnnealEpochs, 10)}
	if s.epochs < 0 {
		torch.Fail("optim.NewSWALR", "AnnealEpochs is %d: want 0 or more", s.epochs)
	}
	if given.Linear {
		s.strategy = "linear"
	}
	for i, v := range perGroup("SWALR", "rates", o, given.LRs, lr) {
		o.ParamGroups()[i].SWALR = new(v)
	}
	s.start("SWALR", o, s.next, setting{"_anneal_strategy", &s.strategy}, setting{"anneal_epochs", &s.epochs})
	return s
}

func (s *SWALR) next() []float64 {
	step := s.stepCount - 1
	if s.epochs == 0 {
		step = max(1, step)
	}
	before, now := s.weight(step-1), s.weight(step)
	return s.each(func(_ int, g *ParamGroup) float64 {
		first := *g.SWALR
		if before != 1 {
			first = (g.LR - before**g.SWALR) / (1 - before)
		}
		return *g.SWALR*now + first*(1-now)
	})
}

// weight is the last rate's share after a number of steps.
func (s *SWALR) weight(step int) float64 {
	t := max(0, min(1, float64(step)/float64(max(1, s.epochs))))
	if s.strategy == "linear" {
		return t
	}
	return (1 - cos(math.Pi*t)) / 2
}
