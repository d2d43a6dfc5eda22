// Package aliasdoc writes the documentation of package lite's type aliases.
//
// Why: go doc and pkg.go.dev show an alias with its own comment alone, not with that of the type that it stands for. So
// the comment of an alias repeats the type's, followed by the type's declaration with its fields and methods.
package aliasdoc

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const module = "github.com/golite/golite/"

// width is that of the comments within a declaration: with the alias's own marks they stay within 120 columns.
const width = 106

// Files returns the Go files of package pkg under root whose aliases of types of the module want another comment, with
// the content that they should have.
func Files(root, pkg string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
	if err != nil {
		return nil, err
	}
	u := &updater{root: root, fset: token.NewFileSet(), packages: map[string]*source{}, local: map[string]string{}}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(u.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		for _, a := range aliases(f) {
			u.local[a.pkg+"."+a.target] = a.spec.Name.Name
		}
	}
	changed := map[string][]byte{}
	for _, f := range files {
		name := u.fset.Position(f.Pos()).Filename
		old, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text, err := u.update(f, old)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !bytes.Equal(text, old) {
			changed[name] = text
		}
	}
	return changed, nil
}

// alias is one declaration type Name = pkg.Target.
type alias struct {
	spec   *ast.TypeSpec
	doc    *ast.CommentGroup
	start  token.Pos // of the declaration, after its comment
	path   string    // of the package
	pkg    string    // the package's name
	target string
}

// aliases lists the file's exported aliases of types of the module.
func aliases(f *ast.File) []alias {
	paths := map[string]string{}
	for _, s := range f.Imports {
		path, err := strconv.Unquote(s.Path.Value)
		if rel, ours := strings.CutPrefix(path, module); err == nil && ours {
			name := rel[strings.LastIndexByte(rel, '/')+1:]
			if s.Name != nil {
				name = s.Name.Name
			}
			paths[name] = rel
		}
	}
	var list []alias
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.TypeSpec)
			to, selects := spec.Type.(*ast.SelectorExpr)
			if !spec.Assign.IsValid() || !selects || !spec.Name.IsExported() {
				continue
			}
			pkg := to.X.(*ast.Ident).Name
			if paths[pkg] == "" {
				continue
			}
			a := alias{spec, spec.Doc, spec.Pos(), paths[pkg], pkg, to.Sel.Name}
			if !g.Lparen.IsValid() {
				a.doc, a.start = g.Doc, g.Pos()
			}
			list = append(list, a)
		}
	}
	return list
}

// updater holds the packages that aliases lead to.
type updater struct {
	root     string
	fset     *token.FileSet
	packages map[string]*source
	local    map[string]string // alias by pkg.Target
}

// source is what is declared in a package.
type source struct {
	types   map[string]*ast.TypeSpec
	docs    map[string]*ast.CommentGroup
	methods map[string][]*ast.FuncDecl
}

// update replaces the comments of a file's aliases.
func (u *updater) update(f *ast.File, text []byte) ([]byte, error) {
	var out []byte
	end := 0
	for _, a := range aliases(f) {
		doc, err := u.comment(a)
		if err != nil {
			return nil, err
		}
		start := u.fset.Position(a.start).Offset
		indent := u.fset.Position(a.start).Column - 1
		from := start
		if a.doc != nil {
			from = u.fset.Position(a.doc.Pos()).Offset
		}
		out = append(out, text[end:from]...)
		out = append(out, strings.ReplaceAll(doc, "\n", "\n"+strings.Repeat("\t", indent))...)
		end = start
	}
	return append(out, text[end:]...), nil
}

// comment is the comment that an alias should have, each line ended.
func (u *updater) comment(a alias) (string, error) {
	p, err := u.load(a.path)
	if err != nil {
		return "", err
	}
	spec, doc := p.types[a.target], p.docs[a.target]
	if spec == nil || doc == nil {
		return "", fmt.Errorf("%s = %s.%s: the type has no declaration or no comment in %s", a.spec.Name, a.pkg, a.target,
			a.path)
	}
	var b strings.Builder
	for i, line := range doc.List {
		text := line.Text
		if i == 0 {
			text = strings.Replace(text, "// "+a.target+" ", "// "+a.spec.Name.Name+" ", 1)
		}
		b.WriteString(text + "\n")
	}
	declaration, err := u.declaration(a, spec, p.methods[a.target])
	if err != nil || declaration == "" {
		return b.String(), err
	}
	b.WriteString("//\n")
	for line := range strings.Lines(declaration) {
		b.WriteString(strings.TrimRight("//\t"+line, "\t\n") + "\n")
	}
	return strings.ReplaceAll(b.String(), "//\t\n", "//\n"), nil
}

