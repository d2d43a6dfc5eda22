package shard

import (
	"fmt"
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// shardOf describes rows as a part of the whole.
func (p *param) shardOf(rows *torch.Tensor) *serial.Shard {
	offsets := make([]int, len(p.shape))
	if len(p.shape) == 0 {
		return &serial.Shard{Tensor: rows.View(), Offsets: offsets, Shape: []int{}}
	}
	offsets[0] = p.from
	return &serial.Shard{Tensor: rows, Offsets: offsets, Shape: slices.Clone(p.shape)}
}

// gatherRows makes one tensor on the CPU of all ranks' rows, where keep is true.
func (p *param) gatherRows(rows *torch.Tensor, keep bool) (whole *torch.Tensor) {
	g := p.u.m.e.g
	torch.NoGrad(func() {
		torch.Scope(func() {
			o := torch.Options{DType: rows.DType(), Device: p.raw.Device()}
			chunk := o.Zeros(p.with(p.layout.chunk)...)
			p.layout.own(chunk).Copy_(rows.View(p.with(p.to - p.from)...))
			padded := o.Empty(p.with(p.chunk_())...)
			g.AllGatherInto(padded, chunk)
			if keep {
				torch.Outside(func() { whole = p.whole(padded).To(torch.CPU).Clone() })
			}
		})
	})
	return whole
}

// StateDict returns the module's whole state, on the CPU, on rank 0, or on all ranks with everywhere; else nil. It is gathered
// tensor by tensor. All ranks call it.
func (m *Module) StateDict(everywhere bool) (sd *torch.StateDict, err error) {
	keep := everywhere || m.e.g.Rank() == 0
	err = torch.Try(func() {
		whole := map[*param]*torch.Tensor{}
		sd = &torch.StateDict{}
		m.eachState(func(name string, p *param, t *torch.Tensor) {
			switch {
			case p == nil && keep:
				sd.Set(name, t)
			case p == nil:
			default:
				if _, there := whole[p]; !there {
					rows := p.own
					if p.empty() {
						whole[p] = t
					} else {
						whole[p] = p.gatherRows(rows, keep)
					}
				}
				if keep {
					sd.Set(name, whole[p])
				}
			}
		})
	})
	if !keep {
		sd = nil
	}
	return sd, err
}

// Shards returns the module's state for a checkpoint of which each rank writes its part: a *serial.Shard of each parameter that
// it has rows of, and buffers and other parameters as they are.
func (m *Module) Shards() map[string]any {
	state := map[string]any{}
	m.eachState(func(name string, p *param, t *torch.Tensor) {
		switch {
		case p == nil || p.empty():
			state[name] = t
		case p.to > p.from:
			state[name] = p.shardOf(p.own)
		}
	})
	return state
}

// eachState walks the module's state; p is nil for what is not cut.
func (m *Module) eachState(f func(name string, p *param, t *torch.Tensor)) {
	owner := map[*torch.Tensor]*param{}
	for _, p := range m.params {
		owner[p.t] = p
	}
	keys := map[string]*param{}
	for name, p := range nn.NamedParameters(m.m) {
		keys[name] = owner[p.Tensor]
	}
	for name, t := range nn.StateDict(m.m).All() {
		p, first := keys[name]
		if !first { // a buffer, or a further name of a shared parameter
			for _, q := range m.params {
				if q.t.SameStorage(t) && !q.empty() {
					p = q
				}
			}
		}
		f(name, p, t)
	}
}

// LoadStateDict copies a whole state into this rank's rows, and into buffers. What does not fit is an error, and changes nothing.
// Each rank gives the same state.
func (m *Module) LoadStateDict(sd *torch.StateDict, o nn.LoadOptions) error {
	whole := map[string]*torch.Tensor{} // on meta: names and shapes as the module has them, uncut
	pairs := [][2]*torch.Tensor{}
	misfit := &nn.StateDictError{Model: fmt.Sprintf("%T", m.m)}
	err := torch.Try(func() {
		torch.NoGrad(func() {
			m.eachState(func(name string, p *param, t *torch.Tensor) {
				whole[name] = t
				from, there := sd.Get(name)
				want := t.Shape()
				if p != nil {
					want = p.shape
				}
				switch {
				case !there:
					misfit.Missing = append(misfit.Missing, name)
				case !slices.Equal(from.Shape(), want) && !(len(want) == 0 && slices.Equal(from.Shape(), []int{1})):
					misfit.Mismatched = append(misfit.Mismatched, nn.Mismatch{Key: name, Saved: from.Shape(), Want: want})
				case p == nil || p.empty():
					pairs = append(pairs, [2]*torch.Tensor{t, from.View(want...)})
				default:
					pairs = append(pairs, [2]*torch.Tensor{p.own, p.cut(from.Contiguous())})
				}
			})
		})
	})
	if err != nil {
		return err
	}
	for _, name := range sd.Keys() {
		if whole[name] == nil {
			misfit.Unexpected = append(misfit.Unexpected, name)
		}
	}
	if o.Keys != nil {
		*o.Keys = nn.IncompatibleKeys{Missing: misfit.Missing, Unexpected: misfit.Unexpected}
	}
	if len(misfit.Mismatched) > 0 || !o.NonStrict && len(misfit.Missing)+len(misfit.Unexpected) > 0 {
		return misfit
	}
	return torch.Try(func() {
		m.e.asShards(m.tensors(), func() bool {
			torch.NoGrad(func() {
				for _, pair := range pairs {
					pair[0].Copy_(pair[1])
				}
			})
			return true
		})
	})
}

// cutState cuts the state of an optimizer, in Python's layout and whole, as the parameters are; nil: there is nothing to cut.
func (e *Engine) cutState(o optim.Optimizer, d map[string]any) (map[string]any, error) {
	states, ok := d["state"].(map[int]any)
	if !ok {
		if s, none := d["state"].(map[string]any); none && len(s) == 0 {
			return nil, nil
		}
		return nil, fmt.Errorf("shard: want the state of an optimizer by numbers of parameters, found a %T", d["state"])
	}
	cut := map[int]any{}
	changed := false
	tensors := o.Tensors()
	for i, v := range states {
		entry, ok := v.(map[string]any)
		if !ok || i < 0 || i >= len(tensors) {
			return nil, fmt.Errorf("shard: the state of parameter %d is a %T, want a dictionary of one of %d", i, v, len(tensors))
		}
		p := e.owner[tensors[i]]
		slots := map[string]any{}
		for name, x := range entry {
			t, tensor := x.(*torch.Tensor)
			if tensor && p != nil && !p.empty() && name != "step" && slices.Equal(t.Shape(), p.shape) && len(p.shape) > 0 {
				torch.NoGrad(func() { x = p.cut(t.Contiguous()).Clone() })
				changed = true
			}
			slots[name] = x
		}
		cut[i] = slots
	}
	if !changed {
		return nil, nil
	}
	return map[string]any{"state": cut, "param_groups": d["param_groups"]}, nil
}

// OptimizerState returns an optimizer's state in Python's layout with whole tensors, on the CPU, on rank 0, or on all ranks with
// everywhere; else nil. It is gathered tensor by tensor. All ranks call it.
func (e *Engine) OptimizerState(o optim.Optimizer, everywhere bool) (state map[string]any, err error) {
	keep := everywhere || e.g.Rank() == 0
	err = torch.Try(func() {
		state = e.mapState(o, func(p *param, rows *torch.Tensor) any { return p.gatherRows(rows, keep) })
	})
	if !keep {
		state = nil
	}
	return state, err
}

// OptimizerShards returns an optimizer's state in Python's layout, with a *serial.Shard in the place of each tensor that is cut:
// the whole has the parameter's shape. Tensors that this rank has no rows of are left out.
func (e *Engine) OptimizerShards(o optim.Optimizer) map[string]any {
	return e.mapState(o, func(p *param, rows *torch.Tensor) any {
		if p.to == p.from {
			return nil
		}
		return p.shardOf(rows)
	})
}

// mapState is an optimizer's state with f's result for each tensor that is cut, in the order of parameters and names; nil leaves
// it out.
func (e *Engine) mapState(o optim.Optimizer, f func(p *param, rows *torch.Tensor) any) map[string]any {
	d := o.StateDict()
	states, _ := d["state"].(map[int]any)
	out := map[int]any{}
	for i, t := range o.Tensors() {
		entry, ok := states[i].(map[string]any)
		if !ok {
			continue
		}
		p := e.owner[t]
		slots := map[string]any{}
		for _, name := range sortedKeys(entry) {
			x, tensor := entry[name].(*torch.Tensor)
			if tensor && p != nil && !p.empty() && name != "step" && slices.Equal(x.Shape(), p.with(p.to-p.from)) {
				if v := f(p, x); v != nil {
					slots[name] = v
				}
				continue
			}
			slots[name] = entry[name]
		}
		out[i] = slots
	}
	d["state"] = out
	return d
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// LoadOptimizer fills an optimizer from a whole state in Python's layout, as StateDict of an optimizer without shards returns it,
// or with this rank's rows. Each rank gives the same state, or its own rows.
func (e *Engine) LoadOptimizer(o optim.Optimizer, state map[string]any) error {
	cut, err := e.cutState(o, state)
	if err != nil {
		return err
	}
	if cut == nil {
		cut = state
	}
	e.asShards(o.Tensors(), func() bool {
		err = o.LoadStateDict(cut)
		return false
	})
	return err
}
