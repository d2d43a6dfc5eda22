package ptfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/internal/describe"
	"github.com/golite/golite/torch/serial/ptfile"
)

const (
	corpus  = "../testdata/corpus"
	scripts = "../../../scripts/checkpoints"
)

// described is a value's description in the form in which the manifest has it.
func described(t *testing.T, v any) string {
	t.Helper()
	d, err := describe.Value(v)
	require.NoError(t, err)
	return describe.Canonical(t, d)
}

func TestCorpusIsReadBitForBit(t *testing.T) {
	for name, want := range describe.Corpus(t, corpus) {
		if strings.HasSuffix(name, ".safetensors") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			f, err := ptfile.Open(filepath.Join(corpus, name))
			require.NoError(t, err)
			defer f.Close()
			checked, err := f.Verify()
			require.NoError(t, err)
			require.Equal(t, f.Format == ptfile.Zip, checked > 0)
			require.Equal(t, describe.Canonical(t, want.Value), described(t, f.Root))
		})
	}
}

func TestCorpusIsWrittenBitForBit(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	wants := map[string]any{}
	for name, want := range describe.Corpus(t, corpus) {
		if strings.HasSuffix(name, ".safetensors") {
			continue
		}
		f, err := ptfile.Open(filepath.Join(corpus, name))
		require.NoError(t, err)
		defer f.Close()
		a, err := ptfile.NewArchive(f.Root, ptfile.Options{Name: "archive", FullPickle: want.Full})
		require.NoError(t, err, name)
		path := filepath.Join(dir, name)
		w, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, a.WriteTo(w, 0), name)
		require.NoError(t, w.Close())
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, a.Size(), st.Size(), name)
		again, err := ptfile.Open(path)
		require.NoError(t, err, name)
		require.Equal(t, describe.Canonical(t, want.Value), described(t, again.Root), name)
		_, err = again.Verify()
		require.NoError(t, err, name)
		require.NoError(t, again.Close())
		paths = append(paths, path)
		wants[path] = want.Value
	}
	for path, got := range describe.ByPython(t, scripts, paths...) {
		require.Equal(t, describe.Canonical(t, wants[path]), describe.Canonical(t, got), filepath.Base(path))
	}
}
