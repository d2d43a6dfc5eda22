package lite

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// Sharded reports whether the strategy divides parameters among the ranks, so that a rank's tensors are parts: of such a
// model Save, SaveSharded and Load read and write the whole.
func (l *Lite) Sharded() bool { return l.parts.checkpoint != nil && l.rank.WorldSize > 1 }

// partModule is a module of which ranks hold parts, in a State that is saved or loaded.
type partModule struct {
	l      *Lite
	module nn.Module
	keep   func(name string, v any) bool // SaveOptions.Filter's; nil: all is saved
}

// partOptimizer is an optimizer of which ranks hold parts.
type partOptimizer struct {
	l *Lite
	o optim.Optimizer
}

// parted gives a State whose modules and optimizers go by the strategy's Checkpointer, if it has one.
func (l *Lite) parted(s State) State {
	if l.parts.checkpoint == nil || s == nil {
		return s
	}
	out := State{}
	for key, v := range s {
		out[key] = l.partedValue(v)
	}
	return out
}

func (l *Lite) partedValue(v any) any {
	if l.parts.checkpoint == nil || nilPointer(v) {
		return v
	}
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = l.partedValue(x[i])
		}
		return out
	case Handle:
		if h := x.handle(); h != nil {
			return &partModule{l: l, module: h.module}
		}
	case nn.Module:
		return &partModule{l: l, module: x}
	case optim.Optimizer:
		return &partOptimizer{l, x}
	}
	return v
}

// StateDict has the shapes of whole tensors and no memory: it is what a file's state is compared with.
func (p *partModule) StateDict() *torch.StateDict {
	sd := &torch.StateDict{}
	for name, t := range nn.StateDict(p.module).All() {
		shape := t.Shape()
		if part := p.l.parts.checkpoint.Part(t); part != nil {
			shape = part.Shape
		}
		sd.Set(name, torch.Options{DType: t.DType(), Device: torch.Meta}.Empty(shape...))
	}
	return sd
}

// LoadStateDict copies this rank's rows of whole tensors.
func (p *partModule) LoadStateDict(sd *torch.StateDict, _ ...nn.LoadOptions) error {
	want := p.StateDict()
	if !fits(sd, want, true) {
		e := &nn.StateDictError{Model: fmt.Sprintf("%T", p.module)}
		for name, t := range want.All() {
			if from, ok := sd.Get(name); ok && !slices.Equal(from.Shape(), t.Shape()) {
				e.Mismatched = append(e.Mismatched, nn.Mismatch{Key: name, Saved: from.Shape(), Want: t.Shape()})
			}
		}
		return e
	}
	err := torch.Try(func() {
		torch.Scope(func() {
			torch.NoGrad(func() {
				for name, t := range nn.StateDict(p.module).All() {
					from, ok := sd.Get(name)
					if !ok {
						continue
					}
					part := p.l.parts.checkpoint.Part(t)
					if part == nil {
						t.Copy_(from.View(t.Shape()...))
						continue
					}
					part.Tensor.Copy_(rowsOf(from, part.Offsets, part.Tensor.Shape(), part.Shape))
				}
			})
		})
	})
	if err != nil {
		return err
	}
	return p.l.parts.checkpoint.Loaded()
}

// rowsOf is a part along dimension 0 of a whole tensor.
func rowsOf(whole *torch.Tensor, offsets, sizes, shape []int) *torch.Tensor {
	return whole.Contiguous().View(shape...).Narrow(0, offsets[0], sizes[0])
}

// StateDict has a *serial.Shard for each tensor that ranks hold parts of.
func (p *partOptimizer) StateDict() map[string]any {
	state, err := p.l.parts.checkpoint.OptimizerState(p.o)
	if err != nil {
		torch.Fail("lite.Save", "%v", err)
	}
	return state
}

