package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/safetensors"
)

// formats holds a sharded model as transformers writes it, see scripts/checkpoints/formats.py.
const formats = "../testdata/formats"

// TestIndex reads all files of an index as one, in the index's order.
func TestIndex(t *testing.T) {
	for _, name := range []string{"model.safetensors.index.json", "pytorch_model.bin.index.json"} {
		f, err := safetensors.Open(filepath.Join(formats, name))
		require.NoError(t, err)
		require.Equal(t, []string{"0.bias", "0.weight", "2.bias", "2.weight"}, f.Names)
		require.Len(t, f.Files, 2)
		for n, shape := range map[string][]int{"0.bias": {4}, "0.weight": {4, 3}, "2.bias": {2}, "2.weight": {2, 4}} {
			tensor, ok := f.Tensor(n)
			require.True(t, ok)
			require.Equal(t, shape, tensor.Shape)
			require.NoError(t, tensor.Storage.Read(make([]byte, tensor.Storage.Size)))
		}
		_, err = f.Verify()
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

// copyModel copies the sharded model to a new folder.
func copyModel(t *testing.T) (dir, index string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
		"model.safetensors.index.json"} {
		raw, err := os.ReadFile(filepath.Join(formats, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o644))
	}
	return dir, filepath.Join(dir, "model.safetensors.index.json")
}

// TestIndexThroughLinks: the files of Hugging Face's cache are links to others, which lie elsewhere.
func TestIndexThroughLinks(t *testing.T) {
	dir, _ := copyModel(t)
	snapshot := t.TempDir()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.Symlink(filepath.Join(dir, e.Name()), filepath.Join(snapshot, e.Name())))
	}
	f, err := safetensors.Open(filepath.Join(snapshot, "model.safetensors.index.json"))
	require.NoError(t, err)
	require.Len(t, f.Names, 4)
	require.NoError(t, f.Close())
}

// TestHostileIndexes: an index that leads out of its folder, to itself, to nothing or to too much is refused by name.
func TestHostileIndexes(t *testing.T) {
	one := func(file string) string { return fmt.Sprintf(`{"weight_map": {"0.weight": %q}}`, file) }
	many := &strings.Builder{}
	for i := range 5000 {
		fmt.Fprintf(many, `%s"w%d": "f%d.safetensors"`, map[bool]string{true: ", "}[i > 0], i, i)
	}
	for _, c := range []struct{ name, index, want string }{
		{"climbs", one("../secret.safetensors"), "want a plain name"},
		{"climbs later", one("a/../../secret.safetensors"), "want a plain name"},
		{"folder", one("sub/model.safetensors"), "want a plain name"},
		{"absolute", one("/etc/passwd"), "want a plain name"},
		{"Windows", one(`..\model.safetensors`), "want a plain name"},
		{"dots", one(".."), "want a plain name"},
		{"empty name", one(""), "want a plain name"},
		{"zero byte", `{"weight_map": {"0.weight": "a\u0000b"}}`, "want a plain name"},
		{"itself", one("model.safetensors.index.json"), "would be an index as well"},
		{"another index by its bytes", one("index.safetensors"), "an index does not name another"},
		{"a pipe", one("pipe.safetensors"), "no regular file"},
		{"a folder of that name", one("folder.safetensors"), "no regular file"},
		{"missing file", one("model-00003-of-00003.safetensors"), "is missing"},
		{"missing tensor", one("model-00002-of-00002.safetensors"), `"0.weight"`},
		{"a damaged file", one("damaged.safetensors"), "damaged.safetensors"},
		{"no state dict", one("list.bin"), "a list of 1 as a part of a sharded model"},
		{"too many files", `{"weight_map": {` + many.String() + `}}`, "more than 4096 files"},
		{"twice", `{"weight_map": {"a": "f.safetensors", "a": "g.safetensors"}}`, "twice"},
		{"two maps", `{"weight_map": {}, "weight_map": {}}`, "twice"},
		{"number", `{"weight_map": {"a": 1}}`, "no text"},
		{"list", `{"weight_map": ["a"]}`, "want an object"},
		{"no map", `{"metadata": {}}`, "without weight_map"},
		{"deep", `{"metadata": ` + strings.Repeat("[", 1<<20) + `}`, "depth"},
		{"cut", `{"weight_map": {"a": "f.safetensors"`, "unexpected"},
		{"tail", `{"weight_map": {}} {}`, "after the JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, path := copyModel(t)
			require.NoError(t, os.WriteFile(path, []byte(c.index), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "secret.safetensors"), nil, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "index.safetensors"), []byte(" {}"), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "damaged.safetensors"), []byte("damaged"), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "list.bin"), listFile(t), 0o644))
			require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.safetensors"), 0o600))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.safetensors"), 0o755))
			began := time.Now()
			_, err := safetensors.Open(path)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, dir)
			require.NotErrorIs(t, err, fs.ErrNotExist, "a program would take it for a first start")
			require.Less(t, time.Since(began), 30*time.Second)
			var corrupt *errs.ErrCorrupt
			var unsafe *errs.ErrUnsafe
			var unsupported *errs.ErrUnsupported
			require.True(t, errors.As(err, &corrupt) || errors.As(err, &unsafe) || errors.As(err, &unsupported), "%T: %v", err,
				err)
		})
	}
}

