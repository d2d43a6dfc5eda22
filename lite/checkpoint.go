package lite

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// State is the content of a checkpoint, and the description of what to load it into: models, modules, optimizers,
// schedulers, loaders and whatever has StateDict and LoadStateDict are converted and filled in place; a pointer to a
// plain value is read by Save and written by Load; other values are saved as they are.
type State map[string]any

// CheckpointIO is how checkpoints reach their place: the plugin for a store of one's own. The default writes
// PyTorch's file format, atomically, with package serial.
type CheckpointIO interface {
	Save(path string, v any) error
	Load(path string) (any, error)
}

// AsyncCheckpointIO is a CheckpointIO that can write in the background, for SaveOptions.Async. SaveAsync copies v before
// it returns; the next SaveAsync, and Close, wait for the write before and return its error.
type AsyncCheckpointIO interface {
	CheckpointIO
	SaveAsync(path string, v any) error
	Close() error
}

// fileIO writes PyTorch's files.
type fileIO struct{ saver serial.Saver }

func (f *fileIO) Save(path string, v any) error {
	if err := f.saver.Wait(); err != nil {
		return err
	}
	return serial.Save(path, v)
}

func (f *fileIO) Load(path string) (any, error)      { return serial.Load(path) }
func (f *fileIO) SaveAsync(path string, v any) error { return f.saver.Save(path, v) }
func (f *fileIO) Close() error                       { return f.saver.Close() }

// SaveOptions are Save's optional arguments.
type SaveOptions struct {
	// Filter, for a key of the State, tells which entries of its converted content are saved (a module's by the names of
	// its parameters). A key of which nothing is left is left out.
	Filter map[string]func(name string, v any) bool
	// Async writes in the background: Save returns when the content is copied in memory. The next Save and the end of Run
	// wait for the write, and return its error.
	Async bool
	// Keep, if its Pattern is set, removes older checkpoints after the write: it says how many stay. With Async they are
	// removed at the next Save.
	Keep serial.Keep
}

// LoadOptions are Load's optional arguments.
type LoadOptions struct {
	// NonStrict passes over keys that the file doesn't have, and over a module's missing and unexpected ones.
	NonStrict bool
	// KeepStreams leaves the random streams and the scaler as they are; else they are restored when something that is
	// trained further (an optimizer, a scheduler, a loader) is loaded.
	KeepStreams bool
}

// stateful is what converts itself.
type stateful interface {
	StateDict() map[string]any
	LoadStateDict(map[string]any) error
}

// moduleState is a model of any type.
type moduleState interface {
	StateDict() *torch.StateDict
	LoadStateDict(*torch.StateDict, ...nn.LoadOptions) error
}

// Save writes a checkpoint: a State, with the scaler's state and every rank's random streams under a reserved key, or a
// *torch.StateDict (or anything else that package serial writes) bare. torch.load(weights_only=True) reads it. All ranks
// call it; the first one writes, atomically: the old file or the new one, whatever happens. All return its error.
func (l *Lite) Save(path string, v any, opts ...SaveOptions) error {
	var o SaveOptions
	if len(opts) > 1 {
		return fmt.Errorf("lite: Save: want at most one SaveOptions, got %d", len(opts))
	}
	if len(opts) == 1 {
		o = opts[0]
	}
	content := v
	if s, ok := asState(v); ok {
		streams := l.gatherStreams()
		plain, err := s.convert(o)
		if err != nil {
			return fmt.Errorf("lite: Save %s: %w", path, err)
		}
		if _, own := plain[reservedKey]; own {
			return fmt.Errorf("lite: Save %s: the key %q is lite's own: use another", path, reservedKey)
		}
		plain[reservedKey] = l.runState(streams)
		content = map[string]any(plain)
	}
	var text string
	if l.IsGlobalZero() {
		if err := l.write(path, content, o); err != nil {
			text = err.Error()
			if l.peers == nil {
				return fmt.Errorf("lite: Save: %w", err)
			}
		}
	}
	if text = Broadcast(l, text, 0); text != "" {
		return fmt.Errorf("lite: Save on rank 0: %s", text)
	}
	return nil
}

// write writes on rank 0.
func (l *Lite) write(path string, content any, o SaveOptions) error {
	save := l.io.Save
	if o.Async {
		a, ok := l.io.(AsyncCheckpointIO)
		if !ok {
			return fmt.Errorf("the checkpoint I/O %T can't write in the background: it has no SaveAsync (AsyncCheckpointIO)", l.io)
		}
		save = a.SaveAsync
	}
	if err := save(path, content); err != nil {
		return err
	}
	if o.Keep.Pattern == "" {
		return nil
	}
	_, err := serial.Prune(o.Keep)
	return err
}

