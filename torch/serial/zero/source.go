package zero

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// newWriter finds the trained parameters, their groups and their states.
func newWriter(root *pickle.Dict, o Options) (*writer, error) {
	w := &writer{Options: o, rest: pickle.NewDict(pickle.PlainDict)}
	model, ok := get[*pickle.Dict](root, "model")
	if !ok {
		return nil, fmt.Errorf(`there is no "model": want a checkpoint with "model", and "optimizer" beside it`)
	}
	w.model = model
	for k, v := range root.All() {
		if k != "model" && k != "optimizer" && k != "param_names" {
			if err := w.rest.Set(k, v); err != nil {
				return nil, err
			}
		}
	}
	optimizer, ok := get[*pickle.Dict](root, "optimizer")
	if !ok {
		return w, w.noOptimizer()
	}
	return w, w.takeOptimizer(root, optimizer)
}

// trainable are the model's parameters by the usual names: float tensors that are no running statistics.
func (w *writer) trainable() (names []string) {
	for k, v := range w.model.All() {
		name, _ := k.(string)
		t, ok := v.(*ptfile.Tensor)
		last := name[strings.LastIndexByte(name, '.')+1:]
		if ok && floats[t.DType] && last != "running_mean" && last != "running_var" {
			names = append(names, name)
		}
	}
	return names
}

// noOptimizer puts all parameters into one group without states.
func (w *writer) noOptimizer() error {
	return w.addGroup(w.trainable(), pickle.NewDict(pickle.PlainDict), func(int, string) *pickle.Dict { return nil })
}

func (w *writer) takeOptimizer(root, optimizer *pickle.Dict) error {
	state, ok1 := get[*pickle.Dict](optimizer, "state")
	v, _ := optimizer.Get("param_groups")
	groups, ok2 := pickle.Items(v)
	if !ok1 || !ok2 {
		return fmt.Errorf(`optimizer: want "state" and "param_groups"`)
	}
	var order []string
	if v, ok := root.Get("param_names"); ok {
		lists, _ := pickle.Items(v)
		for _, l := range lists {
			names, _ := pickle.Items(l)
			for _, n := range names {
				name, _ := n.(string)
				order = append(order, name)
			}
		}
	} else if order = w.trainable(); len(groups) > 1 && !byName(groups) {
		return fmt.Errorf(`optimizer: its %d groups have numbers for parameters, whose names are not known: add "param_names", a list of names for each group`, len(groups))
	}
	for i, v := range groups {
		g, ok := v.(*pickle.Dict)
		if !ok {
			return fmt.Errorf("optimizer: param_groups[%d] is %s: want a dict", i, pickle.Describe(v))
		}
		v, _ := g.Get("params")
		list, _ := pickle.Items(v)
		var names []string
		keys := map[string]any{}
		for _, p := range list {
			name, ok := p.(string)
			if n, isNumber := p.(int); isNumber && n >= 0 && n < len(order) {
				name, ok = order[n], true
			}
			if !ok {
				return fmt.Errorf("optimizer: param_groups[%d] has the parameter %s, and the model has %d", i, pickle.Describe(p), len(order))
			}
			names, keys[name] = append(names, name), p
		}
		settings := pickle.NewDict(pickle.PlainDict)
		for k, v := range g.All() {
			if k == "params" || k == "param_names" {
				continue
			}
			if err := settings.Set(k, v); err != nil {
				return err
			}
		}
		err := w.addGroup(names, settings, func(_ int, name string) *pickle.Dict {
			e, _ := get[*pickle.Dict](state, keys[name])
			return e
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func byName(groups []any) bool {
	for _, v := range groups {
		g, _ := v.(*pickle.Dict)
		if g == nil {
			return false
		}
		v, _ := g.Get("params")
		list, _ := pickle.Items(v)
		for _, p := range list {
			if _, ok := p.(string); !ok {
				return false
			}
		}
	}
	return true
}

// addGroup adds a group; all of its parameters have the same states, or none has.
func (w *writer) addGroup(names []string, settings *pickle.Dict, state func(i int, name string) *pickle.Dict) error {
	var group []*source
	for i, name := range names {
		v, _ := w.model.Get(name)
		t, ok := v.(*ptfile.Tensor)
		if !ok || !floats[t.DType] || t.Layout != ptfile.Strided || t.Storage == nil {
			return fmt.Errorf("%s: the model has no dense float tensor of that name", name)
		}
		n, _ := elements(t.Shape)
		s := &source{param: param{name, t.Shape, n}, states: map[string]*ptfile.Tensor{}, others: pickle.NewDict(pickle.PlainDict)}
		var err error
		if s.weight, err = t.Compact(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if e := state(i, name); e != nil {
			for k, v := range e.All() {
				if err := s.addState(k, v); err != nil {
					return err
				}
			}
		}
		if len(group) > 0 && !sameKeys(s, group[0]) {
			return fmt.Errorf("optimizer: %s has other states than %s, and DeepSpeed keeps one vector for a group: give it a group of its own", name, group[0].name)
		}
		group = append(group, s)
	}
	w.groups, w.settings = append(w.groups, group), append(w.settings, settings)
	return nil
}

func sameKeys(a, b *source) bool {
	if len(a.states) != len(b.states) || !slices.Equal(a.others.Keys(), b.others.Keys()) {
		return false
	}
	for k := range a.states {
		if b.states[k] == nil {
			return false
		}
	}
	return true
}

func (s *source) addState(k, v any) error {
	name, ok := k.(string)
	if !ok || name == "" {
		return fmt.Errorf("optimizer: a state of %s is named %s: want text", s.name, pickle.Describe(k))
	}
	t, ok := v.(*ptfile.Tensor)
	if !ok || len(t.Shape) == 0 && len(s.shape) > 0 || name == "step" {
		return s.others.Set(name, v)
	}
	if !slices.Equal(t.Shape, s.shape) || !floats[t.DType] || t.Storage == nil {
		return fmt.Errorf("optimizer: %s of %s is %s of shape %v, and the parameter has %v", name, s.name, t.DType, t.Shape, s.shape)
	}
	c, err := t.Compact()
	s.states[name] = c
	return err
}

// floats are the types that become float32.
var floats = map[ptfile.DType]bool{"float32": true, "float64": true, "float16": true, "bfloat16": true}

// float32s reads the elements of a contiguous tensor as float32.
type float32s struct{ t *ptfile.Tensor }

// ReadAt reads whole elements (io.ReaderAt): offsets and lengths that are no multiple of 4 begin or end within one.
func (f float32s) ReadAt(dst []byte, off int64) (int, error) {
	size := int64(f.t.DType.Size())
	base := int64(f.t.Offset) * size
	if f.t.DType == "float32" {
		return f.t.Storage.ReadAt(dst, base+off)
	}
	first, last := off/4, (off+int64(len(dst))+3)/4
	raw := make([]byte, (last-first)*size)
	if n, err := f.t.Storage.ReadAt(raw, base+first*size); n < len(raw) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	out := make([]byte, (last-first)*4)
	for i := range int(last - first) {
		x := real(f.t.DType.Number(raw[i*int(size):]))
		binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(float32(x)))
	}
	return copy(dst, out[off-first*4:]), nil
}
