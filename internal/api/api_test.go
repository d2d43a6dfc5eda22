package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// write makes a module of the files that text has, each after a line "-- name --".
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "-- "), "\n-- ") {
		name, body, _ := strings.Cut(part, " --\n")
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(body+"\n"), 0o644))
	}
	return dir
}

const sample = `-- go.mod --
module example.org/m

go 1.26
-- a/a.go --
package a

import (
	"errors"
	"io"

	"example.org/m/internal/hidden"
)

const Limit = 1 << 4

const half Kind = 2

type Kind uint8

const Whole Kind = 1

var ErrGone, own = errors.New("gone"), 1

type List[T any] struct {
	Items []T
	base
	io.Reader
	count int
}

func (l *List[T]) Add(item T, more ...T) error { _ = hidden.X; return nil }

func (List[T]) hidden() {}

type base struct{ Shown int }

func (*base) Close() error { return nil }

type Closer interface {
	io.Closer
	After(n int) (Kind, error)
}

type Sealed interface{ seal() }

type Same = List[int]

func Map[T, U any](in []T, f func(T) U) []U { return nil }
-- internal/hidden/hidden.go --
package hidden

var X int
-- cmd/tool/main.go --
package main

func Exported() {}

func main() {}
-- cgotorch/c.go --
package cgotorch

import "C"

func Exported(C.int) {}`

func TestFilesListsEachExportedName(t *testing.T) {
	files, err := Files(t.Context(), write(t, sample))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"golite.txt": {
		"pkg a, const Limit untyped int = 16",
		"pkg a, const Whole Kind = 1",
		"pkg a, func Map[T any, U any]([]T, func(T) U) []U",
		"pkg a, method (*List) Add(T, ...T) error",
		"pkg a, method (*List) Close() error",
		"pkg a, type Closer interface { After(int) (Kind, error); io.Closer }",
		"pkg a, type Kind uint8",
		"pkg a, type List struct, Items []T",
		"pkg a, type List struct, Shown int",
		"pkg a, type List struct, embedded io.Reader",
		"pkg a, type List[T any] struct",
		"pkg a, type Same = List[int]",
		"pkg a, type Sealed interface { unexported methods }",
		"pkg a, var ErrGone error",
	}}, files)
}

func TestFilesNamesWhatDoesNotTypeCheck(t *testing.T) {
	dir := write(t, "-- go.mod --\nmodule example.org/m\n\ngo 1.26\n-- a/a.go --\npackage a\n\nvar X missing")
	_, err := Files(t.Context(), dir)
	require.ErrorContains(t, err, "undefined: missing")
}

func TestDiffIsByName(t *testing.T) {
	require.Equal(t, []string{"- pkg a, func F()", "+ pkg a, func F(int)", "+ pkg b, func G()"},
		Diff([]string{"pkg a, func E()", "pkg a, func F()"}, []string{"pkg a, func E()", "pkg a, func F(int)",
			"pkg b, func G()"}))
	require.Empty(t, Diff([]string{"x"}, []string{"x"}))
}
