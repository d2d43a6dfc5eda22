package zero

import (
	"maps"
	"slices"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// reader puts a Checkpoint's tree together.
type reader struct {
	c             *Checkpoint
	parts, models []part
	heads         []*pickle.Dict     // optimizer_state_dict of each rank
	inner         []*pickle.Dict     // of those, the inner optimizer's
	weights       [][]*ptfile.Tensor // of each rank: a vector for each group or sub-group
}

// param is a trained parameter.
type param struct {
	name  string
	shape []int
	n     int
}

// readHeads reads the optimizers' parts as far as the model is not needed.
func (r *reader) readHeads() error {
	for rank, p := range r.parts {
		head, err := p.dict(p.root, "optimizer_state_dict")
		if err != nil {
			return err
		}
		stage, ok := get[int](head, "zero_stage")
		if !ok || stage < 1 || stage > 3 {
			return p.fail("zero_stage is missing or no number from 1 to 3")
		}
		if rank == 0 {
			r.c.Stage = stage
		} else if stage != r.c.Stage {
			return p.fail("zero_stage is %d, and rank 0's is %d: the parts are of different runs", stage, r.c.Stage)
		}
		v, _ := head.Get("partition_count")
		counts, isList := pickle.Items(v)
		if !isList {
			counts = []any{v}
		}
		most := 0
		for _, n := range counts {
			if n, ok := n.(int); ok {
				most = max(most, n)
			}
		}
		if most != r.c.World {
			return p.fail("partition_count is %d, and the folder has %d parts of optimizers: parts are missing, or of another run", most, r.c.World)
		}
		vectors, states := "single_partition_of_fp32_groups", "base_optimizer_state"
		if stage == 3 {
			vectors, states = "fp32_flat_groups", "optimizer_state_dict"
		}
		v, _ = head.Get(vectors)
		list, ok := pickle.Items(v)
		if !ok {
			return p.fail("%s is missing or no list", vectors)
		}
		var weights []*ptfile.Tensor
		for i, v := range list {
			t, err := vector(v)
			if err != nil {
				return p.fail("%s[%d]: %w", vectors, i, err)
			}
			weights = append(weights, t)
		}
		inner, err := p.dict(head, states)
		if err != nil {
			return err
		}
		if rank > 0 && len(weights) != len(r.weights[0]) {
			return p.fail("it has %d vectors of weights, and rank 0's file %d", len(weights), len(r.weights[0]))
		}
		if err := aligned(p, head); err != nil {
			return err
		}
		r.heads, r.weights, r.inner = append(r.heads, head), append(r.weights, weights), append(r.inner, inner)
	}
	return nil
}

// aligned refuses vectors with gaps between parameters.
func aligned(p part, head *pickle.Dict) error {
	v, _ := head.Get("param_alignment_paddings")
	groups, _ := pickle.Items(v)
	for _, g := range groups {
		gaps, _ := pickle.Items(g)
		if slices.ContainsFunc(gaps, func(n any) bool { return n != 0 }) {
			return p.fail("parameters are aligned (parameter_alignment), which golite does not read: save without it")
		}
	}
	return nil
}

func get[T any](d *pickle.Dict, key any) (T, bool) {
	v, _ := d.Get(key)
	t, ok := v.(T)
	return t, ok
}

// groups reads param_shapes: the parameters of each group, in the order in which they are flattened.
func (r *reader) groups() ([][]param, error) {
	p := r.models[0]
	v, _ := p.root.Get("param_shapes")
	list, ok := pickle.Items(v)
	if !ok {
		return nil, p.fail("param_shapes is missing or no list: want a model file of DeepSpeed's stages 1 to 3")
	}
	var groups [][]param
	for _, v := range list {
		d, ok := v.(*pickle.Dict)
		if !ok {
			return nil, p.fail("param_shapes holds %s: want a dict of names and shapes", pickle.Describe(v))
		}
		group, err := p.shapes(d)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func (p part) shapes(d *pickle.Dict) (list []param, err error) {
	for k, v := range d.All() {
		name, ok1 := k.(string)
		shape, ok2 := v.(ptfile.Size)
		n, ok3 := elements(shape)
		if !ok1 || !ok2 || !ok3 {
			return nil, p.fail("%s has the shape %s: want names and sizes", pickle.Describe(k), pickle.Describe(v))
		}
		list = append(list, param{name, slices.Clone([]int(shape)), n})
	}
	return list, nil
}

// tree makes Root.
func (r *reader) tree() (*pickle.Dict, error) {
	groups, err := r.groups()
	if err != nil {
		return nil, err
	}
	model, optimizer, names := pickle.NewDict(pickle.OrderedDict), pickle.NewDict(pickle.PlainDict), []any{}
	found, state := map[string]*ptfile.Tensor{}, pickle.NewDict(pickle.PlainDict)
	layout := r.stage12
	if r.c.Stage == 3 {
		layout = r.stage3
	}
	if err := layout(groups, found, state); err != nil {
		return nil, err
	}
	if err := r.frozen(found); err != nil {
		return nil, err
	}
	if err := r.fill(model, found); err != nil {
		return nil, err
	}
	settings, err := r.settings(groups)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		list := []any{}
		for _, p := range g {
			list = append(list, p.name)
		}
		names = append(names, list)
	}
	root := pickle.NewDict(pickle.PlainDict)
	set := func(d *pickle.Dict, k, v any) {
		if err == nil {
			err = d.Set(k, v)
		}
	}
	set(optimizer, "state", state)
	set(optimizer, "param_groups", settings)
	set(root, "model", model)
	set(root, "optimizer", optimizer)
	set(root, "param_names", names)
	internal := []string{"module", "buffer_names", "optimizer", "param_shapes", "frozen_param_shapes", "shared_params",
		"frozen_param_fragments", "ds_config", "model", "param_names"}
	for k, v := range r.models[0].root.All() {
		if name, ok := k.(string); ok && !slices.Contains(internal, name) {
			set(root, k, v)
		}
	}
	return root, err
}

// fill writes the model's tensors in the order of its state dict; what the optimizer does not have (buffers, and shared
// parameters) is the module's own.
func (r *reader) fill(model *pickle.Dict, found map[string]*ptfile.Tensor) error {
	p := r.models[0]
	module, err := p.dict(p.root, "module")
	if err != nil {
		return err
	}
	if shared, ok := get[*pickle.Dict](p.root, "shared_params"); ok {
		for k, v := range shared.All() {
			name, _ := k.(string)
			if of, ok := v.(string); ok && found[of] != nil {
				found[name] = found[of]
			}
		}
	}
	for k, v := range module.All() {
		name, ok := k.(string)
		if !ok {
			return p.fail("module has the key %s: want names", pickle.Describe(k))
		}
		if t := found[name]; t != nil {
			v = t
		} else if t, ok := v.(*ptfile.Tensor); ok && r.c.Stage == 3 && t.Elements() == 0 && !r.isBuffer(name) {
			return p.fail("%s: no part has its elements", name)
		}
		if err := model.Set(name, v); err != nil {
			return p.fail("%w", err)
		}
		delete(found, name)
	}
	if len(found) > 0 {
		return p.fail("%s is in param_shapes, and not in module", slices.Sorted(maps.Keys(found))[0])
	}
	return nil
}

func (r *reader) isBuffer(name string) bool {
	v, _ := r.models[0].root.Get("buffer_names")
	list, _ := pickle.Items(v)
	return slices.Contains(list, any(name))
}

// settings are the inner optimizer's groups with the numbers of their parameters.
func (r *reader) settings(groups [][]param) (out []any, err error) {
	p := r.parts[0]
	v, _ := r.inner[0].Get("param_groups")
	list, ok := pickle.Items(v)
	if !ok || len(list) != len(groups) {
		return nil, p.fail("param_groups are %d, and param_shapes of %s %d", len(list), r.models[0].path, len(groups))
	}
	n := 0
	for i, v := range list {
		from, ok := v.(*pickle.Dict)
		if !ok {
			return nil, p.fail("param_groups[%d] is %s: want a dict", i, pickle.Describe(v))
		}
		group := pickle.NewDict(pickle.PlainDict)
		for k, v := range from.All() {
			if k != "params" {
				err = group.Set(k, v)
			}
		}
		numbers := []any{}
		for range groups[i] {
			numbers = append(numbers, n)
			n++
		}
		if err == nil {
			err = group.Set("params", numbers)
		}
		if err != nil {
			return nil, p.fail("%w", err)
		}
		out = append(out, group)
	}
	return out, nil
}
