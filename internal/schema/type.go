package schema

import (
	"strconv"
	"strings"
)

// Form is the structure of a Type.
type Form uint8

// The forms of types.
const (
	Leaf     Form = iota // a plain type: Tensor, int, a TorchBind class
	Optional             // T?
	List                 // T[] or T[N]
	Generic              // Dict(K, V), Future(T), a tuple (T, U)
)

// Type is a type of libtorch's schema language.
type Type struct {
	Form   Form
	Name   string // of a leaf or generic; "" for a tuple
	Elem   *Type  // of an optional or list
	Size   int    // N of T[N], else 0
	Params []Type // of a generic
}

// Base is the name of the type under all optionals and lists.
func (t Type) Base() string {
	for t.Elem != nil {
		t = *t.Elem
	}
	return t.Name
}

// IsOptional reports whether None is a value of the type.
func (t Type) IsOptional() bool { return t.Form == Optional }

// Inner is the type without its outermost optional.
func (t Type) Inner() Type {
	if t.Form == Optional {
		return *t.Elem
	}
	return t
}

// Key is the type's text without the N of T[N] and with SymInt and SymBool as int and bool: what a value of it looks
// like.
func (t Type) Key() string {
	switch t.Form {
	case Optional:
		return t.Elem.Key() + "?"
	case List:
		return t.Elem.Key() + "[]"
	case Generic:
		return t.text("")
	}
	switch t.Name {
	case "SymInt":
		return "int"
	case "SymBool":
		return "bool"
	case "SymFloat":
		return "float"
	}
	return t.Name
}

// String prints the type as libtorch does.
func (t Type) String() string { return t.text("") }

// text prints the type with an alias annotation, which libtorch writes after the leaf.
func (t Type) text(alias string) string {
	switch t.Form {
	case Optional:
		return t.Elem.text(alias) + "?"
	case List:
		n := ""
		if t.Size > 0 {
			n = strconv.Itoa(t.Size)
		}
		return t.Elem.text(alias) + "[" + n + "]"
	case Generic:
		list := make([]string, len(t.Params))
		for i, p := range t.Params {
			list[i] = p.String()
		}
		return t.Name + "(" + strings.Join(list, ", ") + ")" + alias
	}
	return t.Name + alias
}
