package lint

import (
	"go/ast"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A trailing options struct is read by internal/options, which refuses a second one. Who takes element 0 by hand
// forgets that.
func TestOptionsAreReadInOnePlace(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.pkg == "internal/options" {
			continue
		}
		for _, at := range indexedOptions(f.ast) {
			t.Errorf("%s: options are indexed: options.One and options.Must (internal/options) refuse a second one", f.at(at))
		}
	}
}

// indexedOptions finds the places where functions index a variadic parameter whose type's name ends in Options.
func indexedOptions(f *ast.File) (found []ast.Node) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || len(fn.Type.Params.List) == 0 {
			continue
		}
		last := fn.Type.Params.List[len(fn.Type.Params.List)-1]
		many, ok := last.Type.(*ast.Ellipsis)
		if !ok || len(last.Names) != 1 || !strings.HasSuffix(typeName(many.Elt), "Options") {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if i, ok := n.(*ast.IndexExpr); ok && typeName(i.X) == last.Names[0].Name {
				found = append(found, i)
			}
			return true
		})
	}
	return found
}

func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

func TestIndexedOptionsAreFound(t *testing.T) {
	f := parse(t, `package p

func bad(opts ...p.SomeOptions) { _ = opts[0] }

func good(list ...int) { _ = list[0] }

func passed(opts ...SomeOptions) { f(opts, names[0]) }
`)
	require.Len(t, indexedOptions(f), 1)
}
