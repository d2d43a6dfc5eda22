package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed assets
var assets embed.FS

var page = template.Must(template.ParseFS(assets, "assets/page.html"))

// marker is a file by which a folder is known as a site.
const marker = "assets/names.js"

// site is what is written.
type site struct {
	root, out string
	packages  []*pkg
	documents []*document
	sources   map[string]bool // files that a page links to, below the repository
	written   int
}

// The pages' addresses below the site's folder.

func packagePage(p string) string   { return path.Join("pkg", p, "index.html") }
func sourcePage(file string) string { return path.Join("src", file+".html") }

// relative is the link from one page to another.
func relative(from, to string) string {
	to, fragment, _ := strings.Cut(to, "#")
	rel, err := filepath.Rel(filepath.Dir(from), to)
	if err != nil {
		panic(err) // both are below the site's folder
	}
	if fragment != "" {
		rel += "#" + fragment
	}
	return filepath.ToSlash(rel)
}

// link is an entry of the list at a page's side.
type link struct{ Text, To, Note string }

// outline lists all documents and packages, as seen from a page.
func (s *site) outline(from string) (documents, packages, programs []link) {
	for _, d := range s.documents {
		if d.listed {
			documents = append(documents, link{Text: d.title, To: relative(from, d.page)})
		}
	}
	for _, p := range s.packages {
		l := link{Text: p.path, To: relative(from, packagePage(p.path)), Note: p.doc.Synopsis(p.doc.Doc)}
		if p.command() {
			programs = append(programs, l)
		} else {
			packages = append(packages, l)
		}
	}
	return documents, packages, programs
}

// write writes one page.
func (s *site) write(to, title string, body template.HTML) error {
	var b bytes.Buffer
	documents, packages, programs := s.outline(to)
	err := page.ExecuteTemplate(&b, "page.html", map[string]any{
		"Title": title, "Body": body, "Root": relative(to, "."), "Home": relative(to, "index.html"),
		"Documents": documents, "Packages": packages, "Programs": programs,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	s.written++
	return s.writeFile(to, b.Bytes())
}

func (s *site) writeFile(to string, content []byte) error {
	name := filepath.Join(s.out, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o666)
}

// writeAssets writes the style sheet, the search, and the names that it looks through.
func (s *site) writeAssets() error {
	for _, name := range []string{"assets/style.css", "assets/search.js"} {
		content, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		if err := s.writeFile(name, content); err != nil {
			return err
		}
	}
	names, err := json.Marshal(s.names())
	if err != nil {
		return err
	}
	return s.writeFile(marker, slices.Concat([]byte("const names = "), names, []byte(";\n")))
}

// names lists the exported names, each with its page.
func (s *site) names() [][2]string {
	var all [][2]string
	for _, p := range s.packages {
		to := packagePage(p.path)
		all = append(all, [2]string{p.path, to})
		if p.command() {
			continue
		}
		for id := range p.anchors() {
			all = append(all, [2]string{p.doc.Name + "." + id, to + "#" + id})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}
