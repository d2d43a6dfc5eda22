package zero

import (
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// flat is vectors, one after the other.
type flat struct {
	list []*ptfile.Tensor
	n    int
}

func (f *flat) add(t *ptfile.Tensor) {
	f.list = append(f.list, t)
	f.n += t.Elements()
}

// cut adds n elements from the place from on, which must be there.
func (f *flat) cut(p *pieces, from, n int) {
	for _, t := range f.list {
		size := t.Elements()
		if from < size && n > 0 {
			take := min(n, size-from)
			p.take(t, from, take)
			n -= take
			from += take
		}
		from -= size
	}
}

// columns are the vectors of one group on all ranks, by name: the weights under "", the optimizer's states under theirs.
type columns struct {
	names  []string
	ranks  map[string][]*ptfile.Tensor
	others *pickle.Dict // states that are no vectors of this size: the step
}

// group reads the vectors of group (stage 3: sub-group) i.
func (r *reader) group(i int) (columns, error) {
	c := columns{names: []string{""}, ranks: map[string][]*ptfile.Tensor{}, others: pickle.NewDict(pickle.PlainDict)}
	for rank := range r.parts {
		c.ranks[""] = append(c.ranks[""], r.weights[rank][i])
	}
	first, ok, err := r.entry(0, i)
	if err != nil || !ok {
		return c, err
	}
	for k, v := range first.All() {
		name, isText := k.(string)
		if !isText || name == "" {
			return c, r.parts[0].fail("a state has the name %s: want text", pickle.Describe(k))
		}
		if t, isTensor := v.(*ptfile.Tensor); !isTensor || len(t.Shape) == 0 {
			if err := c.others.Set(name, v); err != nil {
				return c, r.parts[0].fail("%w", err)
			}
			continue
		}
		c.names = append(c.names, name)
		for rank, p := range r.parts {
			e, ok, err := r.entry(rank, i)
			if err != nil {
				return c, err
			}
			if !ok {
				return c, p.fail("it has no state of group %d, and rank 0's file has one", i)
			}
			v, _ := e.Get(name)
			t, err := vector(v)
			if err != nil {
				return c, p.fail("state %d, %s: %w", i, name, err)
			}
			c.ranks[name] = append(c.ranks[name], t)
		}
	}
	return c, c.check(r, i)
}

// check compares sizes and types over the ranks.
func (c columns) check(r *reader, i int) error {
	for _, name := range c.names {
		for rank, t := range c.ranks[name] {
			if w := c.ranks[""][rank].Elements(); t.Elements() < w || r.c.Stage == 3 && t.Elements() != w {
				return r.parts[rank].fail("state %d, %s has %d elements, and the rank's weights %d", i, name, t.Elements(), w)
			}
			if first := c.ranks[name][0]; t.DType != first.DType {
				return r.parts[rank].fail("group %d is %s, and on rank 0 %s", i, t.DType, first.DType)
			}
			if r.c.Stage == 3 && t.Elements() != c.ranks[name][0].Elements() {
				return r.parts[rank].fail("group %d has %d elements, and on rank 0 %d", i, t.Elements(), c.ranks[name][0].Elements())
			}
		}
	}
	return nil
}

// entry is the state of a group in a rank's inner optimizer; ok: there is one.
func (r *reader) entry(rank, i int) (e *pickle.Dict, ok bool, err error) {
	p := r.parts[rank]
	state, err := p.dict(r.inner[rank], "state")
	if err != nil {
		return nil, false, err
	}
	v, ok := state.Get(i)
	if !ok {
		return nil, false, nil
	}
	if e, ok = v.(*pickle.Dict); !ok {
		return nil, false, p.fail("state %d is %s: want a dict", i, pickle.Describe(v))
	}
	return e, true, nil
}

// keep puts a whole tensor where it belongs.
func keep(name string, number int, p param, t *ptfile.Tensor, found map[string]*ptfile.Tensor, state *pickle.Dict) error {
	if name == "" {
		found[p.name] = t
		return nil
	}
	e, ok := get[*pickle.Dict](state, number)
	if !ok {
		e = pickle.NewDict(pickle.PlainDict)
		if err := state.Set(number, e); err != nil {
			return err
		}
	}
	return e.Set(name, t)
}

// keepOthers copies the states that all parameters of a group share.
func keepOthers(c columns, number int, state *pickle.Dict) error {
	for k, v := range c.others.All() {
		e, ok := get[*pickle.Dict](state, number)
		if !ok {
			e = pickle.NewDict(pickle.PlainDict)
			if err := state.Set(number, e); err != nil {
				return err
			}
		}
		if err := e.Set(k, v); err != nil {
			return err
		}
	}
	return nil
}

// stage12: the vector of a group is cut into one slice for each rank.
func (r *reader) stage12(groups [][]param, found map[string]*ptfile.Tensor, state *pickle.Dict) error {
	if len(groups) != len(r.weights[0]) {
		return r.parts[0].fail("it has %d groups, and param_shapes of %s %d", len(r.weights[0]), r.models[0].path, len(groups))
	}
	number := 0
	for i, g := range groups {
		c, err := r.group(i)
		if err != nil {
			return err
		}
		total := 0
		for _, p := range g {
			total += p.n
		}
		for _, name := range c.names {
			f := &flat{}
			for _, t := range c.ranks[name] {
				f.add(t)
			}
			if f.n < total {
				return r.parts[len(r.parts)-1].fail("the parts of group %d have %d elements together, and param_shapes %d", i, f.n, total)
			}
			from := 0
			for k, p := range g {
				run := &pieces{}
				f.cut(run, from, p.n)
				from += p.n
				if err := keep(name, number+k, p, run.tensor(f.list[0].DType, p.shape), found, state); err != nil {
					return err
				}
			}
		}
		for k := range g {
			if err := keepOthers(c, number+k, state); err != nil {
				return err
			}
		}
		number += len(g)
	}
	return nil
}

// stage3: of each parameter a rank has ceil(n / world) elements; sub-groups hold those parts one after the other.
func (r *reader) stage3(groups [][]param, found map[string]*ptfile.Tensor, state *pickle.Dict) error {
	var all []param
	for _, g := range groups {
		all = append(all, g...)
	}
	number := 0
	for i := range r.weights[0] {
		c, err := r.group(i)
		if err != nil {
			return err
		}
		size, from := c.ranks[""][0].Elements(), 0
		for ; from < size && number < len(all); number++ {
			p := all[number]
			part := (p.n + r.c.World - 1) / r.c.World
			if from+part > size {
				return r.parts[0].fail("sub-group %d ends within %s", i, p.name)
			}
			for _, name := range c.names {
				run := &pieces{}
				for rank, t := range c.ranks[name] {
					run.take(t, from, max(0, min(part, p.n-rank*part)))
				}
				if err := keep(name, number, p, run.tensor(c.ranks[name][0].DType, p.shape), found, state); err != nil {
					return err
				}
			}
			if err := keepOthers(c, number, state); err != nil {
				return err
			}
			from += part
		}
		if from != size {
			return r.parts[0].fail("sub-group %d has %d elements, and the parameters %d", i, size, from)
		}
	}
	if number < len(all) {
		return r.parts[0].fail("it ends before %s", all[number].name)
	}
	return nil
}

// frozen reads the parameters that are not trained: whole at stages 1 and 2, a part on each rank at stage 3.
func (r *reader) frozen(found map[string]*ptfile.Tensor) error {
	p := r.models[0]
	shapes, ok := get[*pickle.Dict](p.root, "frozen_param_shapes")
	if !ok || r.c.Stage < 3 {
		return nil // the module has them
	}
	list, err := p.shapes(shapes)
	if err != nil {
		return err
	}
	for _, q := range list {
		run, part := &pieces{}, (q.n+r.c.World-1)/r.c.World
		var first *ptfile.Tensor
		for rank, m := range r.models {
			fragments, err := m.dict(m.root, "frozen_param_fragments")
			if err != nil {
				return err
			}
			v, _ := fragments.Get(q.name)
			t, err := vector(v)
			if err != nil {
				return m.fail("frozen_param_fragments, %s: %w", q.name, err)
			}
			take := max(0, min(part, q.n-rank*part))
			if first == nil {
				first = t
			}
			if t.Elements() < take || t.DType != first.DType {
				return m.fail("frozen_param_fragments, %s has %d elements of %s: want %d of %s", q.name, t.Elements(), t.DType, take, first.DType)
			}
			run.take(t, 0, take)
		}
		found[q.name] = run.tensor(first.DType, q.shape)
	}
	return nil
}
