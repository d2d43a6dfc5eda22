package serial_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/torch/serial/internal/describe"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
)

const (
	corpus  = "testdata/corpus"
	scripts = "../../scripts/checkpoints"
)

// unreachable are files with values that libtorch tensors have no place for: Python's attributes on tensors are
// dropped.
func withoutAttributes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "attrs")
		for _, inner := range v {
			withoutAttributes(inner)
		}
	case []any:
		for _, inner := range v {
			withoutAttributes(inner)
		}
	}
	return v
}

// withoutStorages drops what a format without aliases can't keep.
func withoutStorages(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"storage", "strides", "offset", "nbytes", "conj", "neg", "requires_grad", "parameter"} {
			delete(v, k)
		}
		for _, inner := range v {
			withoutStorages(inner)
		}
	case []any:
		for _, inner := range v {
			withoutStorages(inner)
		}
	}
	return v
}

// asPlainTensors drops the mark of parameters, which libtorch does not know.
func asPlainTensors(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["py"] == "tensor" {
			v["parameter"] = false
		}
		for _, inner := range v {
			asPlainTensors(inner)
		}
	case []any:
		for _, inner := range v {
			asPlainTensors(inner)
		}
	}
	return v
}

// TestCorpusThroughTensors loads every file into libtorch's tensors and saves them again; Go's reader and Python must
// find in the copy what Python put into the original.
func TestCorpusThroughTensors(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	wants := map[string]string{}
	for name, want := range describe.Corpus(t, corpus) {
		v, err := serial.Load(filepath.Join(corpus, name))
		require.NoError(t, err, name)
		path := filepath.Join(dir, strings.TrimSuffix(name, filepath.Ext(name))+".pt")
		require.NoError(t, serial.Save(path, v, serial.SaveOptions{FullPickle: want.Full}), name)
		expect := withoutAttributes(asPlainTensors(want.Value))
		if name == "plain.safetensors" {
			expect.(map[string]any)["py"] = "collections.OrderedDict"
			path2, err := serial.LoadStateDict(filepath.Join(corpus, name))
			require.NoError(t, err)
			require.Equal(t, len(expect.(map[string]any)["items"].([]any)), path2.Len())
			continue // its order is the file's, not Python's: see TestSafetensorsWithPython
		}
		f, err := ptfile.Open(path)
		require.NoError(t, err, name)
		got, err := describe.Value(f.Root)
		require.NoError(t, err, name)
		wants[path] = describe.Canonical(t, expect)
		require.Equal(t, wants[path], describe.Canonical(t, got), name)
		require.NoError(t, f.Close())
		paths = append(paths, path)
	}
	for path, got := range describe.ByPython(t, scripts, paths...) {
		require.Equal(t, wants[path], describe.Canonical(t, got), filepath.Base(path))
	}
}

func itemsByName(t *testing.T, v any) map[string]string {
	out := map[string]string{}
	for _, pair := range v.(map[string]any)["items"].([]any) {
		p := pair.([]any)
		out[p[0].(map[string]any)["v"].(string)] = describe.Canonical(t, withoutStorages(p[1]))
	}
	return out
}

func TestSafetensorsWithPython(t *testing.T) {
	entry := describe.Corpus(t, corpus)["plain.safetensors"]
	want := itemsByName(t, entry.Value)
	path := filepath.Join(corpus, "plain.safetensors")
	sd, err := serial.LoadStateDict(path)
	require.NoError(t, err)
	meta, err := serial.SafetensorsMetadata(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"format": "pt", "note": "é\n\"x\""}, meta)
	out := filepath.Join(t.TempDir(), "out.safetensors")
	require.NoError(t, serial.SaveSafetensors(out, sd, meta))
	for _, p := range []string{path, out} {
		f, err := safetensors.Open(p)
		require.NoError(t, err)
		require.Equal(t, p == out, f.Checksummed)
		_, err = f.Verify()
		require.NoError(t, err)
		require.Len(t, f.Names, len(want))
		for _, n := range f.Names {
			ti, _ := f.Tensor(n)
			d, err := describe.Value(ti)
			require.NoError(t, err)
			require.Equal(t, want[n], describe.Canonical(t, withoutStorages(d)), n)
		}
		require.NoError(t, f.Close())
	}
	got := itemsByName(t, describe.ByPython(t, scripts, out)[out])
	require.Equal(t, want, got)
}

func TestAliasesAreKept(t *testing.T) {
	v, err := serial.Load(filepath.Join(corpus, "views.pt"))
	require.NoError(t, err)
	d := v.(*serial.Dict)
	get := func(k string) *torch.Tensor {
		x, ok := d.Get(k)
		require.True(t, ok, k)
		return x.(*torch.Tensor)
	}
	base, view := get("base"), get("transposed")
	require.True(t, base.SameStorage(view))
	require.False(t, base.SameStorage(get("scalar")))
	require.False(t, view.IsView(), "loaded tensors share storage; they are not views in autograd's eyes")
	require.True(t, get("grad").RequiresGrad())
	base.Bytes(func(p []byte) { p[0], p[1], p[2], p[3] = 0, 0, 0x80, 0x3f })
	require.Equal(t, float32(1), torch.ToSlice[float32](view)[0])
}

func TestOnlyWhatIsAskedForIsRead(t *testing.T) {
	path := filepath.Join(corpus, "adam.pt")
	v, err := serial.Load(path, serial.LoadOptions{Only: func(name string) bool { return name == "model.0.weight" }})
	require.NoError(t, err)
	model, _ := v.(*serial.Dict).Get("model")
	w, _ := model.(*serial.Dict).Get("0.weight")
	require.IsType(t, &torch.Tensor{}, w)
	b, _ := model.(*serial.Dict).Get("0.bias")
	require.IsType(t, &serial.TensorInfo{}, b)
	sd, err := serial.LoadStateDict(path, serial.LoadOptions{Key: "model",
		Only: func(name string) bool { return name == "2.bias" }})
	require.NoError(t, err)
	require.Equal(t, []string{"2.bias"}, sd.Keys())
	_, err = serial.LoadStateDict(path)
	require.ErrorContains(t, err, "LoadOptions.Key")
	_, err = serial.LoadStateDict(path, serial.LoadOptions{Key: "modle"})
	require.ErrorContains(t, err, "model, optimizer, scheduler")
	sd, err = serial.LoadStateDict(filepath.Join(corpus, "lightning.ckpt"))
	require.NoError(t, err)
	require.Equal(t, []string{"layer.weight", "layer.bias"}, sd.Keys())
}
