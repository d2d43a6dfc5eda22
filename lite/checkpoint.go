package lite

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// CheckpointIO is how checkpoints reach their place: the plugin for a store of one's own (Fabric's CheckpointIO). The default
// writes PyTorch's file format, atomically, with package serial. Save is called on rank 0 alone, Load on every rank.
type CheckpointIO interface {
	// Save writes a checkpoint. v is a map[string]any, or what the program gave to Lite.Save bare; in it are
	// *torch.StateDict, *torch.Tensor, numbers, strings, truth values, slices and maps of those: what serial.Save writes. It
	// must not be changed. When Save returns an error the checkpoint that was there before must still be.
	Save(path string, v any) error
	// Load reads what Save wrote, as serial.Load gives it: *serial.Dict or a map for a dictionary, []any or serial.Tuple for a
	// list, tensors on the CPU, which are the caller's from then on. Where there is nothing under that path the error must wrap
	// fs.ErrNotExist: programs tell a first start from a damaged checkpoint by it.
	Load(path string) (any, error)
}

// AsyncCheckpointIO is a CheckpointIO that can write in the background, for SaveOptions.Async.
type AsyncCheckpointIO interface {
	CheckpointIO
	// SaveAsync copies v before it returns, as the program goes on changing it, and writes the copy. It first waits for the
	// write before, and returns that one's error, or the value's own. A Save after it waits as well.
	SaveAsync(path string, v any) error
	// Close waits for the last write and returns its error. It is called once, on rank 0, at the end of Run, also when the
	// program failed and when it saved nothing.
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

func (f *fileIO) Load(path string) (any, error) {
	return f.loadInto(path, nil, LoadOptions{})
}

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
	// Keep, if its Pattern is set, removes older checkpoints after the write: it says how many stay. With Async and a
	// CheckpointIO of one's own they are removed at the next Save.
	Keep serial.Keep
}

// LoadOptions are Load's optional arguments.
type LoadOptions struct {
	// NonStrict passes over keys that the file doesn't have, and over a module's missing and unexpected ones.
	NonStrict bool
	// KeepStreams leaves the random streams and the scaler as they are; else they are restored when something that is
	// trained further (an optimizer, a scheduler, a loader) is loaded.
	KeepStreams bool
	// OnlyState reads nothing but what the State has keys for; what Load returns is then empty. With the default CheckpointIO a
	// model alone is so loaded without its optimizer's bytes.
	OnlyState bool
	// Rename gives each key of a module's state dict in the file, without the State's key before it, the name that it has in
	// the module; "" leaves it out. Lightning's files want strings.TrimPrefix(key, "model."), where the LightningModule has
	// the model under that name.
	Rename func(key string) string
}

// Save writes a checkpoint: a State, with the scaler's state and every rank's random streams under a reserved key, or a
// *torch.StateDict (or anything else that package serial writes) bare. torch.load(weights_only=True) reads it. All ranks
// call it; the first one writes, atomically: the old file or the new one, whatever happens. The others wait for as long as
// that takes, whatever Config.Timeout is, and all return its error.
func (l *Lite) Save(path string, v any, opts ...SaveOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return fmt.Errorf("lite: Save: %w", err)
	}
	content, err := l.content(v, o, l.wholeTensor)
	var write func()
	if l.IsGlobalZero() {
		write = func() {
			if err == nil {
				err = l.write(path, content, o)
			}
		}
	}
	l.group.WithoutTimeout(write)
	first := ""
	if err != nil {
		first = err.Error()
	}
	first = Broadcast(l, first, 0)
	switch {
	case err != nil:
		return fmt.Errorf("lite: Save %s: %w", path, err)
	case first != "":
		return fmt.Errorf("lite: Save %s, on rank 0: %s", path, first)
	}
	return nil
}

