package metrics

import (
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// Ranks is the run whose ranks Compute combines: a *lite.Lite, or Over(group).
type Ranks interface {
	// Group returns the process group of all ranks.
	Group() *dist.Group
}

// Over returns the ranks of a process group, for programs that do not use package lite.
func Over(g *dist.Group) Ranks { return ranks{g} }

type ranks struct{ group *dist.Group }

func (r ranks) Group() *dist.Group { return r.group }

// Metric is what all metrics have in common (torchmetrics.Metric). Update and Forward, whose arguments depend on the metric, are
// methods of the types.
type Metric interface {
	// Compute returns the value of all updates since Reset, of all ranks, or of this rank alone with nil. All ranks call it.
	Compute(r Ranks) *torch.Tensor
	// Last returns the value of the last Forward, nil if there was none since Reset.
	Last() *torch.Tensor
	// UpdateCount returns the number of calls of Update and Forward since Reset.
	UpdateCount() int
	// Reset drops the state.
	Reset()
	// StateDict returns a copy of this rank's state.
	StateDict() map[string]any
	// LoadStateDict replaces the state by what StateDict returned. On an error the state stays as it was.
	LoadStateDict(state map[string]any) error
}

// Scorer is a Metric of predictions and targets.
type Scorer interface {
	Metric
	// Update adds a batch.
	Update(preds, target *torch.Tensor)
	// Forward adds a batch and returns its value.
	Forward(preds, target *torch.Tensor) *torch.Tensor
}

// reduction is how the states of two batches, or of ranks, become one.
type reduction uint8

const (
	sum reduction = iota
	greatest
	least
	cat // along dimension 0
)

// field is one tensor of a state.
type field struct {
	name   string
	reduce reduction
}

// base is the state of a metric, and what it has in common with others.
type base struct {
	op     string // "metrics.NewAccuracy", for errors
	fields []field
	zero   func() []*torch.Tensor                       // the state without a batch; nil: the value is NaN
	value  func(state []*torch.Tensor) *torch.Tensor    // the value of a state
	join   func(a, b []*torch.Tensor) []*torch.Tensor   // two states as one; nil: by the fields' reductions
	verify func(state []*torch.Tensor) (problem string) // what was wrong with the values of a state; nil: nothing can be

	state   []*torch.Tensor // one a field, nil before the first batch
	rest    [][]*torch.Tensor
	updates int
	last    *torch.Tensor
}

// add merges the state of a batch into the metric's, and returns the batch's value if it is wanted.
func (b *base) add(method string, batch func() []*torch.Tensor, wanted bool) *torch.Tensor {
	return torch.NoGradOf(func() *torch.Tensor {
		return torch.ScopeOf(func() *torch.Tensor {
			s := batch()
			if b.verify != nil && onCPU(s) {
				if problem := b.verify(s); problem != "" {
					torch.Fail(b.op+"."+method, "%s", problem)
				}
			}
			var value *torch.Tensor
			if wanted {
				value = squeezed(b.value(s))
			}
			b.merge(s)
			b.updates++
			if wanted {
				b.last.Release()
				b.last = value.Clone().Keep()
			}
			return value
		})
	})
}

// merge adds the state of a batch. Tensors of fields that are concatenated wait in b.rest until they are needed.
func (b *base) merge(s []*torch.Tensor) {
	if b.state == nil {
		for i, t := range s {
			s[i] = b.fields[i].first(t).Keep()
		}
		b.state = s
		return
	}
	b.move(s)
	if b.join != nil {
		b.replace(b.join(b.state, s))
		return
	}
	if b.lists() {
		for i := range s {
			s[i] = s[i].Clone().Keep()
		}
		b.rest = append(b.rest, s)
		return
	}
	for i, t := range s {
		b.fields[i].into(&b.state[i], t)
	}
}

// first returns the state after one batch: a tensor of its own, in float32 or more.
func (f field) first(t *torch.Tensor) *torch.Tensor {
	if f.reduce == sum && t.DType().IsFloating() {
		return wide(t).AddScalar(0) // 0 + -0 is 0
	}
	return t.Clone()
}

// into adds the state of a batch to that of a field.
func (f field) into(state **torch.Tensor, t *torch.Tensor) {
	old := *state
	if t.DType() == torch.Float64 && old.DType() == torch.Float32 {
		*state = old.To(torch.Float64).Keep()
		old.Release()
		old = *state
	}
	switch f.reduce {
	case greatest:
		*state = old.Maximum(t.To(old.DType())).Keep()
		old.Release()
	case least:
		*state = old.Minimum(t.To(old.DType())).Keep()
		old.Release()
	default:
		old.Add_(t)
	}
}

// lists reports whether the state is lists of batches.
func (b *base) lists() bool { return b.fields[0].reduce == cat }

// replace takes tensors as the state.
func (b *base) replace(s []*torch.Tensor) {
	old := b.state
	b.state = make([]*torch.Tensor, len(s))
	for i, t := range s {
		b.state[i] = t.Clone().Keep()
	}
	releaseAll(old)
}

// move takes the state to the device of a batch.
func (b *base) move(s []*torch.Tensor) {
	d := s[0].Device()
	if b.state[0].Device() == d {
		return
	}
	b.flatten()
	for i, old := range b.state {
		b.state[i] = old.To(d).Keep()
		old.Release()
	}
}

// flatten joins the batches of fields that are concatenated.
func (b *base) flatten() {
	if len(b.rest) == 0 {
		return
	}
	all := append([][]*torch.Tensor{b.state}, b.rest...)
	joined := torch.NoGradOf(func() []*torch.Tensor {
		return torch.ScopeOf(func() []*torch.Tensor { return b.combine(all) })
	})
	for i := range joined {
		joined[i] = joined[i].Keep()
	}
	for _, s := range all {
		releaseAll(s)
	}
	b.state, b.rest = joined, nil
}

// combine makes one state of those of several ranks, in their order.
func (b *base) combine(states [][]*torch.Tensor) []*torch.Tensor {
	if len(states) == 1 {
		return states[0]
	}
	if b.join != nil {
		s := states[0]
		for _, next := range states[1:] {
			s = b.join(s, next)
		}
		return s
	}
	out := make([]*torch.Tensor, len(b.fields))
	for i, f := range b.fields {
		parts := make([]*torch.Tensor, len(states))
		for j, s := range states {
			parts[j] = s[i]
		}
		out[i] = f.combine(parts)
	}
	return out
}

func (f field) combine(parts []*torch.Tensor) *torch.Tensor {
	for _, p := range parts {
		if p.DType() == torch.Float64 { // of one rank: of all
			for i := range parts {
				parts[i] = parts[i].To(torch.Float64)
			}
			break
		}
	}
	switch f.reduce {
	case cat:
		return torch.Cat(parts, 0)
	case greatest:
		return torch.Stack(parts, 0).AMax(0)
	case least:
		return torch.Stack(parts, 0).AMin(0)
	}
	return torch.Stack(parts, 0).Sum(0)
}

// Compute returns the value of all updates since Reset, of all ranks, or of this rank alone with nil. All ranks call it.
func (b *base) Compute(r Ranks) *torch.Tensor {
	return torch.NoGradOf(func() *torch.Tensor {
		return torch.ScopeOf(func() *torch.Tensor { return b.finish(gather(r, []*base{b})[0]) })
	})
}

// finish returns the value of the states of ranks; a rank without a batch has none.
func (b *base) finish(states [][]*torch.Tensor) *torch.Tensor {
	var some [][]*torch.Tensor
	for _, s := range states {
		if len(s) == len(b.fields) {
			some = append(some, s)
		} else if len(s) > 0 {
			torch.Fail(b.op+".Compute", "a rank has a state of %d tensors, this one of %d: the ranks compute different metrics", len(s), len(b.fields))
		}
	}
	var s []*torch.Tensor
	switch {
	case len(some) > 0:
		s = b.combine(some)
	case b.zero != nil:
		s = b.zero()
	default:
		return torch.Options{DType: torch.Float32}.Full(nan)
	}
	if b.verify != nil {
		if problem := b.verify(s); problem != "" {
			torch.Fail(b.op+".Compute", "%s", problem)
		}
	}
	return squeezed(b.value(s))
}

// gather returns the states of the metrics on all ranks, in one exchange: of each metric those of the ranks, in their order.
func gather(r Ranks, list []*base) [][][]*torch.Tensor {
	out := make([][][]*torch.Tensor, len(list))
	mine := make([][]*torch.Tensor, len(list))
	for i, b := range list {
		b.flatten()
		mine[i] = b.state
		out[i] = [][]*torch.Tensor{b.state}
	}
	g := groupOf(r)
	if g == nil || g.Size() == 1 {
		return out
	}
	all := dist.AllGatherValues(g, mine)
	for i, b := range list {
		d := b.device(r)
		out[i] = make([][]*torch.Tensor, len(all))
		for rank, states := range all {
			if len(states) != len(list) {
				torch.Fail(b.op+".Compute", "rank %d computes %d metrics at once, this one %d: all ranks make the same calls", rank, len(states), len(list))
			}
			for _, t := range states[i] {
				out[i][rank] = append(out[i][rank], t.To(d))
			}
		}
	}
	return out
}

// device is where the value is computed: the state's device, else the rank's.
func (b *base) device(r Ranks) torch.Device {
	if b.state != nil {
		return b.state[0].Device()
	}
	if l, ok := r.(interface{ Device() torch.Device }); ok {
		return l.Device()
	}
	return torch.Device{Type: torch.CPUType}
}

// Last returns the value of the last Forward, nil if there was none since Reset.
func (b *base) Last() *torch.Tensor { return b.last }

// UpdateCount returns the number of calls of Update and Forward since Reset.
func (b *base) UpdateCount() int { return b.updates }

// Reset drops the state.
func (b *base) Reset() {
	releaseAll(b.state)
	for _, s := range b.rest {
		releaseAll(s)
	}
	b.last.Release()
	b.state, b.rest, b.last, b.updates = nil, nil, nil, 0
}
