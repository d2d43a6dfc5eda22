package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/golite/golite/"

// file is one Go file of the repository.
type file struct {
	path      string // from the root, with slashes
	pkg       string // its folder
	test      bool
	generated bool
	lines     int
	ast       *ast.File
}

var fset = token.NewFileSet()

// tree parses the repository once for all tests.
var tree = sync.OnceValues(func() ([]*file, error) {
	var files []*file
	err := eachFile(func(path string, text []byte) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, &file{
			path: path, pkg: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"),
			generated: ast.IsGenerated(parsed), lines: strings.Count(string(text), "\n"), ast: parsed,
		})
		return nil
	})
	return files, err
})

// eachFile visits the text files that are written by hand or generated, not data and not what was installed.
func eachFile(visit func(path string, text []byte) error) error {
	root := filepath.Join("..", "..")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || (strings.HasPrefix(name, ".") && path != root && name != ".ci") ||
				strings.HasPrefix(name, "zz_tmp") ||
				(filepath.Dir(path) == root && (name == "bin" || name == "out")) { // what builds leave
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		switch filepath.Ext(name) {
		case ".go", ".cc", ".hh", ".cu", ".cpp", ".h", ".py", ".sh", ".md", ".s", ".mod", "":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(rel), text)
	})
}

// goFiles gives all Go files.
func goFiles(t *testing.T) []*file {
	t.Helper()
	files, err := tree()
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the tree was not found")
	return files
}

// at is a place as compilers write it.
func (f *file) at(n ast.Node) string {
	p := fset.Position(n.Pos())
	return f.path + ":" + strconv.Itoa(p.Line)
}

// isMain tells a program from a library.
func (f *file) isMain() bool { return f.ast.Name.Name == "main" }
