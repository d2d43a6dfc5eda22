package lite

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/golite/golite/internal/statekeys"
	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// filling is what a Load is going to write, in three passes. It is made first, and refuses what doesn't fit before anything is
// changed; what only the value itself can judge, such as an optimizer's state, is left to the second pass.
type filling struct {
	o                       nn.LoadOptions
	modules, others, plains []func() error
}

// fill writes a file's content into the State's values.
func (s State) fill(content map[string]any, o LoadOptions) error {
	f, err := s.plan(content, o)
	if err != nil {
		return err
	}
	return f.run()
}

// plan makes the filling of the State's values.
func (s State) plan(content map[string]any, o LoadOptions) (*filling, error) {
	if err := s.check(content, o); err != nil {
		return nil, err
	}
	f := &filling{o: nn.LoadOptions{NonStrict: o.NonStrict, Rename: o.Rename}}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(s)) {
		from, ok := content[key]
		if !ok {
			continue
		}
		if err := f.plan(s[key], from, func(v any) { s[key] = v }); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", key, err))
		}
	}
	return f, errors.Join(errs...)
}

// check tells whether the file has the keys that the State wants.
func (s State) check(content map[string]any, o LoadOptions) error {
	var missing []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if _, ok := content[key]; !ok {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 || o.NonStrict {
		return nil
	}
	if len(missing) == len(s) && isStateDict(content) {
		return &serial.ErrMismatch{Model: fmt.Sprintf("the State: the file is a bare state dict (%s), which LoadRaw reads: l.LoadRaw(path, model)",
			someKeys(content)), Missing: missing}
	}
	return &serial.ErrMismatch{Model: "the State; the file has " + someKeys(content), Missing: missing}
}

// isStateDict reports whether all of a file's content is tensors, as in what torch.save(model.state_dict(), path) writes.
func isStateDict(content map[string]any) bool {
	for _, v := range content {
		switch v.(type) {
		case *torch.Tensor, *serial.TensorInfo: // the latter where it was not asked for
		default:
			return false
		}
	}
	return len(content) > 0
}

// someKeys lists keys for a message, a dozen at most.
func someKeys(content map[string]any) string {
	keys := slices.Sorted(maps.Keys(content))
	if n := len(keys); n > 12 {
		return fmt.Sprintf("%q and %d more", keys[:12], n-12)
	}
	return fmt.Sprintf("%q", keys)
}

func (f *filling) run() error {
	for _, step := range slices.Concat(f.modules, f.others, f.plains) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// plan adds what it takes to write from into to; put replaces to itself, where it is no pointer.
func (f *filling) plan(to, from any, put func(any)) error {
	if nilPointer(to) {
		return fmt.Errorf("there is no %T to load into: it is nil", to)
	}
	switch to := to.(type) {
	case []any:
		if hasTargets(to) {
			return f.list(to, from)
		}
		return f.plain(to, from, put)
	case moduleState:
		return f.module(to.StateDict(), from, to.LoadStateDict)
	case nn.Module:
		load := func(sd *torch.StateDict, o ...nn.LoadOptions) error { return nn.LoadStateDict(to, sd, o...) }
		return f.module(nn.StateDict(to), from, load)
	case stateful:
		m, ok := from.(map[string]any)
		if !ok {
			return fmt.Errorf("want the state of a %T, found a %s", to, typename.Of(from))
		}
		f.others = append(f.others, func() error { return to.LoadStateDict(m) })
	case *torch.Tensor:
		return f.tensor(to, from)
	case *serial.Shard:
		return f.tensor(to.Tensor, from)
	case *torch.StateDict:
		sd, err := stateDictOf(from)
		if err != nil {
			return err
		}
		f.plains = append(f.plains, func() error { *to = *sd; return nil })
	default:
		return f.plain(to, from, put)
	}
	return nil
}

// list fills the elements of a list, one by one.
func (f *filling) list(to []any, from any) error {
	list, ok := from.([]any)
	if !ok || len(list) != len(to) {
		return fmt.Errorf("want a list of %d, found a %s", len(to), describe(from))
	}
	var errs []error
	for i, v := range to {
		if err := f.plan(v, list[i], func(x any) { to[i] = x }); err != nil {
			errs = append(errs, fmt.Errorf("element %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// describe names what a file has, for a message.
func describe(v any) string {
	if list, ok := v.([]any); ok {
		return fmt.Sprintf("list of %d", len(list))
	}
	return typename.Of(v)
}

// module loads a module's state, whose own is given to compare.
func (f *filling) module(own *torch.StateDict, from any, load func(*torch.StateDict, ...nn.LoadOptions) error) error {
	sd, err := stateDictOf(from)
	if err != nil {
		return err
	}
	if sd, err = statekeys.Rename(sd, f.o.Rename); err != nil {
		return err
	}
	sd = statekeys.Unwrap(sd, own.Keys)
	o := f.o
	o.Rename = nil
	if !fits(sd, own, f.o.NonStrict) {
		return load(sd, o) // it refuses, changes nothing, and says why
	}
	f.modules = append(f.modules, func() error { return load(sd, o) })
	return nil
}

// fits tells whether a module with the state own takes sd.
func fits(sd, own *torch.StateDict, nonStrict bool) bool {
	found := 0
	for name, t := range own.All() {
		from, ok := sd.Get(name)
		switch {
		case !ok && !nonStrict:
			return false
		case ok && !slices.Equal(from.Shape(), t.Shape()) && !(t.Dim() == 0 && slices.Equal(from.Shape(), []int{1})):
			return false
		case ok:
			found++
		}
	}
	return nonStrict || found == sd.Len()
}

func (f *filling) tensor(to *torch.Tensor, from any) error {
	t, ok := from.(*torch.Tensor)
	if !ok {
		return fmt.Errorf("want a tensor, found a %s", typename.Of(from))
	}
	if !slices.Equal(t.Shape(), to.Shape()) {
		return fmt.Errorf("want a tensor of shape %v, found one of %v", to.Shape(), t.Shape())
	}
	f.others = append(f.others, func() error { return torch.Try(func() { torch.NoGrad(func() { to.Copy_(t) }) }) })
	return nil
}

// plain writes through a pointer. What is no pointer is replaced in the State: by a value of its type if the file's can be made
// one, else by what the file has.
func (f *filling) plain(to, from any, put func(any)) error {
	p := reflect.ValueOf(to)
	if p.Kind() != reflect.Pointer {
		if to != nil {
			if v, err := converted(from, p.Type()); err == nil {
				from = v.Interface()
			}
		}
		f.plains = append(f.plains, func() error { put(from); return nil })
		return nil
	}
	if p.IsNil() {
		return errors.New("the pointer to load into is nil")
	}
	v, err := converted(from, p.Type().Elem())
	if err != nil {
		return err
	}
	f.plains = append(f.plains, func() error { p.Elem().Set(v); return nil })
	return nil
}

// stateDictOf takes a dictionary of tensors for a module's state.
func stateDictOf(v any) (*torch.StateDict, error) {
	switch v := v.(type) {
	case *torch.StateDict:
		return v, nil
	case map[string]any:
		sd := &torch.StateDict{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			t, ok := v[k].(*torch.Tensor)
			if !ok {
				return nil, fmt.Errorf("want a module's state, found a %s under %q", typename.Of(v[k]), k)
			}
			sd.Set(k, t)
		}
		return sd, nil
	}
	return nil, fmt.Errorf("want a module's state, a dictionary of tensors, found a %s", typename.Of(v))
}
