package lite

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// methodOf is the method of a module that f is, by the getter that the program gives: the type system has checked it.
func methodOf[M nn.Module, F any](module M, of func(M) F, what string) (f F, m strategy.Method, err error) {
	if of == nil {
		return f, m, fmt.Errorf("lite: %s: the function is nil", what)
	}
	f = of(module)
	if err := checkFunc(module, f, what); err != nil {
		return f, m, err
	}
	return f, strategy.Method{
		Name: fmt.Sprintf("a method of %T", module), Value: reflect.ValueOf(f),
		On: func(m nn.Module) (reflect.Value, error) { return reflect.ValueOf(of(m.(M))), nil },
	}, nil
}

// namedMethod is the method of a module that f is, by the name that the runtime has for f.
//
// Why: a function's type says nothing of its receiver, and no package of Go's library gives it. The form of the names
// is not promised, so that the name proposes a method only, and types check it; see methodName.
func namedMethod(module nn.Module, f any, what string) (m strategy.Method, err error) {
	if err := checkFunc(module, f, what); err != nil {
		return m, err
	}
	v := reflect.ValueOf(f)
	if !namesKnown {
		return strategy.Method{Name: fmt.Sprintf("a method of %T", module), Value: v, On: func(nn.Module) (reflect.Value, error) {
			return reflect.Value{}, fmt.Errorf("which method of %T this is can't be told from a program of this Go compiler: use lite.SetupOf", module)
		}}, nil
	}
	name, err := methodName(module, runtime.FuncForPC(v.Pointer()).Name(), v.Type())
	if err != nil {
		return m, fmt.Errorf("lite: %s: %w", what, err)
	}
	return strategy.Method{Name: fmt.Sprintf("%T.%s", module, name), Value: v, On: func(m nn.Module) (reflect.Value, error) {
		return reflect.ValueOf(m).MethodByName(name), nil
	}}, nil
}

func checkFunc(module nn.Module, f any, what string) error {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func {
		return fmt.Errorf("lite: %s: want a method of %T, got a %T", what, module, f)
	}
	if v.IsNil() {
		return fmt.Errorf("lite: %s: the forward of %T is nil", what, module)
	}
	return nil
}

// selfCheck has a method whose name shows whether the runtime's names have the form that methodName reads.
type selfCheck struct{}

func (*selfCheck) method() {}

// namesKnown is the result of that check. Where it fails Setup accepts any function, and a strategy that needs to know
// the method asks for SetupOf.
var namesKnown = runtime.FuncForPC(reflect.ValueOf((&selfCheck{}).method).Pointer()).Name() ==
	reflect.TypeFor[selfCheck]().PkgPath()+".(*selfCheck).method-fm"

// methodName finds the method of a module that a method value is bound to, whose symbol is pkg.(*Type).Name-fm. It is
// the module's if the receiver is the module's type, an embedded one whose method is promoted, or an interface that may
// hold the module.
func methodName(module nn.Module, symbol string, f reflect.Type) (string, error) {
	t := reflect.TypeOf(module)
	bound, isMethod := strings.CutSuffix(symbol, "-fm")
	dot := strings.LastIndexByte(bound, '.')
	if !isMethod || dot < 0 {
		return "", fmt.Errorf("%s is no method of %T: give the module's own method, such as net.Forward, so that every strategy can find it, "+
			"or use lite.SetupOf", symbol, module)
	}
	receiver, name := bound[:dot], bound[dot+1:]
	other := fmt.Errorf("%s is no method of %T: was it taken from another model? If it is one of the module's own, use lite.SetupOf", symbol, module)
	m, ok := t.MethodByName(name)
	if !ok || !sameSignature(m.Type, f) {
		return "", other
	}
	declared, _ := declaredBy(t, name, 0)
	switch {
	case declared != nil && isReceiver(declared, receiver), isReceiver(elemOf(t), receiver):
		return name, nil
	case embeds(t, receiver):
		return "", fmt.Errorf("%s is hidden by the %s of %T: call it in a method of another name, or use lite.SetupOf", bound, name, module)
	case !strings.Contains(receiver, "(*"):
		return name, nil // of an interface
	}
	return "", other
}

func elemOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// declaredBy returns the type that declares a method of t: t itself, or the type embedded at the least depth of which
// it is promoted. The compiler writes promoted methods, and so their code is in no file.
func declaredBy(t reflect.Type, name string, depth int) (declared reflect.Type, at int) {
	t = elemOf(t)
	if t.Kind() == reflect.Interface || depth > 16 {
		return t, depth
	}
	for _, own := range []reflect.Type{t, reflect.PointerTo(t)} {
		if m, ok := own.MethodByName(name); ok && !generated(m) {
			return t, depth
		}
	}
	if t.Kind() != reflect.Struct {
		return nil, 0
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if _, has := reflect.PointerTo(elemOf(f.Type)).MethodByName(name); !f.Anonymous || !has && f.Type.Kind() != reflect.Interface {
			continue
		}
		if _, has := f.Type.MethodByName(name); f.Type.Kind() == reflect.Interface && !has {
			continue
		}
		if d, n := declaredBy(f.Type, name, depth+1); d != nil && (declared == nil || n < at) {
			declared, at = d, n
		}
	}
	return declared, at
}

func generated(m reflect.Method) bool {
	pc := m.Func.Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	return file == "<autogenerated>"
}

// embeds reports whether a type embeds the receiver in a symbol, at any depth.
func embeds(t reflect.Type, receiver string) bool {
	if t = elemOf(t); t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (isReceiver(elemOf(f.Type), receiver) || embeds(f.Type, receiver)) {
			return true
		}
	}
	return false
}

// isReceiver compares a type with the receiver in a symbol: pkg.(*Name), pkg.Name, pkg.(*Name[...]).
func isReceiver(t reflect.Type, receiver string) bool {
	receiver, _, _ = strings.Cut(receiver, "[")
	name, _, _ := strings.Cut(t.Name(), "[")
	dot := strings.LastIndexByte(receiver, '.')
	if dot < 0 || strings.ReplaceAll(receiver[:dot], "%2e", ".") != t.PkgPath() {
		return false
	}
	return strings.TrimSuffix(strings.TrimPrefix(receiver[dot+1:], "(*"), ")") == name
}

// sameSignature compares a method's type, whose first argument is the receiver, with a method value's.
func sameSignature(method, value reflect.Type) bool {
	if method.NumIn() != value.NumIn()+1 || method.NumOut() != value.NumOut() || method.IsVariadic() != value.IsVariadic() {
		return false
	}
	for i := range value.NumIn() {
		if method.In(i+1) != value.In(i) {
			return false
		}
	}
	for i := range value.NumOut() {
		if method.Out(i) != value.Out(i) {
			return false
		}
	}
	return true
}

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
