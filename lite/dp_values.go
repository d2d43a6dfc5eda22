package lite

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// dpName begins the messages of panics.
const dpName = `lite: strategy "dp"`

// scatter gives each device its arguments: tensors, those in structs, slices and maps too, are cut along dimension 0 as by
// torch.chunk, so that a small batch may leave devices out; all else is the same for all. It is empty where there is no tensor.
func scatter(args []reflect.Value, devices []torch.Device) [][]reflect.Value {
	s := &scatterer{devices: devices, chunks: map[*torch.Tensor][]*torch.Tensor{}}
	for i, a := range args {
		if t := a.Type(); movesItself(t) && !holdsTensors(t, nil) {
			torch.Fail(dpName, "argument %d of the forward pass, a %s, keeps its tensors to itself: export its fields, so that each device can be given its part", i, a.Type())
		}
		mapValue(a, func(t *torch.Tensor) *torch.Tensor { s.cut(t); return t })
	}
	parts := make([][]reflect.Value, s.n)
	for k := range parts {
		parts[k] = make([]reflect.Value, len(args))
		for i, a := range args {
			parts[k][i] = mapValue(a, func(t *torch.Tensor) *torch.Tensor { return s.chunks[t][k] })
		}
	}
	return parts
}

type scatterer struct {
	devices []torch.Device
	chunks  map[*torch.Tensor][]*torch.Tensor
	n       int           // parts
	first   *torch.Tensor // that was cut into so many
}

func (s *scatterer) cut(t *torch.Tensor) {
	if s.chunks[t] != nil {
		return
	}
	if t.Dim() == 0 {
		torch.Fail(dpName, "an argument of the forward pass is a tensor without dimensions, which has no parts: give a Go number, or a tensor with a value for each sample")
	}
	chunks := aten.Chunk(t, len(s.devices), 0)
	if s.n == 0 {
		s.n, s.first = len(chunks), t
	}
	if len(chunks) != s.n {
		torch.Fail(dpName, "tensors of shapes %v and %v can't be shared out alike: %d devices get %d parts of one and %d of the other; dimension 0 is the batch in all arguments",
			s.first.Shape(), t.Shape(), len(s.devices), s.n, len(chunks))
	}
	for k, c := range chunks {
		if c.Device() != s.devices[k] {
			chunks[k] = moveTensor(c, s.devices[k])
		}
	}
	s.chunks[t] = chunks
}

// collect makes one list of results of the replicas' lists. An error of one is the error of all.
func (r *replicas) collect(h *handle, results [][]reflect.Value) []reflect.Value {
	for k, list := range results {
		for i, v := range list {
			if err, ok := v.Interface().(error); ok && v.Type() == errorType && err != nil {
				list[i] = reflect.ValueOf(fmt.Errorf("%s: %w", r.title(k), err)).Convert(errorType)
				return list
			}
		}
	}
	g := &gatherer{root: r.devices[0]}
	out := make([]reflect.Value, len(results[0]))
	for i := range out {
		column := make([]reflect.Value, len(results))
		for k := range results {
			column[k] = results[k][i]
		}
		out[i] = g.value(fmt.Sprintf("result %d", i), column)
	}
	if g.scalars {
		r.scalars.Do(func() {
			h.l.log.Warn(fmt.Sprintf("strategy \"dp\": %s returns a tensor without dimensions: a vector with the value of each replica comes out", h))
		})
	}
	return out
}

var errorType = reflect.TypeFor[error]()

// gatherer makes one value of the values that replicas returned for it: tensors are joined along dimension 0.
type gatherer struct {
	root    torch.Device
	scalars bool                        // some had no dimensions
	made    map[reference]reflect.Value // what references became: they may come round to their beginning
}

// start makes what a value's parts are written to. Of pointers, slices and maps that were met before it is what became
// of them.
func (g *gatherer) start(list []reflect.Value) (out reflect.Value, met bool) {
	first := list[0]
	t := first.Type()
	out = reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(t.Elem()))
	case reflect.Slice:
		out.Set(reflect.MakeSlice(t, first.Len(), first.Len()))
	case reflect.Map:
		out.Set(reflect.MakeMapWithSize(t, first.Len()))
	default:
		return out, false
	}
	key := reference{of: t}
	for _, v := range list {
		at := addressOf(v)
		key.at += fmt.Sprintf("%x %d ", at.at, at.len)
	}
	if v, met := g.made[key]; met {
		return v, true
	}
	if g.made == nil {
		g.made = map[reference]reflect.Value{}
	}
	g.made[key] = out
	return out, false
}

