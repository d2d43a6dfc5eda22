package main

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/format"
	"go/scanner"
	"go/token"
	"html/template"
	"path/filepath"
	"strings"
)

// anchors are the names that have a heading of their own on a package's page.
func (p *pkg) anchors() map[string]bool {
	ids := map[string]bool{}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, n := range v.Names {
				ids[n] = true
			}
		}
	}
	funcs := func(prefix string, list []*doc.Func) {
		for _, f := range list {
			ids[prefix+f.Name] = true
		}
	}
	values(p.doc.Consts)
	values(p.doc.Vars)
	funcs("", p.doc.Funcs)
	for _, t := range p.doc.Types {
		ids[t.Name] = true
		values(t.Consts)
		values(t.Vars)
		funcs("", t.Funcs)
		funcs(t.Name+".", t.Methods)
	}
	return ids
}

// declaration renders a declaration: exported names of this and of the module's other packages are links.
func (s *site) declaration(p *pkg, decl ast.Decl, ids map[string]bool) (template.HTML, error) {
	var b bytes.Buffer
	if err := format.Node(&b, p.fset, decl); err != nil {
		return "", err
	}
	return s.linked(p, b.Bytes(), ids), nil
}

// linked renders Go source text with links at the names that have a page.
func (s *site) linked(p *pkg, src []byte, ids map[string]bool) template.HTML {
	var (
		out      strings.Builder
		sc       scanner.Scanner
		fset     = token.NewFileSet()
		file     = fset.AddFile("", fset.Base(), len(src))
		end      int    // of what is written
		last     string // the identifier before a dot
		afterDot bool
	)
	sc.Init(file, src, func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, lit := sc.Scan()
		if tok == token.EOF {
			break
		}
		at := file.Offset(pos)
		switch tok {
		case token.COMMENT:
			out.WriteString(escape(src[end:at]) + `<span class="comment">` + escape([]byte(lit)) + `</span>`)
			end = at + len(lit)
		case token.IDENT:
			if to := s.declared(p, last, lit, afterDot, ids); to != "" {
				out.WriteString(escape(src[end:at]) + `<a href="` + template.HTMLEscapeString(to) + `">` + lit + `</a>`)
				end = at + len(lit)
			}
			if !afterDot {
				last = lit
			}
		}
		afterDot = tok == token.PERIOD
		if tok != token.PERIOD && tok != token.IDENT {
			last = ""
		}
	}
	out.WriteString(escape(src[end:]))
	return template.HTML(out.String()) //nolint:gosec // all that was not made here is escaped
}

// declared is the link to an identifier's declaration, "" if there is none on this site.
func (s *site) declared(p *pkg, qualifier, name string, qualified bool, ids map[string]bool) string {
	if !ast.IsExported(name) {
		return ""
	}
	if !qualified {
		if ids[name] {
			return "#" + name
		}
		return ""
	}
	other, ok := p.imports[qualifier]
	if !ok {
		return ""
	}
	for _, q := range s.packages {
		if q.path == other && q.anchors()[name] {
			return relative(packagePage(p.path), packagePage(other)+"#"+name)
		}
	}
	return ""
}

func escape(b []byte) string { return template.HTMLEscapeString(string(b)) }

// where is the link to the source of a declaration.
func (s *site) where(p *pkg, pos token.Pos) string {
	at := p.fset.Position(pos)
	file := filepath.ToSlash(filepath.Join(p.dir, filepath.Base(at.Filename)))
	s.sources[file] = true
	return relative(packagePage(p.path), sourcePage(file)+"#L"+itoa(at.Line))
}
