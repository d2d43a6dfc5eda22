package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/format"
	"go/printer"
	"html/template"
	"path"
	"strconv"
	"strings"
)

var packageBody = template.Must(template.ParseFS(assets, "assets/package.html"))

// entry is a declaration on a package's page.
type entry struct {
	ID, Kind, Name, Source string
	Also                   []string // further names that the declaration brings, which are anchors too
	Declaration, Doc       template.HTML
	Examples               []example
	Parts                  []entry // of a type: its constants, variables, functions and methods
}

// example is an Example function.
type example struct {
	Title, Output string
	Doc, Code     template.HTML
}

// packageView is what the template of a package's page is given.
type packageView struct {
	Title, Path, Import        string
	Command                    bool
	Doc                        template.HTML
	Examples                   []example
	Consts, Vars, Funcs, Types []entry
	Below                      []link // packages in folders below
}

func itoa(n int) string { return strconv.Itoa(n) }

// writePackages writes the page of each package.
func (s *site) writePackages() error {
	for _, p := range s.packages {
		r := &packageRenderer{site: s, pkg: p, ids: p.anchors()}
		v, err := r.view()
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		var b bytes.Buffer
		if err := packageBody.ExecuteTemplate(&b, "package.html", v); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		body := template.HTML(b.String()) //nolint:gosec // a template's output
		if err := s.write(packagePage(p.path), p.title(), body); err != nil {
			return err
		}
	}
	return nil
}

// packageRenderer renders one package's page. The first error is kept.
type packageRenderer struct {
	site *site
	pkg  *pkg
	ids  map[string]bool
	err  error
}

func (r *packageRenderer) view() (packageView, error) {
	d := r.pkg.doc
	v := packageView{
		Title: r.pkg.title(), Path: r.pkg.path, Import: path.Join(module, r.pkg.path), Command: r.pkg.command(),
		Doc: r.comment(d.Doc), Examples: r.examples(d.Examples), Below: r.below(),
	}
	if !v.Command {
		v.Consts, v.Vars = r.values("const", d.Consts), r.values("var", d.Vars)
		v.Funcs = r.funcs("", d.Funcs)
		for _, t := range d.Types {
			v.Types = append(v.Types, r.typ(t))
		}
	}
	return v, r.err
}

func (r *packageRenderer) below() (list []link) {
	from := packagePage(r.pkg.path)
	for _, q := range r.site.packages {
		if rest, ok := strings.CutPrefix(q.path, r.pkg.path+"/"); ok {
			list = append(list, link{Text: rest, To: relative(from, packagePage(q.path)), Note: q.doc.Synopsis(q.doc.Doc)})
		}
	}
	return list
}

func (r *packageRenderer) typ(t *doc.Type) entry {
	e := r.entry("type", t.Name, t.Name, t.Decl, t.Doc)
	e.Examples = r.examples(t.Examples)
	e.Parts = append(r.values("const", t.Consts), r.values("var", t.Vars)...)
	e.Parts = append(e.Parts, r.funcs("", t.Funcs)...)
	e.Parts = append(e.Parts, r.funcs(t.Name+".", t.Methods)...)
	return e
}

func (r *packageRenderer) values(kind string, list []*doc.Value) (all []entry) {
	for _, v := range list {
		e := r.entry(kind, v.Names[0], strings.Join(v.Names, ", "), v.Decl, v.Doc)
		if len(v.Names) > 1 {
			e.Name = ""
		}
		e.Also = v.Names[1:]
		all = append(all, e)
	}
	return all
}

func (r *packageRenderer) funcs(prefix string, list []*doc.Func) (all []entry) {
	for _, f := range list {
		name := f.Name
		if f.Recv != "" {
			name = "(" + f.Recv + ") " + f.Name
		}
		e := r.entry("func", prefix+f.Name, name, f.Decl, f.Doc)
		e.Examples = r.examples(f.Examples)
		all = append(all, e)
	}
	return all
}

func (r *packageRenderer) entry(kind, id, name string, decl ast.Decl, text string) entry {
	e := entry{ID: id, Kind: kind, Name: name, Doc: r.comment(text), Source: r.site.where(r.pkg, decl.Pos())}
	if f, ok := decl.(*ast.FuncDecl); ok { // shown without its documentation, which stands below
		c := *f
		c.Doc, c.Body = nil, nil
		decl = &c
	}
	if g, ok := decl.(*ast.GenDecl); ok {
		c := *g
		c.Doc = nil
		decl = &c
	}
	var err error
	e.Declaration, err = r.site.declaration(r.pkg, decl, r.ids)
	r.err = cmp.Or(r.err, err)
	return e
}

// comment renders a doc comment.
func (r *packageRenderer) comment(text string) template.HTML {
	p := r.pkg.doc.Printer()
	p.HeadingLevel = 3
	p.DocLinkURL = r.docLink
	return template.HTML(p.HTML(r.pkg.doc.Parser().Parse(text))) //nolint:gosec // go/doc/comment escapes
}

// docLink is where a [Name] in a doc comment leads: to a page of this site, or else to pkg.go.dev.
func (r *packageRenderer) docLink(l *comment.DocLink) string {
	id := l.Name
	if l.Recv != "" {
		id = l.Recv + "." + l.Name
	}
	if l.ImportPath == "" {
		return "#" + id
	}
	for _, q := range r.site.packages {
		if path.Join(module, q.path) == l.ImportPath {
			to := packagePage(q.path)
			if id != "" {
				to += "#" + id
			}
			return relative(packagePage(r.pkg.path), to)
		}
	}
	return l.DefaultURL("https://pkg.go.dev")
}

func (r *packageRenderer) examples(list []*doc.Example) (all []example) {
	for _, x := range list {
		e := example{Title: "Example", Output: x.Output, Doc: r.comment(x.Doc), Code: r.code(x)}
		if x.Suffix != "" {
			e.Title += " (" + x.Suffix + ")"
		}
		all = append(all, e)
	}
	return all
}

// code is an example's source: the statements of its body, or the whole file if it is a program of its own.
func (r *packageRenderer) code(x *doc.Example) template.HTML {
	var b bytes.Buffer
	if err := format.Node(&b, r.pkg.fset, &printer.CommentedNode{Node: x.Code, Comments: x.Comments}); err != nil {
		r.err = cmp.Or(r.err, err)
		return ""
	}
	src := b.Bytes()
	if block, ok := bytes.CutPrefix(bytes.TrimSpace(src), []byte("{\n")); ok {
		block = bytes.TrimPrefix(bytes.TrimSuffix(block, []byte("}")), []byte("\t"))
		src = bytes.ReplaceAll(block, []byte("\n\t"), []byte("\n"))
	}
	return r.site.linked(r.pkg, bytes.TrimRight(src, "\n"), nil)
}
