package optim

import (
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
)

// StateDict returns the state in Python's layout: under "state" each parameter's, by its number through all groups;
// under "param_groups" the groups' settings, with "params" the numbers of their parameters.
func (b *Base) StateDict() map[string]any {
	b.made("optim.Base.StateDict")
	states := map[int]any{}
	_, whole := b.rule.(integerSteps)
	for i, p := range b.tensors {
		s := b.states[p]
		if s == nil {
			continue
		}
		entry := map[string]any{}
		for k := range b.slots {
			switch name := b.slots[k].Name; {
			case name == "step" && whole:
				entry[name] = int(s.steps)
			case name == "step":
				entry[name] = s.countedTensor()
			case s.slots[k] != nil:
				entry[name] = s.slots[k]
			}
		}
		states[i] = entry
	}
	groups := make([]any, len(b.groups))
	n := 0
	for i, g := range b.groups {
		entry := map[string]any{}
		for _, s := range b.groupSettings(g) {
			entry[s.key] = value(s.value)
		}
		numbers := make([]any, len(g.Params))
		for k := range numbers {
			numbers[k] = n
			n++
		}
		entry["params"] = numbers
		groups[i] = entry
	}
	return map[string]any{"state": states, "param_groups": groups}
}

// value is what a setting's pointer points at.
func value(v any) any {
	switch v := v.(type) {
	case *float64:
		return *v
	case *bool:
		return *v
	case *[2]float64:
		return *v
	case *int:
		return *v
	case *string:
		return *v
	case *[]float64:
		out := make([]any, len(*v))
		for i, x := range *v {
			out[i] = x
		}
		return out
	case loadable:
		return v.value()
	}
	return v
}

// LoadStateDict copies a state in Python's layout, from StateDict or from a file that Python wrote. Tensors are
// copied to their parameter's device and type. On an error nothing is changed.
func (b *Base) LoadStateDict(d map[string]any) error {
	if err := torch.Try(func() { b.made("optim.Base.LoadStateDict") }); err != nil {
		return err
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("optim: state of %s: %s", b.rule.Name(), fmt.Sprintf(format, args...))
	}
	groups, ok := list(d["param_groups"])
	if !ok {
		return fail("want param_groups, a list, found a %s", typename.Of(d["param_groups"]))
	}
	if len(groups) != len(b.groups) {
		return fail("it has %d groups of parameters, and the optimizer %d", len(groups), len(b.groups))
	}
	var numbers []int // of the parameters, in the optimizer's order
	loaded := make([]ParamGroup, len(groups))
	for i, g := range groups {
		entry, ok := mapping(g)
		if !ok {
			return fail("group %d is a %s, want a dictionary", i, typename.Of(g))
		}
		ids, ok := list(entry["params"])
		if !ok || len(ids) != len(b.groups[i].Params) {
			return fail("group %d has %d parameters, and the optimizer's %d", i, len(ids), len(b.groups[i].Params))
		}
		for _, id := range ids {
			n, ok := id.(int)
			if !ok {
				return fail("group %d: a parameter's number is a %s", i, typename.Of(id))
			}
			numbers = append(numbers, n)
		}
		loaded[i] = *b.groups[i]
		loaded[i].Extra = cloneExtra(loaded[i].Extra)
		if err := b.loadGroup(&loaded[i], entry); err != nil {
			return fail("group %d: %v", i, err)
		}
	}
	states, err := b.loadStates(d["state"], numbers, loaded)
	if err != nil {
		return fail("%v", err)
	}
	for i, g := range b.groups {
		*g = loaded[i]
	}
	b.states = states
	b.revision++
	return nil
}

// loadGroup reads a group's settings; one that isn't there keeps its value.
func (b *Base) loadGroup(g *ParamGroup, entry map[string]any) error {
	for _, key := range keptNames {
		if v, ok := entry[key]; ok && v != nil {
			f, ok := number(v)
			if !ok {
				return fmt.Errorf("%s is a %s, want a number", key, typename.Of(v))
			}
			*g.kept(key) = &f
		}
	}
	for _, key := range b.keys {
		v, there := entry[key]
		if !there || key == "fused" || slices.Contains(fixedNames, key) {
			continue
		}
		if fallback, extra := b.settings.Extra[key]; v == nil && (!extra || fallback != nil) {
			continue
		}
		if err := g.set(key, v, b.settings.Extra); err != nil {
			return err
		}
	}
	return nil
}

