package main

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// document is a Markdown page.
type document struct {
	file   string // below the repository
	page   string // below the site
	title  string
	listed bool // in the list at each page's side
	source []byte
}

// atRoot are the documents beside docs/, in the order of the list.
var atRoot = []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}

// loadDocuments reads the Markdown pages of the repository at root.
func loadDocuments(root string) ([]*document, error) {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	var all []*document
	for _, name := range atRoot {
		docs = append(docs, filepath.Join(root, name))
	}
	for _, name := range docs {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return nil, err
		}
		file = filepath.ToSlash(file)
		d := &document{file: file, page: strings.TrimSuffix(file, ".md") + ".html", source: source, listed: true}
		if file == "README.md" {
			d.page, d.listed = "index.html", false // the home page
		}
		d.title = title(source)
		if d.title == "" {
			return nil, fmt.Errorf("%s begins with no heading; the first line of a page is \"# Title\"", file)
		}
		all = append(all, d)
	}
	return all, nil
}

// title is the page's first heading.
func title(source []byte) string {
	first, _, _ := strings.Cut(string(source), "\n")
	t, ok := strings.CutPrefix(first, "# ")
	if !ok {
		return ""
	}
	return strings.TrimSpace(t)
}

// writeDocuments writes the Markdown pages.
func (s *site) writeDocuments() error {
	for _, d := range s.documents {
		md := goldmark.New(
			goldmark.WithExtensions(extension.GFM),
			goldmark.WithParserOptions(parser.WithAutoHeadingID(),
				parser.WithASTTransformers(util.Prioritized(&links{s, d}, 100))),
		)
		var b bytes.Buffer
		if err := md.Convert(d.source, &b); err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		body := template.HTML(b.String()) //nolint:gosec // goldmark leaves raw HTML out
		if err := s.write(d.page, d.title, body); err != nil {
			return err
		}
	}
	return nil
}

// links turns a document's links to files of the repository into links to their pages.
type links struct {
	site *site
	from *document
}

// Transform implements parser.ASTTransformer.
func (l *links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if a, ok := n.(*ast.Link); ok && entering {
			a.Destination = []byte(l.to(string(a.Destination)))
		}
		return ast.WalkContinue, nil
	})
}

// to is where a link leads on this site. A link that leads to no file stays as it is: the check of links names it.
func (l *links) to(destination string) string {
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" {
		return destination
	}
	file := path.Join(path.Dir(l.from.file), u.Path)
	page := l.site.pageOf(file)
	if page == "" {
		return destination
	}
	if u.Fragment != "" {
		page += "#" + u.Fragment
	}
	return relative(l.from.page, page)
}

// pageOf is the page of a file or folder of the repository; "" if there is no such file.
func (s *site) pageOf(file string) string {
	for _, d := range s.documents {
		if d.file == file {
			return d.page
		}
	}
	for _, p := range s.packages {
		if filepath.ToSlash(p.dir) == file || filepath.ToSlash(p.dir)+"/doc.go" == file {
			return packagePage(p.path)
		}
	}
	info, err := os.Stat(filepath.Join(s.root, filepath.FromSlash(file)))
	if err != nil || strings.HasPrefix(file, "../") {
		return ""
	}
	s.sources[file] = true
	if info.IsDir() {
		return path.Join("src", file, "index.html")
	}
	return sourcePage(file)
}