// LoadStateDict cuts whole tensors as the optimizer's are.
func (p *partOptimizer) LoadStateDict(state map[string]any) error {
	states, ok := state["state"].(map[int]any)
	if !ok {
		return p.l.parts.checkpoint.LoadOptimizer(p.o, state)
	}
	cut := map[int]any{}
	err := torch.Try(func() {
		for number, v := range states {
			entry, ok := v.(map[string]any)
			offsets, sizes, shape := p.l.parts.checkpoint.OptimizerPart(p.o, number)
			if !ok || shape == nil {
				cut[number] = v
				continue
			}
			slots := maps.Clone(entry)
			for name, x := range entry {
				if t, ok := x.(*torch.Tensor); ok && name != "step" && slices.Equal(t.Shape(), shape) {
					slots[name] = &serial.Shard{Tensor: rowsOf(t, offsets, sizes, shape).Clone(), Offsets: offsets, Shape: shape}
				}
			}
			cut[number] = slots
		}
	})
	if err != nil {
		return err
	}
	out := maps.Clone(state)
	out["state"] = cut
	return p.l.parts.checkpoint.LoadOptimizer(p.o, out)
}

// partContent is the content of a checkpoint with a *serial.Shard in the place of each tensor that ranks hold parts of; of those
// without rows nothing. All of it in one order on all ranks: whole makes one tensor of the parts, on rank 0, and may be nil.
func (l *Lite) partContent(v any, whole func(s *serial.Shard) *torch.Tensor) any {
	shard := func(s *serial.Shard) (any, bool) {
		switch {
		case whole != nil:
			t := whole(s)
			return t, t != nil
		case s.Tensor.Numel() == 0:
			return nil, false
		}
		return s, true
	}
	switch v := v.(type) {
	case *partModule:
		return l.moduleContent(v, shard, whole != nil)
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if s, ok := v[key].(*serial.Shard); ok {
				if x, ok := shard(s); ok {
					out[key] = x
				}
				continue
			}
			out[key] = l.partContent(v[key], whole)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = l.partContent(v[i], whole)
		}
		return out
	case map[int]any:
		out := map[int]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out[key] = l.partContent(v[key], whole)
		}
		return out
	}
	return v
}

// moduleContent is partContent of a module: a state dict of whole tensors, or a map with shards.
func (l *Lite) moduleContent(v *partModule, shard func(s *serial.Shard) (any, bool), whole bool) any {
	out := map[string]any{}
	sd := &torch.StateDict{}
	for name, t := range nn.StateDict(v.module).All() {
		if v.keep != nil && !v.keep(name, t) {
			continue
		}
		part := l.parts.checkpoint.Part(t)
		if part == nil {
			out[name] = t
			sd.Set(name, t)
			continue
		}
		if x, ok := shard(part); ok {
			out[name] = x
			if t, plain := x.(*torch.Tensor); plain {
				sd.Set(name, t)
			}
		}
	}
	if whole {
		return sd
	}
	return out
}

// wholeTensor makes one tensor of the ranks' parts, on the CPU of rank 0; nil elsewhere. The parts may be of different sizes.
func (l *Lite) wholeTensor(s *serial.Shard) (whole *torch.Tensor) {
	if l.rank.WorldSize == 1 {
		return s.Tensor
	}
	rows := AllGather(l, [2]int{s.Offsets[0], s.Tensor.Shape()[0]})
	most := 0
	for _, r := range rows {
		most = max(most, r[1])
	}
	torch.NoGrad(func() {
		torch.Scope(func() {
			padded := torch.Options{DType: s.Tensor.DType(), Device: l.device}.Zeros(append([]int{most}, s.Shape[1:]...)...)
			padded.Narrow(0, 0, s.Tensor.Shape()[0]).Copy_(s.Tensor)
			var parts []*torch.Tensor
			for i, t := range l.group.Gather(padded, 0) {
				parts = append(parts, t.Narrow(0, 0, rows[i][1]))
			}
			if len(parts) > 0 {
				torch.NoScope(func() { whole = torch.Cat(parts, 0).To(torch.CPU) })
			}
		})
	})
	return whole
}