// loadStates copies the tensors, which are numbered as the file's parameters.
func (b *Base) loadStates(v any, numbers []int, groups []ParamGroup) (map[*torch.Tensor]*state, error) {
	byNumber, err := numbered(v)
	if err != nil {
		return nil, err
	}
	out := map[*torch.Tensor]*state{}
	i := 0
	for k := range groups {
		for range groups[k].Params {
			p := b.tensors[i]
			entry, there := byNumber[numbers[i]]
			i++
			if !there {
				continue
			}
			slots, ok := mapping(entry)
			if !ok {
				return nil, fmt.Errorf("the state of parameter %d is a %s, want a dictionary", i-1, typename.Of(entry))
			}
			if out[p], err = b.loadSlots(slots, &groups[k], p); err != nil {
				return nil, fmt.Errorf("parameter %d: %w", i-1, err)
			}
		}
	}
	return out, nil
}

// loadSlots makes a parameter's state from a file's; what the file hasn't is as before the first step.
func (b *Base) loadSlots(slots map[string]any, g *ParamGroup, p *torch.Tensor) (s *state, err error) {
	for name := range slots {
		if !slices.ContainsFunc(b.slots, func(o Slot) bool { return o.Name == name }) {
			return nil, fmt.Errorf("it has %q, which %s doesn't keep: is it another optimizer's?", name, b.rule.Name())
		}
	}
	torch.NoGrad(func() {
		torch.NoScope(func() {
			s = b.newState(g, p)
			for k, slot := range b.slots {
				if v, there := slots[slot.Name]; there && v != nil && err == nil {
					s.slots[k], err = loadedTensor(slot.Name, v, s.slots[k], g, p)
				}
			}
			if err == nil && b.counts() {
				s.steps = s.slots[0].Item()
			}
		})
	})
	return s, err
}

// loadedTensor is a copy of a file's tensor, or number, for the state of p. like is what it takes the place of, or nil.
func loadedTensor(name string, v any, like *torch.Tensor, g *ParamGroup, p *torch.Tensor) (*torch.Tensor, error) {
	t, ok := v.(*torch.Tensor)
	if !ok {
		f, ok := number(v)
		if !ok {
			return nil, fmt.Errorf("%s is a %s, want a tensor", name, typename.Of(v))
		}
		return placed(name, torch.Options{DType: torch.Float32}.Scalar(f), p, g.Fused), nil
	}
	if name == "step" && t.Numel() != 1 {
		return nil, fmt.Errorf("step has shape %v, want one number", t.Shape())
	}
	want := p.Shape()
	if like != nil && like.Dim() > 0 {
		want = like.Shape()
	}
	switch {
	case t.Dim() == 0 || name == "step" || slices.Equal(t.Shape(), want):
	case slices.Equal(want, p.Shape()):
		return nil, fmt.Errorf("%s has shape %v, and the parameter %v", name, t.Shape(), want)
	default:
		return nil, fmt.Errorf("%s has shape %v, want %v for a parameter %v", name, t.Shape(), want, p.Shape())
	}
	if moved := placed(name, t, p, g.Fused); moved != t {
		return moved, nil
	}
	return t.Clone(), nil
}

// mapping takes a dictionary with names as keys: a Go map, or a file's that keeps its order.
func mapping(v any) (map[string]any, bool) {
	if m, ok := v.(map[string]any); ok {
		return m, true
	}
	d, ok := v.(interface{ All() iter.Seq2[any, any] })
	if !ok {
		return nil, false
	}
	out := map[string]any{}
	for k, v := range d.All() {
		name, ok := k.(string)
		if !ok {
			return nil, false
		}
		out[name] = v
	}
	return out, true
}

// numbered takes a dictionary with numbers as keys.
func numbered(v any) (map[int]any, error) {
	out := map[int]any{}
	switch m := v.(type) {
	case map[int]any:
		return m, nil
	case map[string]any: // an empty dictionary has no kind of key
		if len(m) > 0 {
			return nil, fmt.Errorf("the keys of state are names, want the parameters' numbers")
		}
	case interface{ All() iter.Seq2[any, any] }:
		for k, v := range m.All() {
			n, ok := k.(int)
			if !ok {
				return nil, fmt.Errorf("a key of state is a %s, want a parameter's number", typename.Of(k))
			}
			out[n] = v
		}
	default:
		return nil, fmt.Errorf("want state, a dictionary, found a %s", typename.Of(v))
	}
	return out, nil
}

// list takes any slice: a list or a tuple of a file.
func list(v any) ([]any, bool) {
	if l, ok := v.([]any); ok {
		return l, true
	}
	r := reflect.ValueOf(v)
	if !r.IsValid() || r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		return nil, false
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out, true
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case *torch.Tensor:
		if v.Numel() == 1 {
			return v.Item(), true
		}
	}
	return 0, false
}

func pair(v any) (p [2]float64, ok bool) {
	l, ok := list(v)
	if !ok || len(l) != 2 {
		return p, false
	}
	for i := range p {
		if p[i], ok = number(l[i]); !ok {
			return p, false
		}
	}
	return p, true
}
