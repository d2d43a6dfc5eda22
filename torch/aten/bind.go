package aten

import (
	"maps"
	"slices"
	"strings"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// fallback marks a value that is the schema's default.
type fallback struct{ value any }

// bind puts a call's arguments into the schema's order, with defaults where there are none.
func bind(s *schema.Schema, args []any) []any {
	name := s.FullName()
	var kw Kw
	if n := len(args); n > 0 {
		if k, ok := args[n-1].(Kw); ok {
			kw, args = k, args[:n-1]
		}
	}
	most := positional(s)
	for i, v := range args {
		if _, ok := v.(Kw); ok {
			torch.Fail(name, "argument %d is an aten.Kw: it must stand last, and only once", i+1)
		}
	}
	if len(args) > most {
		torch.Fail(name, "it takes %d positional arguments, got %d: %s", most, len(args), s)
	}
	unknownKeyword(s, kw)
	values := make([]any, len(s.Args))
	var missing []string
	for i, a := range s.Args {
		v, named := kw[a.Name]
		switch {
		case i < len(args) && named:
			torch.Fail(name, "argument %s is given twice, by place and in aten.Kw", a.Name)
		case i < len(args):
			values[i] = args[i]
		case named:
			values[i] = v
		case a.HasDefault:
			values[i] = fallback{a.Default}
		default:
			missing = append(missing, a.Name+" ("+a.Type.String()+")")
		}
	}
	if len(missing) > 0 {
		torch.Fail(name, "missing: %s. The schema is %s", strings.Join(missing, ", "), s)
	}
	return values
}

// positional is how many arguments may be given by place.
func positional(s *schema.Schema) int {
	if i := slices.IndexFunc(s.Args, func(a schema.Arg) bool { return a.KwOnly }); i >= 0 {
		return i
	}
	return len(s.Args)
}

func unknownKeyword(s *schema.Schema, kw Kw) {
	for _, k := range slices.Sorted(maps.Keys(kw)) {
		if !slices.ContainsFunc(s.Args, func(a schema.Arg) bool { return a.Name == k }) {
			torch.Fail(s.FullName(), "it has no argument %q: %s", k, s)
		}
	}
}
