package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const formats = "../../torch/serial/testdata/formats/"

// The index of a model in several files is listed, verified and made one file.
func TestIndexes(t *testing.T) {
	for _, name := range []string{"model.safetensors.index.json", "pytorch_model.bin.index.json"} {
		code, out := ckpt(t, "ls", formats+name)
		require.Zero(t, code, out)
		require.Regexp(t, `(?m)^2\.weight +float32 +2x4 +32 B$`, out)
		require.Contains(t, out, "4 tensors, 26 elements, 104 B stored, an index of 2 files")
		one := filepath.Join(t.TempDir(), "one.safetensors")
		for _, verb := range []string{"convert", "consolidate"} {
			code, out = ckpt(t, verb, formats+name, one)
			require.Zero(t, code, out)
			code, out = ckpt(t, "diff", one, formats+name)
			require.Zero(t, code, out)
		}
		code, out = ckpt(t, "consolidate", one, one)
		require.Equal(t, 1, code)
		require.Contains(t, out, "is one file already")
	}
}

// Files of other formats are named, with the remedy.
func TestOtherFormats(t *testing.T) {
	for name, want := range map[string]string{
		"script.pt": "torch.jit.load", "exported.pt2": "torch.export.load", "module.pt": "model.state_dict()", "config.json": "weight_map",
		"": "model.safetensors.index.json", "saved_model": "SavedModel",
	} {
		code, out := ckpt(t, "ls", formats+name)
		require.Equal(t, 1, code)
		require.Contains(t, out, want)
		require.NotContains(t, out, "corrupt")
	}
}
