package lint

import (
	"go/ast"
	"strings"
	"testing"
)

func TestEveryPackageHasADocComment(t *testing.T) {
	docs := map[string]int{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		if _, ok := docs[f.pkg]; !ok {
			docs[f.pkg] = 0
		}
		if f.ast.Doc == nil {
			continue
		}
		docs[f.pkg]++
		want := "Package " + f.ast.Name.Name + " "
		if f.isMain() {
			want = "Command "
		}
		text := f.ast.Doc.Text()
		if !strings.HasPrefix(text, want) && (!f.isMain() || strings.HasPrefix(text, "Package ")) {
			t.Errorf("%s: a package's comment begins with %q", f.path, want)
		}
	}
	for pkg, n := range docs {
		if n != 1 {
			t.Errorf("%s: %d package comments; there is one, in doc.go or the package's main file", pkg, n)
		}
	}
}

func TestExportedNamesHaveDocComments(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.isMain() {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s: %s has no doc comment", f.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					for _, name := range undocumented(d, s) {
						t.Errorf("%s: %s has no doc comment", f.at(s), name)
					}
				}
			}
		}
	}
}

// undocumented gives the exported names of a declaration that neither it nor its group says anything about.
func undocumented(d *ast.GenDecl, s ast.Spec) []string {
	var idents []*ast.Ident
	var doc *ast.CommentGroup
	switch s := s.(type) {
	case *ast.TypeSpec:
		idents, doc = []*ast.Ident{s.Name}, s.Doc
	case *ast.ValueSpec:
		idents, doc = s.Names, s.Doc
		if doc == nil {
			doc = s.Comment
		}
	}
	if doc != nil || d.Doc != nil {
		return nil
	}
	var names []string
	for _, id := range idents {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	return names
}

// exportedReceiver tells functions, and methods that a user can see.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
