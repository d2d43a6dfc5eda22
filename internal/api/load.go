package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listed is a package as go list describes it.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	ImportMap  map[string]string
	Standard   bool
	Module     *struct {
		Path string
		Main bool
	}
	Error *struct{ Err string }
}

// loader type-checks packages from their sources. go list gives a package after those that it imports.
type loader struct {
	fset  *token.FileSet
	byKey map[string]*types.Package // by ImportPath
}

// load gives the packages of the module in dir that a program elsewhere can import.
func load(ctx context.Context, dir string) (map[string]*types.Package, error) {
	const fields = "-json=ImportPath,Name,Dir,GoFiles,CgoFiles,ImportMap,Standard,Module,Error"
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", fields, "./...")
	cmd.Dir = dir
	// The list is that of one platform, wherever it is made. go list runs neither cgo nor a compiler here.
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", dir, err, strings.TrimSpace(stderr.String()))
	}
	l := &loader{fset: token.NewFileSet(), byKey: map[string]*types.Package{"unsafe": types.Unsafe}}
	public := map[string]*types.Package{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return public, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		pkg, err := l.check(&p)
		if err != nil {
			return nil, err
		}
		l.byKey[p.ImportPath] = pkg
		if p.Module != nil && p.Module.Main && p.Name != "main" {
			if rel := strings.TrimPrefix(p.ImportPath, p.Module.Path+"/"); covered(rel) {
				public[rel] = pkg
			}
		}
	}
}

// covered reports whether a package of the module, by its path from the root, is part of the recorded interface.
// docs/stability.md says the same in words: cgotorch is the C++ boundary, gputest is for tests of golite.
func covered(pkg string) bool {
	if pkg == "cgotorch" || strings.HasPrefix(pkg, "cgotorch/") {
		return false
	}
	for part := range strings.SplitSeq(pkg, "/") {
		if part == "internal" {
			return false
		}
	}
	for _, folder := range []string{"examples/", "benchmarks/", "scripts/", "docs", "third_party", "torch/cuda/gputest"} {
		if strings.HasPrefix(pkg, folder) {
			return false
		}
	}
	return true
}

func (l *loader) check(p *listed) (*types.Package, error) {
	var files []*ast.File
	for _, names := range [][]string{p.GoFiles, p.CgoFiles} {
		for _, name := range names {
			f, err := parser.ParseFile(l.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	var first error
	conf := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         importerOf{l, p.ImportMap},
		Sizes:            types.SizesFor("gc", "amd64"),
		Error: func(err error) {
			// Imports that only bodies use count as unused here, which is a soft error.
			var e types.Error
			if errors.As(err, &e) && e.Soft {
				return
			}
			if first == nil {
				first = err
			}
		},
	}
	pkg, _ := conf.Check(p.ImportPath, l.fset, files, nil)
	// The interface of the standard library is not what is listed; some of it needs what only the compiler gives.
	if first != nil && !p.Standard {
		return nil, first
	}
	return pkg, nil
}

// importerOf finds the packages that one package imports.
type importerOf struct {
	l *loader
	m map[string]string
}

func (i importerOf) Import(path string) (*types.Package, error) {
	if to, ok := i.m[path]; ok {
		path = to
	}
	if pkg, ok := i.l.byKey[path]; ok {
		return pkg, nil
	}
	return nil, fmt.Errorf("package %s was not listed before what imports it", path)
}
