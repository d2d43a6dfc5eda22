package lint

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documented gives the package's public files by package, without commands, internal packages and cgotorch.
func documented(t *testing.T) map[string][]*ast.File {
	packages := map[string][]*ast.File{}
	for _, f := range goFiles(t) {
		if f.test || f.isMain() || f.generated || f.pkg == "cgotorch" || strings.Contains("/"+f.pkg, "/internal/") {
			continue
		}
		packages[f.pkg] = append(packages[f.pkg], f.ast)
	}
	assert.Greater(t, len(packages), 15)
	return packages
}

// go doc and documentation pages leave out the fields of an unexported struct that is embedded: an exported field in
// one can be used and is shown nowhere.
func TestDocumentationShowsPromotedFields(t *testing.T) {
	for pkg, files := range documented(t) {
		structs := map[string]*ast.StructType{}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok {
					if s, ok := spec.Type.(*ast.StructType); ok {
						structs[spec.Name.Name] = s
					}
				}
				return true
			})
		}
		for name := range structs {
			if ast.IsExported(name) {
				assert.Empty(t, hiddenFields(structs, name),
					"%s.%s: exported fields that documentation doesn't show: declare them in %s itself", pkg, name, name)
			}
		}
	}
}

// hiddenFields are the exported fields that a struct has from unexported structs that it embeds.
func hiddenFields(structs map[string]*ast.StructType, name string) (hidden []string) {
	for _, f := range structs[name].Fields.List {
		e := f.Type
		if star, ok := e.(*ast.StarExpr); ok {
			e = star.X
		}
		id, ok := e.(*ast.Ident)
		if !ok || len(f.Names) > 0 || ast.IsExported(id.Name) || structs[id.Name] == nil {
			continue
		}
		for _, inner := range structs[id.Name].Fields.List {
			for _, n := range inner.Names {
				if n.IsExported() {
					hidden = append(hidden, id.Name+"."+n.Name)
				}
			}
		}
		hidden = append(hidden, hiddenFields(structs, id.Name)...)
	}
	return hidden
}

// go doc of a type shows the first constant of a group alone: the type's comment names them all.
func TestDocumentationShowsTheValuesOfEnumerations(t *testing.T) {
	enumerations := 0
	for pkg, files := range documented(t) {
		p, err := doc.NewFromFiles(fset, cloned(t, files), module+pkg)
		if !assert.NoError(t, err) {
			continue
		}
		for _, typ := range p.Types {
			var names []string
			for _, c := range typ.Consts {
				names = append(names, c.Names...)
			}
			names = slices.DeleteFunc(names, func(n string) bool { return !ast.IsExported(n) })
			if len(names) < 2 {
				continue
			}
			enumerations++
			for _, n := range names {
				assert.Regexp(t, `\b`+regexp.QuoteMeta(n)+`\b`, typ.Doc, "%s.%s: its comment doesn't name the constant %s", pkg, typ.Name, n)
			}
		}
		// A constant of a conversion, X = T(1), belongs to no type as far as documentation knows.
		for _, c := range p.Consts {
			for _, s := range c.Decl.Specs {
				spec := s.(*ast.ValueSpec)
				for _, v := range spec.Values {
					call, ok := v.(*ast.CallExpr)
					if !ok || len(call.Args) != 1 {
						continue
					}
					if to, ok := call.Fun.(*ast.Ident); ok && ast.IsExported(to.Name) {
						t.Errorf("%s: the constant %s = %s(...) is not shown with the type: write %s %s = ...",
							pkg, spec.Names[0], to, spec.Names[0], to)
					}
				}
			}
		}
	}
	assert.Greater(t, enumerations, 12)
}

// cloned parses the files anew: package doc takes unexported declarations out of those that it is given.
func cloned(t *testing.T, files []*ast.File) []*ast.File {
	out := make([]*ast.File, len(files))
	for i, f := range files {
		again, err := parser.ParseFile(fset, filepath.Join("..", "..", fset.Position(f.FileStart).Filename), nil,
			parser.ParseComments)
		require.NoError(t, err)
		out[i] = again
	}
	return out
}
