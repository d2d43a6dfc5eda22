package schema

import (
	"strings"
)

// Schema is the signature of one overload of an operator.
type Schema struct {
	Namespace string // "aten"
	Name      string // "add_", with the underscore of in-place operators
	Overload  string // "Tensor"; "" for the plain one
	Args      []Arg
	Returns   []Arg
	Varargs   bool // takes any number of further arguments ("...")
	Varrets   bool // returns anything ("-> ...")
}

// Arg is one argument, or one result.
type Arg struct {
	Name       string // "" for most results
	Type       Type
	Alias      Alias
	KwOnly     bool // stands after the "*"
	HasDefault bool
	// Default is the default's value: nil (None), bool, int64, float64, string or []any of those.
	Default any
}

// Required reports whether a call must give the argument.
func (a Arg) Required() bool { return !a.HasDefault }

// Alias is what an annotation such as (a!) says: which memory the value shares, and whether the operator writes it.
type Alias struct {
	Sets  []string // "a" in (a), "a" and "b" in (a|b); empty without annotation
	After []string // "*" in (a -> *)
	Write bool
}

// String prints the annotation as libtorch does, "" if there is none.
func (a Alias) String() string {
	if len(a.Sets) == 0 {
		return ""
	}
	s := strings.Join(a.Sets, "|")
	if a.Write {
		s += "!"
	}
	if len(a.After) > 0 {
		s += " -> " + strings.Join(a.After, "|")
	}
	return "(" + s + ")"
}

// FullName is the operator's name and overload: "aten::add.Tensor".
func (s *Schema) FullName() string {
	n := s.Namespace + "::" + s.Name
	if s.Overload != "" {
		n += "." + s.Overload
	}
	return n
}

// MayBeEmpty reports whether an empty list is a value of an argument of a fixed size, int[2]: where that is its
// default, and for the stride of a pooling's backward, which has no default and to the kernels means the window's size,
// as in the forward.
func (s *Schema) MayBeEmpty(a Arg) bool {
	list, ok := a.Default.([]any)
	return ok && len(list) == 0 ||
		a.Name == "stride" && strings.Contains(s.Name, "pool") && strings.Contains(s.Name, "_backward")
}

// Written returns the index of the argument that result i is, when the operator writes that argument and returns
// it (in-place and out= operators); -1 if result i is something new.
func (s *Schema) Written(i int) int {
	r := s.Returns[i]
	if !r.Alias.Write {
		return -1
	}
	for k, a := range s.Args {
		if a.Alias.Write && len(a.Alias.Sets) > 0 && a.Alias.Sets[0] == r.Alias.Sets[0] {
			return k
		}
	}
	return -1
}

// String prints the schema as libtorch does, save for the spelling of numbers.
func (s *Schema) String() string {
	var b strings.Builder
	b.WriteString(s.FullName())
	b.WriteByte('(')
	kw := false
	for i, a := range s.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		if a.KwOnly && !kw {
			b.WriteString("*, ")
			kw = true
		}
		b.WriteString(a.String())
	}
	if s.Varargs {
		if len(s.Args) > 0 {
			b.WriteString(", ")
		}
		b.WriteString("...")
	}
	b.WriteString(") -> ")
	b.WriteString(s.returns())
	return b.String()
}

func (s *Schema) returns() string {
	if s.Varrets {
		return "..."
	}
	list := make([]string, len(s.Returns))
	for i, r := range s.Returns {
		list[i] = r.String()
	}
	if len(list) == 1 {
		return list[0]
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// String prints the argument: "Scalar alpha=1".
func (a Arg) String() string {
	s := a.Type.text(a.Alias.String())
	if a.Name != "" {
		s += " " + a.Name
	}
	if a.HasDefault {
		s += "=" + literal(a.Default)
	}
	return s
}
