package builtin

import (
	"fmt"
	"reflect"

	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// dpName begins the messages of panics.
const dpName = `lite: strategy "dp"`

// scatter gives each device its arguments: tensors, those in structs, slices and maps too, are cut along dimension 0 as by
// torch.chunk, so that a small batch may leave devices out; all else is the same for all. It is empty where there is no tensor.
func scatter(args []reflect.Value, a accelerator.Accelerator, devices []torch.Device) [][]reflect.Value {
	s := &scatterer{accelerator: a, devices: devices, chunks: map[*torch.Tensor][]*torch.Tensor{}}
	for i, a := range args {
		if t := a.Type(); pytree.MovesItself(t) && !pytree.Holds(t) {
			torch.Fail(dpName, "argument %d of the forward pass, a %s, keeps its tensors to itself: export its fields, so that each device can be given its part", i, a.Type())
		}
		pytree.MapValue(a, func(t *torch.Tensor) *torch.Tensor { s.cut(t); return t })
	}
	parts := make([][]reflect.Value, s.n)
	for k := range parts {
		parts[k] = make([]reflect.Value, len(args))
		for i, a := range args {
			parts[k][i] = pytree.MapValue(a, func(t *torch.Tensor) *torch.Tensor { return s.chunks[t][k] })
		}
	}
	return parts
}

type scatterer struct {
	accelerator accelerator.Accelerator
	devices     []torch.Device
	chunks      map[*torch.Tensor][]*torch.Tensor
	n           int           // parts
	first       *torch.Tensor // that was cut into so many
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
		chunks[k] = accelerator.Move(s.accelerator, c, s.devices[k])
	}
	s.chunks[t] = chunks
}

// collect makes one list of results of the replicas' lists. An error of one is the error of all.
func (m *dpModule) collect(results [][]reflect.Value) []reflect.Value {
	for k, list := range results {
		for i, v := range list {
			if err, ok := v.Interface().(error); ok && v.Type() == errorType && err != nil {
				list[i] = reflect.ValueOf(fmt.Errorf("%s: %w", m.s.title(k), err)).Convert(errorType)
				return list
			}
		}
	}
	scalars := false
	z := &pytree.Zipper{Tensors: func(path string, list []*torch.Tensor) *torch.Tensor {
		t, scalar := join(path, list, m.s.e.Devices[0])
		scalars = scalars || scalar
		return t
	}, Fail: failGather}
	out := make([]reflect.Value, len(results[0]))
	for i := range out {
		column := make([]reflect.Value, len(results))
		for k := range results {
			column[k] = results[k][i]
		}
		out[i] = z.Value(fmt.Sprintf("result %d", i), column)
	}
	if scalars {
		m.s.scalars.Do(func() {
			m.s.e.Log.Warn(fmt.Sprintf("strategy \"dp\": %T returns a tensor without dimensions: a vector with the value of each replica comes out", m.module))
		})
	}
	return out
}

var errorType = reflect.TypeFor[error]()

// join joins the tensors of the replicas along dimension 0; those without dimensions, the values, make a vector.
func join(path string, list []*torch.Tensor, root torch.Device) (joined *torch.Tensor, scalar bool) {
	parts := make([]*torch.Tensor, len(list))
	for k, t := range list {
		if t.Dim() == 0 {
			scalar = true
			t = t.Unsqueeze(0)
		}
		parts[k] = t.To(root)
	}
	if len(parts) == 1 {
		return parts[0], scalar
	}
	if err := torch.Try(func() { joined = torch.Cat(parts, 0) }); err != nil {
		failGather(path, "can't be joined along dimension 0, which is the batch: %v", err)
	}
	return joined, scalar
}

func failGather(path, format string, args ...any) {
	torch.Fail(dpName, "%s %s", path, fmt.Sprintf(format, args...))
}