// content is what is written of v. whole makes one tensor of what ranks hold parts of; nil leaves the parts.
func (l *Lite) content(v any, o SaveOptions, whole func(s *serial.Shard) *torch.Tensor) (content any, err error) {
	s, ok := asState(v)
	if !ok {
		return v, nil
	}
	states, err := l.gatherRNGStates()
	if err != nil {
		return nil, fmt.Errorf("the state of strategy %q: %w", l.strategy, err)
	}
	if _, own := s[reservedKey]; own {
		return nil, fmt.Errorf("the key %q is lite's own: use another", reservedKey)
	}
	plain, err := l.parted(s).convert(o)
	if err != nil {
		return nil, err
	}
	if l.parts.checkpoint != nil {
		err = dist.Try(func() { plain = l.partContent(map[string]any(plain), whole).(map[string]any) })
		if err != nil {
			return nil, err
		}
	}
	plain[reservedKey] = l.runState(states)
	return map[string]any(plain), nil
}

// write writes on rank 0.
func (l *Lite) write(path string, content any, o SaveOptions) error {
	if f, own := l.io.(*fileIO); own && o.Async && o.Keep.Pattern != "" {
		return f.saver.Save(path, content, serial.SaveOptions{Keep: &o.Keep})
	}
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

// Load reads a checkpoint on every rank, into the values of a State, in place, and returns what the State has no key
// for; with a nil State it returns the whole content. Tensors that it returns are on the CPU. A key that the file doesn't
// have is an error unless NonStrict; if one is missing, a plain value is of the wrong kind or a module doesn't fit, nothing is
// changed. A file that isn't there gives fs.ErrNotExist. Files that torch.save wrote are read as well, and folders that
// SaveSharded or DCP wrote, of any number of ranks; a *serial.Shard of the State is filled with its part. A module's keys lose
// what PyTorch's wrappers put before them, see nn.LoadStateDict; LoadOptions.Rename changes others.
func (l *Lite) Load(path string, into State, opts ...LoadOptions) (rest State, err error) {
	o, content, err := l.read(path, into, opts)
	if err != nil {
		return nil, err
	}
	if into != nil {
		l.rescale(content, into)
		parted := l.parted(into)
		err := parted.fill(content, o)
		for key, v := range parted {
			switch v.(type) {
			case *partModule, *partOptimizer:
			default:
				into[key] = v
			}
		}
		if err == nil && !o.KeepStreams && into.resumes() {
			err = l.setRunState(content[reservedKey])
		}
		if err != nil {
			return nil, fmt.Errorf("lite: Load %s: %w", path, err)
		}
	}
	rest = State{}
	for key, v := range content {
		if _, taken := into[key]; !taken && !o.OnlyState && (key != reservedKey || into == nil) {
			rest[key] = v
		}
	}
	return rest, nil
}

// LoadRaw reads a file that is the state of one thing alone (Fabric.load_raw), such as torch.save(model.state_dict()) writes:
// into is a model, a module, an optimizer or whatever else has StateDict and LoadStateDict.
func (l *Lite) LoadRaw(path string, into any, opts ...LoadOptions) error {
	switch into.(type) {
	case moduleState, nn.Module, stateful:
	default:
		return fmt.Errorf("lite: LoadRaw %s: want a model, a module or what has StateDict and LoadStateDict, got a %T", path, into)
	}
	o, content, err := l.read(path, nil, opts)
	if err != nil {
		return err
	}
	if key := modelKey(into, content); key != "" {
		return fmt.Errorf("lite: LoadRaw %s: the file has more than a module's state (%s): Load reads a part of it: l.Load(path, lite.State{%q: model})",
			path, someKeys(content), key)
	}
	f := filling{o: nn.LoadOptions{NonStrict: o.NonStrict, Rename: o.Rename}}
	if err = f.plan(l.partedValue(into), content, nil); err == nil {
		err = f.run()
	}
	if err != nil {
		return fmt.Errorf("lite: LoadRaw %s: %w", path, err)
	}
	return nil
}

// modelKey finds, in the content of a file that is no module's state, the key under which one is; it returns nothing where into
// is no module, or no key's value is a module's state.
func modelKey(into any, content map[string]any) string {
	switch into.(type) {
	case moduleState, nn.Module:
	default:
		return ""
	}
	if isStateDict(content) {
		return ""
	}
	for _, key := range append([]string{"model", "state_dict"}, slices.Sorted(maps.Keys(content))...) {
		if sd, err := stateDictOf(content[key]); err == nil && sd.Len() > 0 {
			return key
		}
	}
	return ""
}

// read reads a file whose content is a dictionary with names as keys. With the default CheckpointIO the tensors of into's
// modules are read in place.
func (l *Lite) read(path string, into State, opts []LoadOptions) (o LoadOptions, content map[string]any, err error) {
	if o, err = options.One(opts); err != nil {
		return o, nil, fmt.Errorf("lite: Load: %w", err)
	}
	load := l.io.Load
	if f, own := l.io.(*fileIO); own {
		load = func(path string) (any, error) { return f.loadInto(path, l.parted(into), o) }
	}
	raw, err := load(path)
	if err != nil {
		return o, nil, fmt.Errorf("lite: Load: %w", err)
	}
	content, ok := asContent(goValue(raw))
	if !ok {
		return o, nil, fmt.Errorf("lite: Load %s: want a dictionary with names as keys, found a %s: serial.Load reads anything", path, typename.Of(raw))
	}
	return o, content, nil
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

// loadInto reads a file or a folder as Load does, and the tensors that the State has straight into their memory, where dtype and
// layout are the file's. What doesn't fit is found from names and shapes, before anything is changed, and every checksum is
// checked before the first tensor is overwritten.
func (f *fileIO) loadInto(path string, into State, o LoadOptions) (any, error) {
	targets := into.targets()
	target := func(name string) *torch.Tensor { return targets[name] }
	st, err := os.Stat(path)
	folder := err == nil && st.IsDir()
	load := func(device torch.Device) (any, error) {
		if folder {
			return serial.LoadSharded(path, serial.ShardOptions{Device: device, Box: into.box, Only: into.only(o), Into: target})
		}
		return serial.Load(path, serial.LoadOptions{Device: device, Only: into.only(o), Into: target})
	}
	if len(targets) > 0 {
		shapes, err := load(torch.Meta)
		if err != nil {
			return nil, err
		}
		if content, ok := asContent(goValue(shapes)); ok {
			if _, err := into.plan(content, o); err != nil {
				return nil, err
			}
		}
	}
	return load(torch.CPU)
}

// targets are the tensors of the State that can be read into, by their names in a file.
func (s State) targets() map[string]*torch.Tensor {
	out := map[string]*torch.Tensor{}
	add := func(key string, sd *torch.StateDict) {
		for name, t := range sd.All() {
			out[key+"."+name] = t
		}
	}
	for key, v := range s {
		switch v := v.(type) {
		case *partModule: // its rows are cut from what was read
		case moduleState:
			add(key, v.StateDict())
		case nn.Module:
			add(key, nn.StateDict(v))
		case *torch.Tensor:
			out[key] = v
		case *serial.Shard:
			out[key] = v.Tensor
		}
	}
	return out
}

// only tells which names of a file are read; nil stands for all of them.
func (s State) only(o LoadOptions) func(name string) bool {
	if !o.OnlyState || s == nil {
		return nil
	}
	return func(name string) bool {
		for end := 0; end < len(name); end++ {
			i := strings.IndexByte(name[end:], '.')
			if i < 0 {
				i = len(name) - end
			}
			end += i
			if _, ok := s[name[:end]]; ok || name[:end] == reservedKey {
				return true
			}
		}
		return false
	}
}

// box is the part of a tensor that the State has a place for.
func (s State) box(name string, _ []int) (offsets, sizes []int) {
	if p, ok := s[name].(*serial.Shard); ok {
		return p.Offsets, p.Tensor.Shape()
	}
	return nil, nil
}
