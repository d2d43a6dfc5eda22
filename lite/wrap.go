package lite

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unsafe"

	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
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
func wrap[F any](h *handle, f F) F {
	if r := h.l.replicas; r != nil {
		return r.wrap(h, reflect.ValueOf(f)).Interface().(F)
	}
	if h.direct() {
		return f
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
	return wrapped.(F)
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

// checkForward tells whether f is a method of that very module. A function's type says nothing of its receiver, but
// its symbol does: a method value is called pkg.(*Type).Name-fm, and holds its receiver.
func checkForward(module nn.Module, f any, what string) error {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func {
		return fmt.Errorf("lite: %s: want a method of %T, got a %T", what, module, f)
	}
	if v.IsNil() {
		return fmt.Errorf("lite: %s: the forward of %T is nil", what, module)
	}
	symbol := runtime.FuncForPC(v.Pointer()).Name()
	method, isMethod := strings.CutSuffix(symbol, "-fm")
	method = method[strings.LastIndexByte(method, '.')+1:]
	if !isMethod {
		return fmt.Errorf("lite: %s: %s is no method of %T: give the module's own method, such as net.Forward, so that every strategy can find it", what, symbol, module)
	}
	if _, ok := reflect.TypeOf(module).MethodByName(method); !ok {
		return fmt.Errorf("lite: %s: %s is no method of %T: was it taken from another model?", what, symbol, module)
	}
	// Of an interface's method, or one with a value as receiver, the receiver's place isn't known.
	bound := strings.Contains(symbol, ".(*")
	if m := reflect.ValueOf(module); bound && m.Kind() == reflect.Pointer && !owns(m, receiver(v)) {
		return fmt.Errorf("lite: %s: %s belongs to another value than the module that was given", what, symbol)
	}
	return nil
}

// receiver reads what a method value was bound to: its code's address is followed by the receiver.
func receiver(f reflect.Value) unsafe.Pointer {
	p := f.Pointer()
	value := reflect.New(f.Type())
	value.Elem().Set(f)
	bound := *(**[2]unsafe.Pointer)(value.UnsafePointer())
	if uintptr(bound[0]) != p {
		return nil
	}
	return bound[1]
}

// owns tells whether p is the module or lies in it, as an embedded module's promoted method does.
func owns(module reflect.Value, p unsafe.Pointer) bool {
	if p == nil || p == module.UnsafePointer() {
		return true
	}
	start := uintptr(module.UnsafePointer())
	if at := uintptr(p); at > start && at < start+module.Type().Elem().Size() {
		return true
	}
	e := module.Elem()
	if e.Kind() != reflect.Struct {
		return false
	}
	for i := range e.NumField() {
		if f := e.Field(i); e.Type().Field(i).Anonymous && f.Kind() == reflect.Pointer && !f.IsNil() && owns(f, p) {
			return true
		}
	}
	return false
}
