package lint

import (
	"bytes"
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
	"testing"

	"github.com/stretchr/testify/require"
)

// listed is what go list tells of a package.
type listed struct {
	ImportPath, Dir, Name string
	GoFiles, CgoFiles     []string
	ImportMap             map[string]string
	Standard              bool
}

// All packages have correct types on macOS, as far as can be told without a Mac: what C declares is taken on trust.
// Nothing is run there.
func TestEverythingTypeChecksOnDarwin(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it reads the whole standard library; run it without -short")
	}
	packages := listFor(t, "darwin", "arm64")
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	ours := 0
	for _, p := range packages { // what a package needs comes before it
		if p.ImportPath == "unsafe" {
			continue
		}
		mine := strings.HasPrefix(p.ImportPath+"/", module)
		checked, errs := check(p, done, mine)
		done[p.ImportPath] = checked
		if !mine {
			continue
		}
		ours++
		for _, err := range errs {
			if len(p.CgoFiles) > 0 && strings.Contains(err.Error(), "invalid type") {
				continue // what comes of a C type
			}
			t.Error(err)
		}
	}
	require.Greater(t, ours, 50, "the packages were not found")
}

// listFor lists all packages and what they need, as they are on a platform.
func listFor(t *testing.T, system, architecture string) (list []listed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps",
		"-json=ImportPath,Dir,Name,GoFiles,CgoFiles,ImportMap,Standard", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(t, err, said.String())
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// check checks a package's types; of one that is not ours only its declarations, and its errors don't count.
func check(p listed, done map[string]*types.Package, mine bool) (*types.Package, []error) {
	positions := token.NewFileSet()
	var files []*ast.File
	var errs []error
	for _, name := range append(append([]string{}, p.GoFiles...), p.CgoFiles...) {
		f, err := parser.ParseFile(positions, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	config := types.Config{
		FakeImportC: true, IgnoreFuncBodies: !mine, Sizes: types.SizesFor("gc", "arm64"),
		Importer: importing{p.ImportMap, done}, Error: func(err error) { errs = append(errs, err) },
	}
	checked, err := config.Check(p.ImportPath, positions, files, nil)
	if err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	return checked, errs
}

// importing finds packages among those that were checked before.
type importing struct {
	names map[string]string
	done  map[string]*types.Package
}

func (i importing) Import(path string) (*types.Package, error) {
	if name, ok := i.names[path]; ok {
		path = name
	}
	if p := i.done[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s comes later, or is not there", path)
}
