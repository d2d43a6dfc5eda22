package zero

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Options say what Write writes.
type Options struct {
	Stage int    // 1, 2 or 3
	World int    // ranks that will load it
	Tag   string // the folder's name under dir; empty: "checkpoint", as Lightning calls it
}

// Write writes a folder of DeepSpeed's from a tree as Open makes it, or as a plain or sharded checkpoint holds it: "model"
// with names and tensors and, where there is one, "optimizer" with "state" and "param_groups", whose parameters are numbers in
// the order of "param_names" or of the model, or names. Tensors of float types become float32; those that the optimizer does
// not have and the model's buffers, by PyTorch's usual names, stay as they are in the module. The file "latest" comes last.
func Write(dir string, root *pickle.Dict, o Options) error {
	o.Tag = cmp.Or(o.Tag, "checkpoint")
	if o.Stage < 1 || o.Stage > 3 || o.World < 1 || o.World > 1<<16 {
		return fmt.Errorf("zero: stage %d and %d ranks: want a stage from 1 to 3, and at least one rank", o.Stage, o.World)
	}
	if strings.ContainsAny(o.Tag, "/\\\x00") || o.Tag == "." || o.Tag == ".." {
		return fmt.Errorf("zero: the tag %q: want the name of a folder", o.Tag)
	}
	w, err := newWriter(root, o)
	if err != nil {
		return fmt.Errorf("zero: %w", err)
	}
	folder := filepath.Join(dir, o.Tag)
	if names, err := partNames(folder); err == nil && len(names) > 0 {
		return fmt.Errorf("%s: there is a checkpoint already: remove it, or name another folder", folder)
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	for rank := range o.World {
		if err := w.rank(folder, rank); err != nil {
			return err
		}
	}
	return atomicfile.Write(atomicfile.OS, filepath.Join(dir, "latest"), int64(len(o.Tag)), func(out io.WriterAt) error {
		_, err := out.WriteAt([]byte(o.Tag), 0)
		return err
	})
}

// writer makes the parts of a folder.
type writer struct {
	Options
	model, rest *pickle.Dict
	groups      [][]*source
	settings    []*pickle.Dict // of each group, without params
}

// source is a trained parameter with its states.
type source struct {
	param
	weight *ptfile.Tensor
	states map[string]*ptfile.Tensor // of its shape
	others *pickle.Dict              // the step
}

func write(d *pickle.Dict, pairs ...any) (*pickle.Dict, error) {
	for i := 0; i < len(pairs); i += 2 {
		if err := d.Set(pairs[i], pairs[i+1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// rank writes the files of one rank.
func (w *writer) rank(folder string, rank int) error {
	name := fmt.Sprintf("zero_pp_rank_%d_mp_rank_00_", rank)
	optimizer, err := w.optimizerPart(rank)
	if err != nil {
		return err
	}
	if err := save(filepath.Join(folder, name+"optim_states.pt"), optimizer); err != nil {
		return err
	}
	if w.Stage == 3 {
		name += "model_states.pt"
	} else if name = "mp_rank_00_model_states.pt"; rank > 0 {
		return nil
	}
	model, err := w.modelPart()
	if err != nil {
		return err
	}
	return save(filepath.Join(folder, name), model)
}

func save(path string, root any) error {
	a, err := ptfile.NewArchive(root, ptfile.Options{FullPickle: true})
	if err != nil {
		return err
	}
	return atomicfile.Write(atomicfile.OS, path, a.Size(), func(out io.WriterAt) error { return a.WriteTo(out, 0) })
}

// optimizerPart is a rank's slices of all vectors.
func (w *writer) optimizerPart(rank int) (*pickle.Dict, error) {
	var vectors, paddings, counts, gaps, settings []any
	states := pickle.NewDict(pickle.PlainDict)
	number := 0
	for i, g := range w.groups {
		weights, padding := w.slice(g, rank, "", false)
		vectors, paddings = append(vectors, weights), append(paddings, padding)
		counts, gaps = append(counts, w.World), append(gaps, slices.Repeat([]any{0}, len(g)))
		entry := pickle.NewDict(pickle.PlainDict)
		if len(g) > 0 {
			for k, v := range g[0].others.All() {
				if err := entry.Set(k, v); err != nil {
					return nil, err
				}
			}
			for _, name := range slices.Sorted(maps.Keys(g[0].states)) {
				t, _ := w.slice(g, rank, name, true)
				if err := entry.Set(name, t); err != nil {
					return nil, err
				}
			}
		}
		if entry.Len() > 0 {
			if err := states.Set(i, entry); err != nil {
				return nil, err
			}
		}
		group := pickle.NewDict(pickle.PlainDict)
		for k, v := range w.settings[i].All() {
			if err := group.Set(k, v); err != nil {
				return nil, err
			}
		}
		if err := group.Set("params", []any{number}); err != nil {
			return nil, err
		}
		settings = append(settings, group)
		number++
	}
	inner, err := write(pickle.NewDict(pickle.PlainDict), "state", states, "param_groups", settings)
	if err != nil {
		return nil, err
	}
	head := pickle.NewDict(pickle.PlainDict)
	if w.Stage == 3 {
		_, err = write(head, "zero_stage", 3, "dynamic_loss_scale", false, "overflow", false, "partition_count", w.World,
			"optimizer_state_dict", inner, "fp32_flat_groups", vectors)
	} else {
		_, err = write(head, "dynamic_loss_scale", false, "overflow", false, "clip_grad", 0.0, "base_optimizer_state", inner,
			"single_partition_of_fp32_groups", vectors, "zero_stage", w.Stage, "group_paddings", paddings,
			"param_alignment_paddings", gaps, "partition_count", counts, "ds_version", version)
	}
	if err != nil {
		return nil, err
	}
	return write(pickle.NewDict(pickle.PlainDict), "optimizer_state_dict", head, "ds_version", version)
}

// version is of the layout.
const version = "0.19.8"

// slice is a rank's part of a group's vector: of the weights, or of a state. padded: with the zeros at the end of all.
func (w *writer) slice(g []*source, rank int, state string, padded bool) (t *ptfile.Tensor, padding int) {
	run := &pieces{}
	of := func(s *source) io.ReaderAt {
		if state == "" {
			return float32s{s.weight}
		}
		return float32s{s.states[state]}
	}
	const size = 4
	if w.Stage == 3 {
		for _, s := range g {
			part := (s.n + w.World - 1) / w.World
			from := min(rank*part, s.n)
			take := min(part, s.n-from)
			run.add(of(s), int64(from)*size, int64(take)*size)
			run.add(nil, 0, int64(part-take)*size)
		}
		return run.tensor("float32", []int{int(run.size / size)}), 0
	}
	total := 0
	for _, s := range g {
		total += s.n
	}
	length := (total + 2*w.World - 1) / (2 * w.World) * 2
	from, to := rank*length, (rank+1)*length
	at := 0
	for _, s := range g {
		a, b := max(from, at), min(to, at+s.n)
		if a < b {
			run.add(of(s), int64(a-at)*size, int64(b-a)*size)
		}
		at += s.n
	}
	padding = to - max(from, min(to, total))
	if padded {
		run.add(nil, 0, int64(padding)*size)
	}
	return run.tensor("float32", []int{int(run.size / size)}), padding
}

// modelPart is the model file.
func (w *writer) modelPart() (*pickle.Dict, error) {
	module, shapes, trained := pickle.NewDict(pickle.OrderedDict), []any{}, map[string]bool{}
	for _, g := range w.groups {
		d := pickle.NewDict(pickle.OrderedDict)
		for _, s := range g {
			trained[s.name] = true
			if err := d.Set(s.name, ptfile.Size(s.shape)); err != nil {
				return nil, err
			}
		}
		shapes = append(shapes, d)
	}
	buffers := []any{}
	for k, v := range w.model.All() {
		name, _ := k.(string)
		switch {
		case !trained[name]:
			buffers = append(buffers, name) // also what is frozen: zero_to_fp32 takes both from the module
		case w.Stage == 3:
			v = (&pieces{}).tensor("float32", []int{0})
		}
		if err := module.Set(name, v); err != nil {
			return nil, err
		}
	}
	root, err := write(pickle.NewDict(pickle.PlainDict), "module", module, "buffer_names", buffers, "optimizer", nil,
		"param_shapes", shapes, "frozen_param_shapes", nil, "shared_params", pickle.NewDict(pickle.PlainDict), "frozen_param_fragments", nil,
		"lr_scheduler", nil, "data_sampler", nil, "random_ltd", nil, "skipped_steps", 0, "global_steps", 0, "global_samples", 0,
		"dp_world_size", w.World, "mp_world_size", 1, "ds_config", pickle.NewDict(pickle.PlainDict), "ds_version", version)
	if err != nil {
		return nil, err
	}
	var errs []error
	for k, v := range w.rest.All() {
		if k != "dp_world_size" && k != "ds_version" {
			errs = append(errs, root.Set(k, v))
		}
	}
	return root, errors.Join(errs...)
}
