package serial_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// formats are files of scripts/checkpoints/formats.py: one model in wrappers and in several files, and other formats.
const formats = "testdata/formats"

func formatsNet() *nn.Sequential {
	return nn.NewSequential(nn.NewLinear(3, 4), nn.NewReLU(), nn.NewLinear(4, 2))
}

// bareState is the model's state dict as it is without wrappers.
func bareState(t *testing.T) *torch.StateDict {
	t.Helper()
	sd, err := serial.LoadStateDict(filepath.Join(formats, "wrapped_bare.pt"))
	require.NoError(t, err)
	require.Equal(t, []string{"0.weight", "0.bias", "2.weight", "2.bias"}, sd.Keys())
	return sd
}

func requireState(t *testing.T, want *torch.StateDict, net nn.Module) {
	t.Helper()
	got := nn.StateDict(net)
	for key, tensor := range want.All() {
		loaded, ok := got.Get(key)
		require.True(t, ok, key)
		require.Equal(t, tensor.ToBytes(), loaded.ToBytes(), key)
	}
}

// TestWrappedModels: what torch.compile, DDP, DataParallel, AveragedModel and combinations of them save loads into the
// model.
func TestWrappedModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(formats, "wrapped_*.pt"))
	require.NoError(t, err)
	require.Len(t, files, 12)
	want := bareState(t)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			sd, err := serial.LoadStateDict(path)
			require.NoError(t, err)
			net := formatsNet()
			require.NoError(t, nn.LoadStateDict(net, sd))
			requireState(t, want, net)
		})
	}
}

// TestRename: a mapping of keys, when the file is read and when its state dict is loaded.
func TestRename(t *testing.T) {
	want := bareState(t)
	path := filepath.Join(t.TempDir(), "model.pt")
	named := &torch.StateDict{}
	for key, tensor := range want.All() {
		named.Set("module.encoder."+key, tensor)
	}
	named.Set("module.head.weight", torch.Ones(2))
	require.NoError(t, serial.SaveStateDict(path, named))
	rename := func(key string) string {
		if strings.Contains(key, "head.") {
			return ""
		}
		return strings.Replace(key, "encoder.", "", 1)
	}
	sd, err := serial.LoadStateDict(path, serial.LoadOptions{Rename: rename})
	require.NoError(t, err)
	require.Equal(t, []string{"module.0.weight", "module.0.bias", "module.2.weight", "module.2.bias"}, sd.Keys())
	net := formatsNet()
	require.NoError(t, nn.LoadStateDict(net, sd))
	requireState(t, want, net)
	net = formatsNet()
	require.NoError(t, nn.LoadStateDict(net, named, nn.LoadOptions{Rename: rename}))
	requireState(t, want, net)
	same := func(string) string { return "same" }
	_, err = serial.LoadStateDict(path, serial.LoadOptions{Rename: same})
	require.ErrorContains(t, err, "the same name")
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, nn.LoadStateDict(net, named, nn.LoadOptions{Rename: same}), "the same name")
}

// TestShardedModels: Load, LoadStateDict and Check take the index of a model in several files.
func TestShardedModels(t *testing.T) {
	want := bareState(t)
	for _, name := range []string{"model.safetensors.index.json", "pytorch_model.bin.index.json"} {
		path := filepath.Join(formats, name)
		require.NoError(t, serial.Check(path, true))
		v, err := serial.Load(path)
		require.NoError(t, err)
		require.Equal(t, 4, v.(*serial.Dict).Len())
		sd, err := serial.LoadStateDict(path,
			serial.LoadOptions{Only: func(name string) bool { return strings.HasPrefix(name, "0.") }})
		require.NoError(t, err)
		require.Equal(t, []string{"0.bias", "0.weight"}, sd.Keys())
		net := formatsNet()
		into := nn.StateDict(net)
		sd, err = serial.LoadStateDict(path, serial.LoadOptions{Into: func(name string) *torch.Tensor {
			t,
				_ := into.Get(name)
			return t
		}})
		require.NoError(t, err)
		require.Equal(t, 4, sd.Len())
		requireState(t, want, net)
	}
	_, err := serial.Load(formats)
	require.ErrorContains(t, err, "the folder of a Hugging Face model")
	require.ErrorContains(t, err, "model.safetensors.index.json")
	_, err = serial.LoadSharded(formats)
	require.ErrorContains(t, err, "model.safetensors.index.json")
	require.NotErrorIs(t, err, os.ErrNotExist)
}

// TestStateDictsElsewhereAreNamed: a file with more than a state dict names the key under which one is, in Python's
// words.
func TestStateDictsElsewhereAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint.pt")
	require.NoError(t, serial.Save(path, map[string]any{"epoch": 3, "net": bareState(t)}))
	_, err := serial.LoadStateDict(path)
	require.ErrorContains(t, err, `key "epoch", 3, in a state dict is not supported; read the state dict under "net" with LoadOptions.Key`)
	sd, err := serial.LoadStateDict(path, serial.LoadOptions{Key: "net"})
	require.NoError(t, err)
	require.Equal(t, 4, sd.Len())
	require.NoError(t, serial.Save(path, []any{1, 2}))
	_, err = serial.LoadStateDict(path)
	require.ErrorContains(t, err, "a list of 2 as a state dict")
	require.NoError(t, serial.Save(path, map[string]any{"a": map[string]any{"b": 1}}))
	_, err = serial.LoadStateDict(path)
	require.ErrorContains(t, err, `key "a", a dict of 1, in a state dict`)
	require.NotContains(t, err.Error(), "pickle.")
}
