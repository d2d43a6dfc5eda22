package main

import (
	"bytes"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// writeSources writes a page of each file, and of each folder, that another page links to. A folder's page links to its
// files, which so get a page as well.
func (s *site) writeSources() error {
	done := map[string]bool{}
	for {
		var next []string
		for file := range s.sources {
			if !done[file] {
				next = append(next, file)
			}
		}
		if len(next) == 0 {
			return nil
		}
		slices.Sort(next)
		for _, file := range next {
			done[file] = true
			if err := s.writeSource(file); err != nil {
				return err
			}
		}
	}
}

func (s *site) writeSource(file string) error {
	name := filepath.Join(s.root, filepath.FromSlash(file))
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return s.writeFolder(file, name)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n", template.HTMLEscapeString(file))
	if !utf8.Valid(content) {
		fmt.Fprintf(&b, "<p>%d bytes, which are not text.</p>\n", len(content))
	} else {
		b.WriteString(`<pre class="source">`)
		for n, line := range bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n")) {
			fmt.Fprintf(&b, `<span id="L%d">%s</span>`+"\n", n+1, escape(line))
		}
		b.WriteString("</pre>\n")
	}
	return s.write(sourcePage(file), file, template.HTML(b.String())) //nolint:gosec // escaped above
}

// writeFolder writes the list of a folder's files.
func (s *site) writeFolder(file, name string) error {
	list, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	here := path.Join("src", file, "index.html")
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n<ul>\n", template.HTMLEscapeString(file))
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		to := s.pageOf(path.Join(file, e.Name()))
		if to == "" {
			continue
		}
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a></li>\n",
			template.HTMLEscapeString(relative(here, to)), template.HTMLEscapeString(e.Name()))
	}
	b.WriteString("</ul>\n")
	return s.write(here, file, template.HTML(b.String())) //nolint:gosec // escaped above
}