var (
	_ moduleState = (*partModule)(nil)
	_ stateful    = (*partOptimizer)(nil)
)

// SaveSharded writes a State as a folder into which all ranks write at once, for states too large for one of them or for one
// file: a checkpoint of PyTorch's distributed checkpoint (DCP). What is a *serial.Shard in the State is a rank's own part of a
// tensor. Of everything else the content is rank 0's, as with Save; the ranks share the writing of large tensors that are equal
// on all of them, bit for bit, as a replicated model's and its optimizer's are. All ranks call it, and see the same folder.
//
// The folder is the checkpoint that was there before until all parts are safe, and then the new one. When a rank fails the
// parts are removed again, and all ranks return its error. Load reads the folder, on any number of ranks; the command
// ckpt consolidate makes one file of it. Async is not for it.
func (l *Lite) SaveSharded(dir string, v State, opts ...SaveOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return fmt.Errorf("lite: SaveSharded: %w", err)
	}
	if o.Async {
		return fmt.Errorf("lite: SaveSharded %s: it can't write in the background: leave SaveOptions.Async", dir)
	}
	own, ok := l.io.(*fileIO)
	if !ok {
		return fmt.Errorf("lite: SaveSharded %s: the checkpoint I/O %T has no folders: use Save", dir, l.io)
	}
	content, err := l.content(v, o, nil)
	id := Broadcast(l, serial.NewSaveID(), 0)
	var indexes [][]byte
	if err = l.agree(dir, err); err == nil {
		if indexes, err = l.saveParts(dir, id, content); err != nil {
			l.onFirst(func() error { return serial.DiscardParts(dir, id) })
			return err
		}
		err = l.onFirst(func() error {
			if err := errors.Join(own.saver.Wait(), serial.CommitParts(dir, indexes)); err != nil || o.Keep.Pattern == "" {
				return err
			}
			_, err := serial.Prune(o.Keep)
			return err
		})
		err = l.agree(dir, err)
	}
	return err
}

// saveParts writes this rank's part, and gives the indexes of all, or on all ranks the same error.
func (l *Lite) saveParts(dir, id string, content any) (indexes [][]byte, err error) {
	o := serial.PartOptions{Ranks: l.rank.WorldSize}
	if l.rank.WorldSize > 1 {
		var sums map[string]uint32
		l.group.WithoutTimeout(func() { sums, err = serial.TensorSums(content) })
		if err := l.agree(dir, err); err != nil {
			return nil, err
		}
		o.Equal = equalEverywhere(AllGather(l, sums))
	}
	var index []byte
	l.group.WithoutTimeout(func() { index, err = serial.SavePart(dir, l.rank.GlobalRank, id, content, o) })
	if err := l.agree(dir, err); err != nil {
		return nil, err
	}
	return AllGather(l, index), nil
}

// equalEverywhere tells by its name whether a tensor has the same sum on all ranks.
func equalEverywhere(sums []map[string]uint32) func(name string) bool {
	return func(name string) bool {
		first, ok := sums[0][name]
		for _, s := range sums[1:] {
			sum, there := s[name]
			ok = ok && there && sum == first
		}
		return ok
	}
}

// onFirst runs f on rank 0, while the others wait for as long as it takes; they get no error.
func (l *Lite) onFirst(f func() error) (err error) {
	var run func()
	if l.IsGlobalZero() {
		run = func() { err = f() }
	}
	l.group.WithoutTimeout(run)
	return err
}

// agree gives all ranks the first rank's error that has one.
func (l *Lite) agree(path string, err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	for rank, t := range AllGather(l, text) {
		switch {
		case t == "":
		case rank == l.rank.GlobalRank:
			return fmt.Errorf("lite: SaveSharded %s: %w", path, err)
		default:
			return fmt.Errorf("lite: SaveSharded %s, on rank %d: %s", path, rank, t)
		}
	}
	return nil
}
