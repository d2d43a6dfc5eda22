package api

import (
	"context"
	"fmt"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// Files gives the lists of the module in dir: for each file of the folder api its lines, sorted. torch/aten, which is
// generated, has a file of its own.
func Files(ctx context.Context, dir string) (map[string][]string, error) {
	pkgs, err := load(ctx, dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(pkgs)) {
		name := "golite.txt"
		if path == "torch/aten" {
			name = "aten.txt"
		}
		files[name] = append(files[name], lines(path, pkgs[path])...)
	}
	for _, l := range files {
		slices.Sort(l)
	}
	return files, nil
}

// Diff gives the lines of old that are not in now, with "- " before them, and those of now that are not in old, with
// "+ ".
func Diff(old, now []string) []string {
	var out []string
	for _, side := range []struct {
		sign        string
		here, there []string
	}{{"- ", old, now}, {"+ ", now, old}} {
		other := map[string]bool{}
		for _, l := range side.there {
			other[l] = true
		}
		for _, l := range side.here {
			if !other[l] {
				out = append(out, side.sign+l)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return out
}

// lister writes the lines of one package.
type lister struct {
	pkg    *types.Package
	prefix string
	lines  []string
}

// uncovered lists exported names that are for golite's own packages alone, as docs/stability.md says: each takes or
// gives what only an internal package can make.
var uncovered = map[string]bool{"torch.ABI": true}

func lines(path string, pkg *types.Package) []string {
	l := &lister{pkg: pkg, prefix: "pkg " + path + ", "}
	for _, name := range pkg.Scope().Names() {
		if o := pkg.Scope().Lookup(name); o.Exported() && !uncovered[path+"."+name] {
			l.object(o)
		}
	}
	return l.lines
}

func (l *lister) addf(format string, args ...any) {
	l.lines = append(l.lines, l.prefix+fmt.Sprintf(format, args...))
}

// typ writes a type with the names of packages, but for the package's own.
func (l *lister) typ(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == l.pkg {
			return ""
		}
		return p.Name()
	})
}

// signature is a function's parameters, without their names, and results.
func (l *lister) signature(s *types.Signature) string {
	bare := func(t *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range t.Variables() {
			vars = append(vars, types.NewParam(v.Pos(), v.Pkg(), "", v.Type()))
		}
		return types.NewTuple(vars...)
	}
	var params []string
	for p := range s.TypeParams().TypeParams() {
		params = append(params, p.Obj().Name()+" "+l.typ(p.Constraint()))
	}
	unnamed := types.NewSignatureType(nil, nil, nil, bare(s.Params()), bare(s.Results()), s.Variadic())
	text := strings.TrimPrefix(l.typ(unnamed), "func")
	if len(params) > 0 {
		text = "[" + strings.Join(params, ", ") + "]" + text
	}
	return text
}

func (l *lister) object(o types.Object) {
	switch o := o.(type) {
	case *types.Const:
		value := o.Val().ExactString()
		if o.Val().Kind() == constant.Float {
			value = o.Val().String()
		}
		l.addf("const %s %s = %s", o.Name(), l.typ(o.Type()), value)
	case *types.Var:
		l.addf("var %s %s", o.Name(), l.typ(o.Type()))
	case *types.Func:
		l.addf("func %s%s", o.Name(), l.signature(o.Signature()))
	case *types.TypeName:
		l.typeName(o)
	}
}

func (l *lister) typeName(o *types.TypeName) {
	name := o.Name()
	if o.IsAlias() {
		t := types.Type(o.Type())
		if a, ok := t.(*types.Alias); ok {
			t = a.Rhs()
		}
		l.addf("type %s = %s", name, l.typ(t))
		return
	}
	named := o.Type().(*types.Named)
	var params []string
	for p := range named.TypeParams().TypeParams() {
		params = append(params, p.Obj().Name()+" "+l.typ(p.Constraint()))
	}
	decl := name
	if len(params) > 0 {
		decl += "[" + strings.Join(params, ", ") + "]"
	}
	switch u := named.Underlying().(type) {
	case *types.Struct:
		l.addf("type %s struct", decl)
		l.fields(name, u, map[types.Type]bool{named: true})
	case *types.Interface:
		l.iface(decl, u)
	default:
		l.addf("type %s %s", decl, l.typ(u))
	}
	for m := range named.Methods() {
		l.method(m, name)
	}
}

// method writes a method of a type, or one that the type has from an unexported one that it embeds.
func (l *lister) method(m *types.Func, name string) {
	if !m.Exported() {
		return
	}
	if _, ptr := m.Signature().Recv().Type().(*types.Pointer); ptr {
		name = "*" + name
	}
	l.addf("method (%s) %s%s", name, m.Name(), l.signature(m.Signature()))
}

// fields writes the exported fields of a struct. What comes from an embedded type that is exported is listed there;
// what comes from one that is not is listed here, as it shows nowhere else.
func (l *lister) fields(name string, s *types.Struct, seen map[types.Type]bool) {
	for f := range s.Fields() {
		if f.Exported() {
			if f.Embedded() {
				l.addf("type %s struct, embedded %s", name, l.typ(f.Type()))
			} else {
				l.addf("type %s struct, %s %s", name, f.Name(), l.typ(f.Type()))
			}
			continue
		}
		if !f.Embedded() {
			continue
		}
		t := f.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		named, ok := t.(*types.Named)
		if !ok || seen[named] {
			continue
		}
		seen[named] = true
		for m := range named.Methods() {
			l.method(m, name)
		}
		if u, ok := named.Underlying().(*types.Struct); ok {
			l.fields(name, u, seen)
		}
	}
}

// iface writes an interface with its methods: each is one that implementations elsewhere must have.
func (l *lister) iface(decl string, i *types.Interface) {
	var parts []string
	closed := false
	for m := range i.ExplicitMethods() {
		if !m.Exported() {
			closed = true
			continue
		}
		parts = append(parts, m.Name()+l.signature(m.Signature()))
	}
	for e := range i.EmbeddedTypes() {
		parts = append(parts, l.typ(e))
	}
	slices.Sort(parts)
	if closed {
		parts = append(parts, "unexported methods")
	}
	text := " interface {}"
	if len(parts) > 0 {
		text = " interface { " + strings.Join(parts, "; ") + " }"
	}
	l.addf("type %s%s", decl, text)
}