// reference is the addresses of a reference of each replica, with their type.
type reference struct {
	at string
	of reflect.Type
}

func (g *gatherer) value(path string, list []reflect.Value) reflect.Value {
	first := list[0]
	t := first.Type()
	if !holdsTensors(t, nil) || t.Implements(moduleType) {
		return g.same(path, list)
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		if g.absent(path, list) {
			return first
		}
	}
	if t == tensorType {
		return g.tensor(path, list)
	}
	out, met := g.start(list)
	if met {
		return out
	}
	switch t.Kind() {
	case reflect.Pointer:
		out.Elem().Set(g.value(path, each(list, reflect.Value.Elem)))
	case reflect.Interface:
		inner := each(list, reflect.Value.Elem)
		for _, v := range inner {
			if v.Type() != inner[0].Type() {
				g.fail(path, "is a %s of one replica and a %s of another", inner[0].Type(), v.Type())
			}
		}
		out.Set(g.value(path, inner))
	case reflect.Struct:
		out.Set(first)
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				out.Field(i).Set(g.value(path+"."+f.Name, each(list, func(v reflect.Value) reflect.Value { return v.Field(i) })))
			}
		}
	case reflect.Slice, reflect.Array:
		g.alike(path, list)
		for i := range first.Len() {
			out.Index(i).Set(g.value(fmt.Sprintf("%s[%d]", path, i), each(list, func(v reflect.Value) reflect.Value { return v.Index(i) })))
		}
	case reflect.Map:
		g.alike(path, list)
		for it := first.MapRange(); it.Next(); {
			at := fmt.Sprintf("%s[%v]", path, it.Key())
			out.SetMapIndex(it.Key(), g.value(at, each(list, func(v reflect.Value) reflect.Value {
				e := v.MapIndex(it.Key())
				if !e.IsValid() {
					g.fail(at, "is there of one replica and not of another")
				}
				return e
			})))
		}
	}
	return out
}

func each(list []reflect.Value, f func(reflect.Value) reflect.Value) []reflect.Value {
	out := make([]reflect.Value, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// absent tells whether a value is nil of all replicas.
func (g *gatherer) absent(path string, list []reflect.Value) bool {
	for _, v := range list {
		if v.IsNil() != list[0].IsNil() {
			g.fail(path, "is nil of one replica and not of another")
		}
	}
	return list[0].IsNil()
}

func (g *gatherer) alike(path string, list []reflect.Value) {
	for _, v := range list {
		if v.Len() != list[0].Len() {
			g.fail(path, "has %d elements of one replica and %d of another", list[0].Len(), v.Len())
		}
	}
}

// same takes what is no tensor, which has to be equal of all replicas.
func (g *gatherer) same(path string, list []reflect.Value) reflect.Value {
	for _, v := range list {
		if !reflect.DeepEqual(v.Interface(), list[0].Interface()) {
			g.fail(path, "is %v of one replica and %v of another, and only tensors can be joined: return it as a tensor", list[0], v)
		}
	}
	return list[0]
}

func (g *gatherer) tensor(path string, list []reflect.Value) reflect.Value {
	parts := make([]*torch.Tensor, len(list))
	for k, v := range list {
		t := v.Interface().(*torch.Tensor)
		if t.Dim() == 0 {
			g.scalars = true
			t = t.Unsqueeze(0)
		}
		parts[k] = t.To(g.root)
	}
	if len(parts) == 1 {
		return reflect.ValueOf(parts[0])
	}
	var joined *torch.Tensor
	if err := torch.Try(func() { joined = torch.Cat(parts, 0) }); err != nil {
		g.fail(path, "can't be joined along dimension 0, which is the batch: %v", err)
	}
	return reflect.ValueOf(joined)
}

func (g *gatherer) fail(path, format string, args ...any) {
	torch.Fail(dpName, "%s %s", path, fmt.Sprintf(format, args...))
}
