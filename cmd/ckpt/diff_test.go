package main

import (
	"io"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

func dictOf(t *testing.T, kv ...any) *pickle.Dict {
	t.Helper()
	d := pickle.NewDict(pickle.PlainDict)
	for i := 0; i < len(kv); i += 2 {
		require.NoError(t, d.Set(kv[i], kv[i+1]))
	}
	return d
}

// TestDiffTellsApart what looks alike, and finds equal what is.
func TestDiffTellsApart(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, v any) string {
		a, err := ptfile.NewArchive(v, ptfile.Options{})
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, atomicfile.Write(atomicfile.OS, path, a.Size(), func(w io.WriterAt) error { return a.WriteTo(w, 0) }))
		return path
	}
	for name, c := range map[string]struct {
		a, b any
		says []string // nothing: they are equal
	}{
		"nan":                   {dictOf(t, "x", math.NaN(), "c", complex(1, math.NaN())), dictOf(t, "x", math.NaN(), "c", complex(1, math.NaN())), nil},
		"nan and a number":      {dictOf(t, "x", math.NaN()), dictOf(t, "x", 1.0), []string{"! x: NaN against 1"}},
		"int and text keys":     {dictOf(t, 0, "v"), dictOf(t, "0", "v"), []string{"- {int(0)}: only in", `+ {"0"}: only in`}},
		"dots in a name":        {dictOf(t, "a", dictOf(t, "b", 1), "a.b", 2), dictOf(t, "a", dictOf(t, "b", 1), "a.b", 3), []string{`! {"a.b"}: 2 against 3`}},
		"dots in other places":  {dictOf(t, "a.b", dictOf(t, "c", 1)), dictOf(t, "a", dictOf(t, "b.c", 1)), []string{`- {"a.b"}{"c"}`, `+ {"a"}{"b.c"}`}},
		"an empty dict":         {dictOf(t, "s", dictOf(t)), dictOf(t), []string{"- s: only in"}},
		"an empty list":         {dictOf(t, "s", []any{}), dictOf(t, "s", []any{1}), []string{"- s: only in", "+ s.0: only in"}},
		"an empty dict or list": {dictOf(t, "s", []any{}), dictOf(t, "s", dictOf(t)), []string{"! s: a list of 0 against a dict of 0"}},
		"empty ones":            {dictOf(t, "s", []any{}, "d", dictOf(t)), dictOf(t, "s", []any{}, "d", dictOf(t)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := ckpt(t, "diff", write("a.pt", c.a), write("b.pt", c.b))
			require.Equal(t, min(len(c.says), 1), code, out)
			for _, text := range c.says {
				require.Contains(t, out, text)
			}
		})
	}
}