// listFile is a legacy file of torch.save whose value is the list [1].
func listFile(t *testing.T) []byte {
	t.Helper()
	return []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02]K\x01a.\x80\x02].")
}

// TestHeadersLikeAnIndex: the length of a header that begins as JSON does, a space and a brace, makes no index of its
// file, alone or as a part of a model.
func TestHeadersLikeAnIndex(t *testing.T) {
	// a space or a line's end before the brace, or the brace alone
	for _, n := range []int{0x7b20, 0x7b0a, 0x17b, 0x7b0920} {
		const head = `{"0.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
		raw := binary.LittleEndian.AppendUint64(nil, uint64(n))
		raw = append(raw, head+strings.Repeat(" ", n-len(head)-1)+"}\x00\x00\x80\x3f"...)
		path := filepath.Join(t.TempDir(), "model.safetensors")
		require.NoError(t, os.WriteFile(path, raw, 0o644))
		index := filepath.Join(filepath.Dir(path), "model.safetensors.index.json")
		require.NoError(t, os.WriteFile(index, []byte(`{"weight_map": {"0.weight": "model.safetensors"}}`), 0o644))
		for _, p := range []string{path, index} {
			f, err := safetensors.Open(p)
			require.NoError(t, err, "a header of %d bytes", n)
			require.Equal(t, []string{"0.weight"}, f.Names)
			require.NoError(t, f.Close())
		}
	}
}

// TestDTypesThatAreNotRead: a dtype of the format that golite has not is named as such, and is no damage.
func TestDTypesThatAreNotRead(t *testing.T) {
	for _, dtype := range []string{"F4", "F6_E2M3", "F6_E3M2", "F99"} {
		head := `{"w":{"dtype":"` + dtype + `","shape":[16],"data_offsets":[0,8]}}`
		raw := append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head+"12345678"...)
		_, err := safetensors.Read(bytes.NewReader(raw), int64(len(raw)), "m.safetensors")
		require.EqualError(t, err, `m.safetensors: the safetensors dtype "`+dtype+`", of tensor "w", is not supported; `+
			"in Python, convert the tensor to another dtype before it is saved, such as torch.bfloat16")
		require.True(t, errs.Typed(err))
	}
}

// TestHugeIndexes: a file that is too long is not read, and many tensors take no more than their share of time.
func TestHugeIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors.index.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"weight_map": {}}`), 0o644))
	require.NoError(t, os.Truncate(path, 65<<20))
	_, err := safetensors.Open(path)
	require.ErrorContains(t, err, "the most is")
	var raw bytes.Buffer
	raw.WriteString(`{"weight_map": {"x": "f.safetensors"`)
	for i := range 300_000 {
		fmt.Fprintf(&raw, ", \"model.layers.%d.mlp.experts.down_proj.weight\": \"model-%05d.safetensors\"", i, i%100)
	}
	raw.WriteString("}}")
	began := time.Now()
	names, files, _, err := safetensors.ParseIndex(raw.Bytes())
	require.NoError(t, err)
	require.Len(t, names, 300_001)
	require.Len(t, files, 101)
	require.Less(t, time.Since(began), 10*time.Second)
}

// FuzzIndex: whatever an index says, the files are plain names, and each tensor has one.
func FuzzIndex(f *testing.F) {
	for _, name := range []string{"model.safetensors.index.json", "pytorch_model.bin.index.json", "config.json"} {
		raw, err := os.ReadFile(filepath.Join(formats, name))
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(`{"weight_map": {"a": "../b"}}`))
	f.Add([]byte(`{"weight_map": {"a": "b", "c": "b"}, "weight_map": {}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		names, files, of, err := safetensors.ParseIndex(raw)
		if err != nil {
			require.True(t, errs.Typed(err), "%T: %v", err, err)
			return
		}
		require.Len(t, of, len(names))
		for _, n := range names {
			require.Less(t, of[n], len(files))
		}
		for _, file := range files {
			require.True(t, filepath.IsLocal(file) && filepath.Base(file) == file, "%q", file)
		}
	})
}
