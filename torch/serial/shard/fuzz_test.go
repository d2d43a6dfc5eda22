package shard

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

func typed(t *testing.T, err error) {
	t.Helper()
	var c *errs.ErrCorrupt
	var u *errs.ErrUnsafe
	var n *errs.ErrUnsupported
	require.True(t, errors.As(err, &c) || errors.As(err, &u) || errors.As(err, &n), "%T: %v", err, err)
}

func sample(t testing.TB, file string) []byte {
	t.Helper()
	entries := []*Entry{
		{Name: "w", Path: []any{"w"}, DType: "float32", Shape: []int{4, 2}, Chunks: []Chunk{
			{Offsets: []int{0, 0}, Sizes: []int{3, 2}, Place: Place{file, 0, 100}}, {Offsets: []int{3, 0}, Sizes: []int{1, 2}, Place: Place{file, 100, 100}}}},
		{Name: "l.0", Path: []any{"l", 0}, Chunks: []Chunk{{Place: Place{file, 200, 10}}}},
	}
	raw, err := encodeMetadata(entries)
	require.NoError(t, err)
	return raw
}

func TestMetadataRoundTrip(t *testing.T) {
	entries, err := parseMetadata(sample(t, "__0_x.distcp"))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, []int{4, 2}, entries[0].Shape)
	require.Equal(t, Place{"__0_x.distcp", 100, 100}, entries[0].Chunks[1].Place)
	require.Equal(t, []any{"l", 0}, entries[1].Path)
}

func TestHostileMetadata(t *testing.T) {
	for _, file := range []string{"../../etc/passwd", "/etc/passwd", "", "a/../../b", "a\\b"} {
		_, err := parseMetadata(sample(t, file))
		var u *errs.ErrUnsafe
		require.ErrorAs(t, err, &u, file)
	}
	for _, raw := range []string{"\x80\x02cos\nsystem\nX\x01\x00\x00\x00x\x85R.", "\x80\x02K\x01.", "\x80\x02}.", ""} {
		_, err := parseMetadata([]byte(raw))
		require.Error(t, err)
		typed(t, err)
	}
}

func TestBoxes(t *testing.T) {
	at, box := intersect([]int{0, 2}, []int{4, 4}, []int{2, 0}, []int{4, 3})
	require.Equal(t, []int{2, 2}, at)
	require.Equal(t, []int{2, 1}, box)
	at, _ = intersect([]int{0}, []int{2}, []int{2}, []int{2})
	require.Nil(t, at)
	from, ok := runWithin([]int{2, 0}, []int{2, 6}, []int{0, 0}, []int{4, 6})
	require.True(t, ok)
	require.Equal(t, 12, from)
	_, ok = runWithin([]int{0, 2}, []int{2, 2}, []int{0, 0}, []int{4, 6})
	require.False(t, ok)
	require.ErrorContains(t, (&Entry{Shape: []int{4}, Chunks: []Chunk{{Offsets: []int{0}, Sizes: []int{3}}}}).check(),
		"a rank's part is missing")
	require.ErrorContains(t,
		(&Entry{Shape: []int{4}, Chunks: []Chunk{{Offsets: []int{0}, Sizes: []int{3}},
			{Offsets: []int{2}, Sizes: []int{2}}}}).check(), "overlap")
	require.ErrorContains(t, (&Entry{Shape: []int{4}, Chunks: []Chunk{{Offsets: []int{2}, Sizes: []int{3}}}}).check(),
		"outside")
}

// TestPathsThatClash: metadata whose paths contradict each other is refused.
func TestPathsThatClash(t *testing.T) {
	d := &Dir{Entries: []*Entry{{Name: "a", Path: []any{"a"}}, {Name: "a.b", Path: []any{"a", "b"}}}}
	_, err := d.State(func(*Entry) (any, error) { return 1, nil })
	typed(t, err)
	d = &Dir{Entries: []*Entry{{Name: "a", Path: []any{"a", 0}}, {Name: "a.b", Path: []any{"a", "b"}}}}
	_, err = d.State(func(*Entry) (any, error) { return 1, nil })
	typed(t, err)
	d = &Dir{Entries: []*Entry{{Name: "a", Path: []any{"a", 5}}, {Name: "a.b", Path: []any{"a", 9}}}}
	v, err := d.State(func(e *Entry) (any, error) { return e.Name, nil })
	require.NoError(t, err)
	got, _ := v.Get("a")
	require.Equal(t, []any{"a", "a.b"}, got)
	require.IsType(t, &pickle.Dict{}, v)
}

// FuzzMetadata feeds .metadata files to the reader.
func FuzzMetadata(f *testing.F) {
	f.Add(sample(f, "__0_x.distcp"))
	if raw, err := os.ReadFile(filepath.Join("testdata", "python.metadata")); err == nil {
		f.Add(raw)
	} else {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseMetadata(raw); err != nil {
			typed(t, err)
		}
	})
}
