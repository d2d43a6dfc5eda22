package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/golite/golite"

// pkg is a package whose documentation is shown.
type pkg struct {
	path string // below the module; "" for the module's root
	dir  string // of its sources, below the repository
	fset *token.FileSet
	doc  *doc.Package
	// imports are the module's packages that its files import, by the name that they have there.
	imports map[string]string
}

// command reports whether the package is a program.
func (p *pkg) command() bool { return p.doc.Name == "main" }

// title is the page's heading.
func (p *pkg) title() string {
	if p.command() {
		return "command " + filepath.Base(p.path)
	}
	return "package " + p.doc.Name
}

// shown reports whether a package belongs to the site: internal ones, and those that serve the repository's own work,
// do not.
func shown(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "internal", "scripts", "benchmarks", "third_party", "gputest":
			return false
		}
	}
	return path != "docs" && !strings.HasPrefix(path, "docs/")
}

// loadPackages reads the packages of the module at root.
func loadPackages(root string) ([]*pkg, error) {
	c := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles", "./...")
	c.Dir, c.Stderr = root, os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w", root, err)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	var all []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var l listed
		if err := d.Decode(&l); err != nil {
			return nil, fmt.Errorf("go list in %s: %w", root, err)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, module), "/")
		if !shown(path) {
			continue
		}
		dir, err := filepath.Rel(abs, l.Dir)
		if err != nil {
			return nil, err
		}
		p, err := l.load(path, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Dir                              string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
}

func (l listed) load(path, dir string) (*pkg, error) {
	p := &pkg{path: path, dir: dir, fset: token.NewFileSet(), imports: map[string]string{}}
	var files []*ast.File
	for _, names := range [][]string{l.GoFiles, l.CgoFiles, l.TestGoFiles, l.XTestGoFiles} {
		for _, name := range names {
			f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
			if !strings.HasSuffix(name, "_test.go") {
				p.addImports(f)
			}
		}
	}
	var err error
	if p.doc, err = doc.NewFromFiles(p.fset, files, l.ImportPath); err != nil {
		return nil, fmt.Errorf("%s: %w", l.ImportPath, err)
	}
	return p, nil
}

func (p *pkg) addImports(f *ast.File) {
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		below, ok := strings.CutPrefix(path, module+"/")
		if !ok || !shown(below) {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		p.imports[name] = below
	}
}
