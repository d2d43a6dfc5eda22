package nn

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/golite/golite/torch"
)

// Format writes what Python's print(module) does, for fmt's functions and what prints by them: the tree of modules with
// their settings. A module whose type has a String method is written by that, as Python calls a class's own __repr__. A
// method ExtraRepr() string adds settings of one's own, one a line (torch.nn.Module.__repr__, extra_repr).
//
//	fmt.Println(net)
//	// MLP(
//	//   (fc1): Linear(in_features=784, out_features=128, bias=True)
//	//   (fc2): Linear(in_features=128, out_features=10, bias=True)
//	// )
func (Base) Format(s fmt.State, verb rune) {
	out := "nn.Module()"
	if m := formatted(s); m != nil {
		if err := torch.Try(func() { out = repr(m) }); err != nil {
			out = unprintable(m, err)
		}
	}
	if verb == 'q' {
		out = strconv.Quote(out)
	}
	fmt.Fprint(s, out)
}

// formatted is the value that fmt was given, or nil. Base's method is promoted to the struct around it and receives
// Base alone; fmt's printer keeps the whole value in its field arg. NB: the field is unexported. Where it is missing,
// in another fmt.State or another Go, a module prints as nn.Module().
func formatted(s fmt.State) any {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	arg := v.Elem().FieldByName("arg")
	if !arg.IsValid() || arg.Type() != reflect.TypeFor[any]() {
		return nil
	}
	return *(*any)(unsafe.Pointer(arg.UnsafeAddr()))
}

// repr is the text of a module, of a struct that is one by its pointer, or of Base itself.
func repr(v any) string {
	if own, ok := v.(fmt.Stringer); ok {
		return own.String()
	}
	m, ok := v.(Module)
	if !ok {
		p := reflect.New(reflect.TypeOf(v))
		p.Elem().Set(reflect.ValueOf(v))
		if m, ok = p.Interface().(Module); !ok {
			return "nn.Module()"
		}
		if own, ok := m.(fmt.Stringer); ok && !callsItself(p.Type()) {
			return own.String()
		}
	}
	if _, bare := m.(*Base); bare {
		return "Module()"
	}
	w := &walker{operation: "nn.Base.Format", active: map[visit]bool{}, lenient: true}
	return w.module("", m).text("") // its own String, if it has one, was called above
}

// callsItself reports whether a pointer type's String method is at work in this goroutine: one that prints the struct,
// as in fmt.Sprintf("%+v", *m), is not called again for it.
func callsItself(pointer reflect.Type) bool {
	own := fmt.Sprintf("%s.(*%s).String", pointer.Elem().PkgPath(), pointer.Elem().Name())
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for {
		f, more := frames.Next()
		if f.Function == own {
			return true
		}
		if !more {
			return false
		}
	}
}

// unprintable is the text of a module whose own can't be had.
func unprintable(m any, err error) string {
	t := reflect.TypeOf(m)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return className(t) + "(" + fault(err) + ")"
}

// fault is an error's text on one line, without the operation and the place, which are those of the printing.
func fault(err error) string {
	if e, ok := errors.AsType[*torch.Error](err); ok {
		return "<" + strings.ReplaceAll(e.Message, "\n", " ") + ">"
	}
	return "<" + strings.ReplaceAll(err.Error(), "\n", " ") + ">"
}

// describer is a module with settings to print. Those of this package have the method extraRepr, which a struct that
// embeds one inherits as a Python class does.
type (
	describer     interface{ extraRepr() string }
	userDescriber interface{ ExtraRepr() string }
	renamed       interface{ reprName() string }
	renamesChild  interface{ childName(key string) string }
	grouped       interface{ groupsEqual() }
	moreChildren  interface{ childLines() []string }
)

// repr is the text of a node; name replaces that of its type.
func (n *node) repr(name string) string {
	if n.none {
		return "None"
	}
	if own, ok := n.module.(fmt.Stringer); ok {
		return own.String()
	}
	return n.text(name)
}

// text is repr without the module's own String.
func (n *node) text(name string) string {
	if name == "" {
		name = n.typeName()
	}
	var extra []string
	var settings string
	if err := torch.Try(func() { settings = n.extraRepr() }); err != nil { // of a layer without its tensors
		settings = fault(err)
	}
	if settings != "" {
		extra = strings.Split(settings, "\n")
	}
	children := n.childLines()
	switch {
	case len(extra) == 1 && len(children) == 0:
		return name + "(" + extra[0] + ")"
	case len(extra)+len(children) == 0:
		return name + "()"
	}
	return name + "(\n  " + strings.Join(append(extra, children...), "\n  ") + "\n)"
}

func (n *node) typeName() string {
	switch m := n.module.(type) {
	case renamed:
		if name := m.reprName(); name != "" {
			return name
		}
	case nil:
		switch {
		case n.group != nil:
			return className(n.group)
		case len(n.params)+len(n.buffers) > 0:
			return "ParameterList"
		}
		return "ModuleList"
	}
	t := reflect.TypeOf(n.module)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return className(t)
}

// className is a type's name without its package and its type arguments.
func className(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	if name == "" {
		return "Module"
	}
	return name
}

func (n *node) extraRepr() string {
	switch m := n.module.(type) {
	case userDescriber:
		return m.ExtraRepr()
	case describer:
		return m.extraRepr()
	case nil:
		return parameterLines(n.params)
	}
	return ""
}

// childLines are the lines of the children: "(key): text"; equal neighbours in a list become one, "(0-5): 6 x text".
func (n *node) childLines() []string {
	_, list := n.module.(grouped)
	list = list || n.module == nil && n.group == nil
	var keys, texts, lines []string
	for _, c := range n.children {
		if !c.hidden {
			keys, texts = append(keys, n.key(c)), append(texts, n.childText(c))
		}
	}
	for i := 0; i < len(keys); i++ {
		key, text, first := keys[i], texts[i], i
		for list && i+1 < len(keys) && texts[i+1] == text {
			i++
		}
		if i > first {
			key, text = key+"-"+keys[i], fmt.Sprintf("%d x %s", i-first+1, text)
		}
		lines = append(lines, "("+key+"): "+strings.ReplaceAll(text, "\n", "\n  "))
	}
	if m, ok := n.module.(moreChildren); ok {
		lines = append(lines, m.childLines()...)
	}
	return lines
}

func (n *node) childText(c *node) string {
	name := ""
	if r, ok := n.module.(renamesChild); ok {
		name = r.childName(n.key(c))
	}
	return c.repr(name)
}

// key is the last part of a child's path.
func (n *node) key(c *node) string {
	if n.path == "" {
		return c.path
	}
	return c.path[len(n.path)+1:]
}

// parameterLines are the lines of a ParameterList.
func parameterLines(list []entry) string {
	lines := make([]string, len(list))
	for i, e := range list {
		t := e.tensor
		device := ""
		if d := t.Device(); d.Type == torch.CUDAType {
			device = " (" + d.String() + ")"
		}
		lines[i] = fmt.Sprintf("  (%s): Parameter containing: [torch.%s of size %s%s]", e.key, t.DType(),
			sizeText(t), device)
	}
	return strings.Join(lines, "\n")
}

// sizeText is a tensor's shape as 2x3.
func sizeText(t *torch.Tensor) string {
	parts := make([]string, t.Dim())
	for i, n := range t.Shape() {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, "x")
}
