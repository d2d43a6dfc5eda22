package lite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// formats are files that PyTorch wrote, see scripts/checkpoints/formats.py.
const formats = "../torch/serial/testdata/formats"

func formatsNet() *nn.Sequential {
	return nn.NewSequential(nn.NewLinear(3, 4), nn.NewReLU(), nn.NewLinear(4, 2))
}

// Files of torch.compile, AveragedModel and DDP, and a model in several files, load into a module and into a model.
func TestLoadWrappedAndShardedModels(t *testing.T) {
	want := formatsNet()
	sd, err := serial.LoadStateDict(filepath.Join(formats, "wrapped_bare.pt"))
	require.NoError(t, err)
	require.NoError(t, nn.LoadStateDict(want, sd))
	files, err := filepath.Glob(filepath.Join(formats, "wrapped_*.pt"))
	require.NoError(t, err)
	require.Len(t, files, 12)
	files = append(files, filepath.Join(formats, "model.safetensors.index.json"), filepath.Join(formats, "pytorch_model.bin.index.json"))
	on(t, lite.Config{}, func(l *lite.Lite) {
		for _, path := range files {
			t.Run(filepath.Base(path), func(t *testing.T) {
				net := formatsNet()
				require.NoError(t, l.LoadRaw(path, net))
				requireSame(t, want, net)
				net = formatsNet()
				model, err := lite.Setup(l, net, net.Forward)
				require.NoError(t, err)
				raw, err := serial.Load(path)
				require.NoError(t, err)
				whole := filepath.Join(t.TempDir(), "whole.pt")
				require.NoError(t, serial.Save(whole, map[string]any{"model": raw, "epoch": 3}))
				var epoch int
				_, err = l.Load(whole, lite.State{"model": model, "epoch": &epoch})
				require.NoError(t, err)
				require.Equal(t, 3, epoch)
				requireSame(t, want, net)
			})
		}
	})
}

func requireSame(t *testing.T, want, got nn.Module) {
	t.Helper()
	state := nn.StateDict(got)
	for key, tensor := range nn.StateDict(want).All() {
		loaded, ok := state.Get(key)
		require.True(t, ok)
		require.Equal(t, tensor.ToBytes(), loaded.ToBytes(), key)
	}
}

// A mapping of keys, for a Lightning file whose LightningModule has the model under a name.
func TestLoadRenamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lightning.ckpt")
	from := formatsNet()
	named := serial.NewOrderedDict()
	for key, tensor := range nn.StateDict(from).All() {
		require.NoError(t, named.Set("model."+key, tensor))
	}
	require.NoError(t, named.Set("metric.total", torch.Ones(1)))
	require.NoError(t, serial.Save(path, map[string]any{"state_dict": named, "epoch": 3}))
	rename := func(key string) string {
		if strings.HasPrefix(key, "metric.") {
			return ""
		}
		return strings.TrimPrefix(key, "model.")
	}
	on(t, lite.Config{}, func(l *lite.Lite) {
		net := formatsNet()
		_, err := l.Load(path, lite.State{"state_dict": net})
		require.ErrorContains(t, err, "unexpected: model.0.weight")
		_, err = l.Load(path, lite.State{"state_dict": net}, lite.LoadOptions{Rename: rename})
		require.NoError(t, err)
		requireSame(t, from, net)
		before := nn.StateDict(net)
		_, err = l.Load(path, lite.State{"state_dict": net}, lite.LoadOptions{Rename: func(string) string { return "x" }})
		require.ErrorContains(t, err, "the same name")
		for key, tensor := range before.All() {
			now, _ := nn.StateDict(net).Get(key)
			require.Equal(t, tensor.ToBytes(), now.ToBytes())
		}
		bare := filepath.Join(t.TempDir(), "bare.pt")
		require.NoError(t, serial.Save(bare, named))
		net = formatsNet()
		require.NoError(t, l.LoadRaw(bare, net, lite.LoadOptions{Rename: rename}))
		requireSame(t, from, net)
	})
}

// Load of a bare state dict names LoadRaw, and LoadRaw of a whole checkpoint names Load.
func TestTheOtherLoadIsNamed(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		net := formatsNet()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		for _, o := range []lite.LoadOptions{{}, {OnlyState: true}} {
			for _, state := range []lite.State{{"model": net}, {"model": net, "optimizer": opt}, {"optimizer": opt}} {
				_, err := l.Load(filepath.Join(formats, "bare.pt"), state, o)
				require.ErrorContains(t, err, "the file is a bare state dict")
				require.ErrorContains(t, err, "l.LoadRaw(path, model)")
				require.ErrorContains(t, err, `"0.bias"`)
			}
		}
		path := filepath.Join(t.TempDir(), "whole.pt")
		require.NoError(t, l.Save(path, lite.State{"net": net, "epoch": 3}))
		err := l.LoadRaw(path, net)
		require.ErrorContains(t, err, `l.Load(path, lite.State{"net": model})`)
		_, err = l.Load(path, lite.State{"model": net})
		require.ErrorContains(t, err, `the file has ["epoch" "golite" "net"]`)
	})
}

// Messages have the names that a program uses.
func TestPublicTypesInMessages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	mixed := serial.NewDict()
	require.NoError(t, mixed.Set(1, "a"))
	require.NoError(t, mixed.Set("b", 2))
	require.NoError(t, serial.Save(path, map[string]any{"dict": mixed, "tuple": serial.Tuple{1}, "bytes": serial.Bytes("x")}))
	on(t, lite.Config{}, func(l *lite.Lite) {
		var n int
		for key, want := range map[string]string{"dict": "*serial.Dict", "tuple": "serial.Tuple", "bytes": "serial.Bytes"} {
			for _, into := range []any{&n, torch.Ones(1), formatsNet(), optim.NewSGD(nn.Parameters(formatsNet()), 0.1)} {
				_, err := l.Load(path, lite.State{key: into})
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "pickle.")
			}
		}
		require.NoError(t, serial.Save(path, serial.Tuple{1}))
		require.ErrorContains(t, l.LoadRaw(path, formatsNet()), "serial.Tuple")
		require.NoError(t, serial.Save(path, mixed))
		require.ErrorContains(t, l.LoadRaw(path, formatsNet()), "*serial.Dict")
	})
}
