package optim

import (
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// state is what an optimizer keeps of a parameter, in the order of the rule's slots; nil where a slot is not in use.
// Steps are counted here; the tensor that Python counts them in, slot 0, is brought up to date when it is read.
type state struct {
	slots           []*torch.Tensor
	steps           float64
	stepTensorStale bool // slot 0 lacks the last steps
	stepsOnDevice   bool // slot 0 is authoritative: a graph was replayed, or found_inf left out a step
	gradChecked     bool // the layout of the first gradient was checked
}

// countedTensor returns the tensor of the steps, with the present count.
func (s *state) countedTensor() *torch.Tensor {
	if s.stepTensorStale {
		s.slots[0].Fill_(s.steps)
		s.stepTensorStale = false
	}
	return s.slots[0]
}

// Batch is the parameters of one group that have gradients, with their gradients and state: what Rule.Update changes.
// The lists have the same order, as foreach operations take them, and are valid during Update (the lists that
// torch.optim.Optimizer's _init_group fills).
type Batch struct {
	Params, Grads []*torch.Tensor // the parameters, and the gradient of each

	states   []*state
	lists    [][]*torch.Tensor
	names    []Slot
	foundInf *torch.Tensor // above 0: fused kernels change nothing; nil: they do not read it
	rate     *torch.Tensor // where fused kernels read the learning rate; nil: it is an argument
}

// State returns the slot of that name of all parameters. Where there is no tensor, since Init made none or the loaded
// state had none, it makes zeros like the parameter. It panics for a name that is not among the rule's slots.
func (b *Batch) State(name string) []*torch.Tensor { return b.slotOrZeros(b.slotIndex(name)) }

func (b *Batch) slotIndex(name string) int {
	for i := range b.names {
		if b.names[i].Name == name {
			return i
		}
	}
	known := make([]string, len(b.names))
	for i, s := range b.names {
		known[i] = s.Name
	}
	torch.Fail("optim.Batch.State", "there is no slot named %q: the rule's Slots are %q", name, known)
	return -1
}

// slot returns slot i of the state of all parameters.
func (b *Batch) slot(i int) []*torch.Tensor { return b.lists[i] }

// slotOrZeros is slot, with zeros made where there is nothing yet.
func (b *Batch) slotOrZeros(i int) []*torch.Tensor {
	list := b.lists[i]
	for k, t := range list {
		if t == nil {
			torch.NoScope(func() { list[k] = torch.ZerosLike(b.Params[k]) })
			b.states[k].slots[i] = list[k]
		}
	}
	return list
}

// subset returns the part of a batch whose indices keep reports.
func (b *Batch) subset(keep func(i int) bool) *Batch {
	part := &Batch{lists: make([][]*torch.Tensor, len(b.lists)), names: b.names, foundInf: b.foundInf, rate: b.rate}
	for i := range b.Params {
		if !keep(i) {
			continue
		}
		part.Params, part.Grads = append(part.Params, b.Params[i]), append(part.Grads, b.Grads[i])
		part.states = append(part.states, b.states[i])
		for k, list := range b.lists {
			part.lists[k] = append(part.lists[k], list[i])
		}
	}
	return part
}

// CountSteps adds a step to the count of every parameter, and calls f with the parameters that have had the same
// number of steps: mostly once, with all of them. The rule's first slot must be "step".
func (b *Batch) CountSteps(f func(steps float64, part *Batch)) {
	if len(b.names) == 0 || b.names[0].Name != "step" {
		torch.Fail("optim.Batch.CountSteps", "the rule's first slot is not \"step\": add optim.Slot{Name: \"step\"} to "+
			"its Slots")
	}
	for _, s := range b.states {
		if s.stepsOnDevice {
			s.steps, s.stepsOnDevice = s.slots[0].Item(), false
		}
		s.steps = float64(float32(s.steps) + 1) // a float32 in Python, which stops at 2^24
		s.stepTensorStale = true
	}
	split(b, func(i int) float64 { return b.states[i].steps }, f)
}

// split calls f with the parts of a batch whose parameters have the same key.
func split[K comparable](b *Batch, key func(i int) K, f func(k K, part *Batch)) {
	first := key(0)
	var others []K
	for i := range b.Params {
		if k := key(i); k != first && !slices.Contains(others, k) {
			others = append(others, k)
		}
	}
	if others == nil {
		f(first, b)
		return
	}
	for _, k := range append([]K{first}, others...) {
		f(k, b.subset(func(i int) bool { return key(i) == k }))
	}
}

// effectiveGrads returns the gradients, negated for Maximize, with the L2 term added if l2 is true and WeightDecay is
// not 0. fresh reports that they are copies, which may be modified.
func (b *Batch) effectiveGrads(g *ParamGroup, l2 bool) (grads []*torch.Tensor, fresh bool) {
	grads = b.Grads
	if g.Maximize {
		grads, fresh = aten.ForeachNeg(grads), true
	}
	if l2 && g.WeightDecay != 0 {
		if fresh {
			aten.ForeachAddList_(grads, b.Params, torch.Float(g.WeightDecay))
		} else {
			grads, fresh = aten.ForeachAddList(grads, b.Params, torch.Float(g.WeightDecay)), true
		}
	}
	return grads, fresh
}

// place is what all tensors of one call of a fused kernel have in common.
type place struct {
	device torch.Device
	dtype  torch.DType
}

// fused calls f with the parts of a batch that are on one device and of one type, as fused kernels take them; slot 0 of
// rules that count holds the number of this step.
func (b *Batch) fused(counted bool, f func(part *Batch)) {
	if counted {
		for _, s := range b.states {
			s.countedTensor()
		}
		aten.ForeachAddScalar_(b.slot(0), torch.Float(1))
		for _, s := range b.states {
			s.steps = float64(float32(s.steps) + 1)
			s.stepsOnDevice = s.stepsOnDevice || b.foundInf != nil
		}
	}
	split(b, func(i int) place { return place{b.Params[i].Device(), b.Params[i].DType()} },
		func(_ place, part *Batch) { f(part) })
	if counted && b.foundInf != nil {
		back := make([]*torch.Tensor, len(b.states))
		for i := range back {
			back[i] = b.foundInf
		}
		aten.ForeachSubList_(b.slot(0), back, torch.Float(1))
	}
}
