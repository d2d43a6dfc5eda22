package lite

import (
	"reflect"

	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

var tensorType = reflect.TypeFor[*torch.Tensor]()

type (
	fn11 = func(*torch.Tensor) *torch.Tensor
	fn21 = func(_, _ *torch.Tensor) *torch.Tensor
	fn31 = func(_, _, _ *torch.Tensor) *torch.Tensor
	fn12 = func(*torch.Tensor) (_, _ *torch.Tensor)
)

// wrap gives a function of f's type that runs it as a forward pass of h. Common shapes are wrapped directly, others
// through reflection, built once.
func wrap[F any](h *handle, f F, method strategy.Method) (F, error) {
	if h.dispatcher != nil {
		if _, err := method.On(h.module); err != nil {
			return f, err
		}
		return reflect.MakeFunc(method.Value.Type(), func(args []reflect.Value) []reflect.Value {
			h.pass()
			return h.dispatcher.Dispatch(method, args)
		}).Interface().(F), nil
	}
	if h.direct() {
		return f, nil
	}
	in, out := h.l.precision.Input, h.l.precision.Output
	var wrapped any
	switch f := any(f).(type) {
	case fn11:
		wrapped = func(x *torch.Tensor) *torch.Tensor {
			x = maybe(in, x)
			return maybe(out, h.run(func() []*torch.Tensor { return []*torch.Tensor{f(x)} })[0])
		}
	case fn21:
		wrapped = func(x1, x2 *torch.Tensor) *torch.Tensor {
			x1, x2 = maybe(in, x1), maybe(in, x2)
			return maybe(out, h.run(func() []*torch.Tensor { return []*torch.Tensor{f(x1, x2)} })[0])
		}
	case fn31:
		wrapped = func(x1, x2, x3 *torch.Tensor) *torch.Tensor {
			x1, x2, x3 = maybe(in, x1), maybe(in, x2), maybe(in, x3)
			return maybe(out, h.run(func() []*torch.Tensor { return []*torch.Tensor{f(x1, x2, x3)} })[0])
		}
	case fn12:
		wrapped = func(x *torch.Tensor) (_, _ *torch.Tensor) {
			x = maybe(in, x)
			y := h.run(func() []*torch.Tensor { y1, y2 := f(x); return []*torch.Tensor{y1, y2} })
			return maybe(out, y[0]), maybe(out, y[1])
		}
	default:
		wrapped = wrapAny(h, reflect.ValueOf(f)).Interface()
	}
	return wrapped.(F), nil
}

func maybe(convert func(*torch.Tensor) *torch.Tensor, t *torch.Tensor) *torch.Tensor {
	if t == nil {
		return nil
	}
	return convert(t)
}

// wrapAny wraps a function of any type. Arguments are converted in tensors, structs, slices and maps, which are copied where
// something is; what a pointer points at is the caller's and the model's own, so that a cache that the method writes is the
// caller's. Results are converted behind pointers as well, but for those that were given.
func wrapAny(h *handle, f reflect.Value) reflect.Value {
	in, out := h.l.precision.Input, h.l.precision.Output
	return reflect.MakeFunc(f.Type(), func(args []reflect.Value) (results []reflect.Value) {
		for i := range args {
			args[i], _ = (&pytree.Mapper{Tensor: in, Shallow: true}).Value(args[i])
		}
		convert := func(f func(*torch.Tensor) *torch.Tensor) {
			m := &pytree.Mapper{Tensor: f}
			for _, a := range args {
				if a.Kind() == reflect.Pointer && a.Type() != tensorType {
					m.Keep(a)
				}
			}
			for i := range results {
				results[i], _ = m.Value(results[i])
			}
		}
		var made []*torch.Tensor
		passed := h.run(func() []*torch.Tensor {
			if f.Type().IsVariadic() {
				results = f.CallSlice(args)
			} else {
				results = f.Call(args)
			}
			convert(func(t *torch.Tensor) *torch.Tensor { made = append(made, t); return t })
			return made
		})
		// What the strategy returns takes the place of what the method made.
		replaced := make(map[*torch.Tensor]*torch.Tensor, len(made))
		for i, t := range made {
			replaced[t] = passed[i]
		}
		convert(func(t *torch.Tensor) *torch.Tensor { return out(replaced[t]) })
		return results
	})
}
