package optim

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
)

// StateDict returns the state in Python's layout: under "state" each parameter's, by its number through all groups;
// under "param_groups" the groups' settings, with "params" the numbers of their parameters.
func (b *Base) StateDict() map[string]any {
	states := map[int]any{}
	for i, p := range b.tensors {
		s := b.states[p]
		if s == nil {
			continue
		}
		entry := map[string]any{}
		for k, name := range b.rule.slots(nil) {
			if s.slots[k] != nil {
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

// groupSettings is a rule's settings and those that schedulers added.
func (b *Base) groupSettings(g *ParamGroup) []setting {
	s := b.rule.settings(g)
	for key, p := range map[string]**float64{"initial_lr": &g.InitialLR, "max_lr": &g.MaxLR, "min_lr": &g.MinLR,
		"base_momentum": &g.BaseMomentum, "max_momentum": &g.MaxMomentum} {
		if *p != nil {
			s = append(s, setting{key, *p})
		}
	}
	return s
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
	}
	return v
}

// LoadStateDict copies a state in Python's layout, from StateDict or from a file that Python wrote. Tensors are copied to
// their parameter's device and type. On an error nothing is changed.
func (b *Base) LoadStateDict(d map[string]any) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("optim: state of %s: %s", b.rule.name(), fmt.Sprintf(format, args...))
	}
	groups, ok := list(d["param_groups"])
	if !ok {
		return fail("want param_groups, a list, found a %T", d["param_groups"])
	}
	if len(groups) != len(b.groups) {
		return fail("it has %d groups of parameters, and the optimizer %d", len(groups), len(b.groups))
	}
	var numbers []int // of the parameters, in the optimizer's order
	loaded := make([]ParamGroup, len(groups))
	for i, g := range groups {
		entry, ok := g.(map[string]any)
		if !ok {
			return fail("group %d is a %T", i, g)
		}
		ids, ok := list(entry["params"])
		if !ok || len(ids) != len(b.groups[i].Params) {
			return fail("group %d has %d parameters, and the optimizer's %d", i, len(ids), len(b.groups[i].Params))
		}
		for _, id := range ids {
			n, ok := id.(int)
			if !ok {
				return fail("group %d: a parameter's number is a %T", i, id)
			}
			numbers = append(numbers, n)
		}
		loaded[i] = *b.groups[i]
		if err := b.loadGroup(&loaded[i], entry); err != nil {
			return fail("group %d: %v", i, err)
		}
	}
	states, err := b.loadStates(d["state"], numbers)
	if err != nil {
		return fail("%v", err)
	}
	for i, g := range b.groups {
		*g = loaded[i]
	}
	b.states = states
	return nil
}

// loadGroup reads a group's settings; one that isn't there keeps its value.
func (b *Base) loadGroup(g *ParamGroup, entry map[string]any) error {
	for key, p := range map[string]**float64{"initial_lr": &g.InitialLR, "max_lr": &g.MaxLR, "min_lr": &g.MinLR,
		"base_momentum": &g.BaseMomentum, "max_momentum": &g.MaxMomentum} {
		if v, ok := entry[key]; ok && v != nil {
			f, ok := number(v)
			if !ok {
				return fmt.Errorf("%s is a %T, want a number", key, v)
			}
			*p = &f
		}
	}
	for _, s := range b.rule.settings(g) {
		v, there := entry[s.key]
		if !there || v == nil {
			continue
		}
		ok := true
		switch p := s.value.(type) {
		case *float64:
			*p, ok = number(v)
		case *bool:
			*p, ok = v.(bool)
		case *[2]float64:
			*p, ok = pair(v)
		}
		if !ok {
			return fmt.Errorf("%s is %v, a %T", s.key, v, v)
		}
	}
	return nil
}

// loadStates copies the tensors, which are numbered as the file's parameters.
func (b *Base) loadStates(v any, numbers []int) (map[*torch.Tensor]*state, error) {
	byNumber := map[int]any{}
	switch m := v.(type) {
	case map[int]any:
		byNumber = m
	case map[string]any: // an empty dictionary has no kind of key
		if len(m) > 0 {
			return nil, fmt.Errorf("the keys of state are names, want the parameters' numbers")
		}
	default:
		return nil, fmt.Errorf("want state, a dictionary, found a %T", v)
	}
	out := map[*torch.Tensor]*state{}
	for i, p := range b.tensors {
		entry, ok := byNumber[numbers[i]]
		if !ok {
			continue
		}
		slots, ok := entry.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the state of parameter %d is a %T", i, entry)
		}
		s, err := b.loadSlots(slots, p)
		if err != nil {
			return nil, fmt.Errorf("parameter %d: %w", i, err)
		}
		out[p] = s
	}
	return out, nil
}

func (b *Base) loadSlots(slots map[string]any, p *torch.Tensor) (*state, error) {
	names := b.rule.slots(nil)
	s := &state{make([]*torch.Tensor, len(names))}
	for k, name := range names {
		switch v := slots[name].(type) {
		case nil:
		case *torch.Tensor:
			if name != "step" && v.Dim() > 0 && !sameShape(v.Shape(), p.Shape()) {
				return nil, fmt.Errorf("%s has shape %v, and the parameter %v", name, v.Shape(), p.Shape())
			}
			torch.NoGrad(func() { torch.Outside(func() { s.slots[k] = placed(name, v, p).Clone() }) })
		default:
			f, ok := number(v)
			if !ok {
				return nil, fmt.Errorf("%s is a %T, want a tensor", name, v)
			}
			torch.Outside(func() { s.slots[k] = torch.Options{DType: torch.Float32}.Scalar(f) })
		}
	}
	return s, nil
}

func sameShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
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