// closeIO waits for what is still being written.
func (l *Lite) closeIO() error {
	if a, ok := l.io.(AsyncCheckpointIO); ok && l.IsGlobalZero() {
		return a.Close()
	}
	return nil
}

func asState(v any) (State, bool) {
	switch v := v.(type) {
	case State:
		return v, true
	case map[string]any:
		return v, true
	}
	return nil, false
}

// convert gives the plain content of a State.
func (s State) convert(o SaveOptions) (State, error) {
	for key := range o.Filter {
		if _, ok := s[key]; !ok {
			return nil, fmt.Errorf("the filter names %q, and the state has %v", key, slices.Sorted(maps.Keys(s)))
		}
	}
	out := State{}
	for key, v := range s {
		plain, err := plainOf(v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		if f := o.Filter[key]; f != nil {
			var left bool
			if plain, left = filtered(plain, f); !left {
				continue
			}
		}
		out[key] = plain
	}
	return out, nil
}

func plainOf(v any) (any, error) {
	switch v := v.(type) {
	case moduleState:
		return v.StateDict(), nil
	case nn.Module:
		return nn.StateDict(v), nil
	case stateful:
		return v.StateDict(), nil
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.Type() != tensorType {
		if r.IsNil() {
			return nil, fmt.Errorf("a nil %T", v)
		}
		if _, ok := v.(*torch.StateDict); !ok && isPlain(r.Elem().Kind()) {
			return r.Elem().Interface(), nil
		}
	}
	return v, nil
}

// isPlain tells what a pointer in a State may point at, to be read and written.
func isPlain(k reflect.Kind) bool {
	return k <= reflect.Float64 && k != reflect.Uintptr || k == reflect.String || k == reflect.Map || k == reflect.Slice
}

func filtered(v any, keep func(string, any) bool) (any, bool) {
	switch v := v.(type) {
	case *torch.StateDict:
		out := &torch.StateDict{}
		for name, t := range v.All() {
			if keep(name, t) {
				out.Set(name, t)
			}
		}
		return out, out.Len() > 0
	case map[string]any:
		out := map[string]any{}
		for name, x := range v {
			if keep(name, x) {
				out[name] = x
			}
		}
		return out, len(out) > 0
	}
	return v, true
}

// Load reads a checkpoint on every rank, into the values of a State, in place, and returns what the State has no key
// for; with a nil State it returns the whole content. Tensors that it returns are on the CPU. A key that the file
// doesn't have is an error unless NonStrict, and nothing is changed then. A file that isn't there gives
// fs.ErrNotExist. Files that torch.save wrote are read as well.
func (l *Lite) Load(path string, into State, opts ...LoadOptions) (rest State, err error) {
	var o LoadOptions
	if len(opts) > 1 {
		return nil, fmt.Errorf("lite: Load: want at most one LoadOptions, got %d", len(opts))
	}
	if len(opts) == 1 {
		o = opts[0]
	}
	raw, err := l.io.Load(path)
	if err != nil {
		return nil, fmt.Errorf("lite: Load: %w", err)
	}
	content, ok := asContent(goValue(raw))
	if !ok {
		return nil, fmt.Errorf("lite: Load %s: want a dictionary with names as keys, found a %T: serial.Load reads anything", path, raw)
	}
	if into != nil {
		if err := into.check(content, o); err != nil {
			return nil, fmt.Errorf("lite: Load %s: %w", path, err)
		}
		l.rescale(content)
		if err := into.fill(content, o); err != nil {
			return nil, fmt.Errorf("lite: Load %s: %w", path, err)
		}
		if !o.KeepStreams && into.resumes() {
			if err := l.setRunState(content[reservedKey]); err != nil {
				return nil, fmt.Errorf("lite: Load %s: %w", path, err)
			}
		}
	}
	rest = State{}
	for key, v := range content {
		if _, taken := into[key]; !taken && (key != reservedKey || into == nil) {
			rest[key] = v
		}
	}
	return rest, nil
}

// asContent takes a dictionary with names, or a bare state dict, which is one as well.
func asContent(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case *torch.StateDict:
		m := make(map[string]any, v.Len())
		for name, t := range v.All() {
			m[name] = t
		}
		return m, true
	}
	return nil, false
}

// check tells whether the file has what the State wants, before anything is changed.
func (s State) check(content map[string]any, o LoadOptions) error {
	var missing []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if _, ok := content[key]; !ok {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 && !o.NonStrict {
		return fmt.Errorf("the file has no %q; it has %q (LoadOptions.NonStrict passes over it)", missing, slices.Sorted(maps.Keys(content)))
	}
	return nil
}

// fill loads modules first: what is most likely to differ is then found before anything else is changed.
func (s State) fill(content map[string]any, o LoadOptions) error {
	var errs []error
	keys := slices.SortedFunc(maps.Keys(s), func(a, b string) int { return rankOf(s[a]) - rankOf(s[b]) })
	for _, key := range keys {
		v, ok := content[key]
		if !ok {
			continue
		}
		if err := fillOne(s[key], v, o); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", key, err))
			if rankOf(s[key]) > 0 {
				break
			}
		} else if p := reflect.ValueOf(s[key]); rankOf(s[key]) == 2 && p.Kind() != reflect.Pointer {
			s[key] = v
		}
		if len(errs) > 0 && rankOf(s[key]) > 0 {
			break
		}
	}
	return errors.Join(errs...)
}

// rankOf orders what is filled: modules, what converts itself, plain values.
func rankOf(v any) int {
	switch v.(type) {
	case moduleState, nn.Module:
		return 0
	case stateful, *torch.StateDict, *torch.Tensor:
		return 1
	}
	return 2
}

func fillOne(to, from any, o LoadOptions) error {
	opts := nn.LoadOptions{NonStrict: o.NonStrict}
	switch to := to.(type) {
	case moduleState:
		sd, err := stateDictOf(from)
		if err != nil {
			return err
		}
		return to.LoadStateDict(sd, opts)
	case nn.Module:
		sd, err := stateDictOf(from)
		if err != nil {
			return err
		}
		return nn.LoadStateDict(to, sd, opts)
	case stateful:
		m, ok := from.(map[string]any)
		if !ok {
			return fmt.Errorf("want the state of a %T, found a %T", to, from)
		}
		return to.LoadStateDict(m)
	case *torch.Tensor:
		t, ok := from.(*torch.Tensor)
		if !ok {
			return fmt.Errorf("want a tensor, found a %T", from)
		}
		return torch.Try(func() { torch.NoGrad(func() { to.Copy_(t) }) })
	case *torch.StateDict:
		sd, err := stateDictOf(from)
		if err == nil {
			*to = *sd
		}
		return err
	}
	return assign(to, from)
}

// assign writes a plain value through a pointer; a value that is no pointer is replaced in the State itself.
func assign(to, from any) error {
	p := reflect.ValueOf(to)
	if p.Kind() != reflect.Pointer {
		return nil
	}
	if p.IsNil() {
		return errors.New("the pointer to load into is nil")
	}
	v, e := reflect.ValueOf(from), p.Elem()
	switch {
	case !v.IsValid():
		e.SetZero()
	case v.Type().AssignableTo(e.Type()):
		e.Set(v)
	case isNumber(v.Kind()) && isNumber(e.Kind()):
		c := v.Convert(e.Type())
		if back := c.Convert(v.Type()); !back.Equal(v) {
			return fmt.Errorf("the value %v doesn't fit a %s", from, e.Type())
		}
		e.Set(c)
	default:
		return fmt.Errorf("want a %s, found a %T", e.Type(), from)
	}
	return nil
}

func isNumber(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr
}

// resumes tells whether training goes on from what is loaded.
func (s State) resumes() bool {
	for _, v := range s {
		switch v.(type) {
		case moduleState, nn.Module:
		case optim.Optimizer, stateful:
			return true
		}
	}
	return false
}

// stateDictOf takes a dictionary of tensors for a module's state; keys with DDP's prefix lose it.
func stateDictOf(v any) (*torch.StateDict, error) {
	switch v := v.(type) {
	case *torch.StateDict:
		return v, nil
	case map[string]any:
		sd := &torch.StateDict{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			t, ok := v[k].(*torch.Tensor)
			if !ok {
				return nil, fmt.Errorf("want a module's state, found a %T under %q", v[k], k)
			}
			sd.Set(k, t)
		}
		return sd, nil
	}
	return nil, fmt.Errorf("want a module's state, a dictionary of tensors, found a %T", v)
}