// load parses a package of the module.
func (u *updater) load(path string) (*source, error) {
	if p := u.packages[path]; p != nil {
		return p, nil
	}
	p := &source{map[string]*ast.TypeSpec{}, map[string]*ast.CommentGroup{}, map[string][]*ast.FuncDecl{}}
	names, err := filepath.Glob(filepath.Join(u.root, path, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(u.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			p.add(d)
		}
	}
	u.packages[path] = p
	return p, nil
}

func (p *source) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || !d.Name.IsExported() || d.Doc == nil {
			return
		}
		receiver := d.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if id, ok := receiver.(*ast.Ident); ok {
			p.methods[id.Name] = append(p.methods[id.Name], d)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			p.types[spec.Name.Name], p.docs[spec.Name.Name] = spec, spec.Doc
			if !d.Lparen.IsValid() {
				p.docs[spec.Name.Name] = d.Doc
			}
		}
	}
}

// ofErrors are methods that go without documentation here.
var ofErrors = map[string]bool{"Error": true, "Unwrap": true, "Is": true, "String": true}

// declaration is a struct's or an interface's declaration and the methods, under the alias's name; empty where there is
// nothing to show.
func (u *updater) declaration(a alias, spec *ast.TypeSpec, methods []*ast.FuncDecl) (string, error) {
	var b strings.Builder
	b.WriteString("package p\n\n")
	var fields []*ast.Field
	switch t := spec.Type.(type) {
	case *ast.StructType:
		fields = t.Fields.List
		fmt.Fprintf(&b, "type %s struct {\n", spec.Name)
	case *ast.InterfaceType:
		fields = t.Methods.List
		fmt.Fprintf(&b, "type %s interface {\n", spec.Name)
	}
	shown := 0
	for i, f := range fields {
		if exported(f) {
			if f.Doc != nil && i > 0 && shown > 0 {
				b.WriteString("\n")
			}
			u.field(&b, f)
			shown++
		}
	}
	if spaced := fields != nil; spaced {
		b.WriteString("}\n\n")
	}
	if shown == 0 {
		b.Reset()
		b.WriteString("package p\n\n")
	}
	for _, m := range methods {
		if ofErrors[m.Name.Name] {
			continue
		}
		writeDoc(&b, m.Doc)
		bare := *m
		bare.Doc, bare.Body = nil, nil
		b.WriteString(u.print(&bare) + "\n\n")
		shown++
	}
	if shown == 0 {
		return "", nil
	}
	text, err := format.Source([]byte(b.String()))
	if err != nil {
		return "", fmt.Errorf("%s.%s: %w", a.pkg, a.target, err)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("package p\n")))
	return u.rename(string(text), a) + "\n", nil
}

// exported reports whether a field or method is shown.
func exported(f *ast.Field) bool {
	if len(f.Names) == 0 {
		t := f.Type
		if star, ok := t.(*ast.StarExpr); ok {
			t = star.X
		}
		if id, ok := t.(*ast.Ident); ok {
			return id.IsExported()
		}
		return true
	}
	return f.Names[0].IsExported()
}

func (u *updater) field(b *strings.Builder, f *ast.Field) {
	writeDoc(b, f.Doc)
	if f.Names != nil {
		for i, n := range f.Names {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(n.Name)
		}
		if _, method := f.Type.(*ast.FuncType); !method || !isMethod(f) {
			b.WriteString(" ")
		}
	}
	text := u.print(f.Type)
	if isMethod(f) {
		text = strings.TrimPrefix(text, "func")
	}
	b.WriteString(text)
	if f.Comment != nil {
		b.WriteString(" // " + strings.TrimSpace(f.Comment.Text()))
	}
	b.WriteString("\n")
}

// isMethod reports whether a field is an interface's method: its type has no func of its own in the source.
func isMethod(f *ast.Field) bool {
	t, ok := f.Type.(*ast.FuncType)
	return ok && !t.Func.IsValid()
}

func (u *updater) print(node any) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, u.fset, node); err != nil {
		return err.Error()
	}
	return b.String()
}

// writeDoc writes a comment in lines of at most 120 columns with its marks.
func writeDoc(b *strings.Builder, doc *ast.CommentGroup) {
	if doc == nil {
		return
	}
	var parser comment.Parser
	text := (&comment.Printer{TextPrefix: "// ", TextCodePrefix: "//\t", TextWidth: width}).Text(parser.Parse(doc.Text()))
	b.WriteString(strings.ReplaceAll(string(text), "// \n", "//\n"))
}

// rename puts the aliases' names in place of those that they stand for.
func (u *updater) rename(text string, a alias) string {
	for target, name := range u.local {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(target)+`\b`).ReplaceAllString(text, name)
	}
	if a.target != a.spec.Name.Name {
		text = regexp.MustCompile(`\b`+a.target+`\b( struct| interface|\) [A-Z])`).ReplaceAllString(text, a.spec.Name.Name+"$1")
	}
	return text
}
