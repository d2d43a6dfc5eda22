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
	offsets, _, shape := p.part()
	return &serial.Shard{Tensor: rows, Offsets: offsets, Shape: shape}
}

// part is where this rank's rows lie; a tensor without dimensions is one of one row.
func (p *param) part() (offsets, sizes, shape []int) {
	sizes, shape = p.with(p.to-p.from), p.with(p.rows)
	offsets = make([]int, len(shape))
	offsets[0] = p.from
	return offsets, sizes, shape
}

// Part returns this rank's rows of a parameter that was cut, by the parameter or by a tensor that shares its memory; nil: it was
// not cut. What is written into the rows counts after Loaded. A rank without rows gets an empty tensor.
func (e *Engine) Part(t *torch.Tensor) *serial.Shard {
	if p := e.owner[t]; p != nil && !p.empty() {
		return p.shardOf(p.own)
	}
	for _, m := range e.modules {
		for _, p := range m.params {
			if !p.empty() && (p.chunk.SameStorage(t) || p.raw.SameStorage(t)) {
				return p.shardOf(p.own)
			}
		}
	}
	return nil
}

// Loaded ends the writing into Part's rows: what was gathered before counts no more. All ranks call it.
func (e *Engine) Loaded() {
	for _, m := range e.modules {
		e.asShards(m.tensors(), func() bool { return true })
	}
}

// OptimizerPart returns where this rank's rows of the state of an optimizer's parameter lie, by the parameter's number; nil: it
// was not cut.
func (e *Engine) OptimizerPart(o optim.Optimizer, number int) (offsets, sizes, shape []int) {
	if tensors := o.Tensors(); number >= 0 && number < len(tensors) {
		if p := e.owner[tensors[number]]; p != nil && !p.empty() {
			return p.part()
		}
	}
	return nil, nil, nil
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
				torch.NoScope(func() { whole = p.whole(padded).To(torch.CPU).Clone() })
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
			if s, rows := x.(*serial.Shard); rows {
				slots[name], changed = s.Tensor, true
				continue
			}
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

// OptimizerShards returns an optimizer's state in Python's layout, with a *serial.Shard in the place of each tensor that is cut.
func (e *Engine) OptimizerShards(o optim.Optimizer) map[string]any {
	return e.mapState(o, func(p *param, rows *torch.Tensor) any { return p.shardOf(rows) })
}

// mapState is an optimizer's state with f's result for each tensor that is cut, in the order of parameters and names.
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
				slots[name] = f(p, x)
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
// or as OptimizerShards does. Each rank gives the same state, or its own rows.
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
