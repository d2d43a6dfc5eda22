package lite_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// What the State has no key for is returned.
func TestPartialLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		l.SeedEverything(1)
		net := NewMLP()
		opt := optim.NewAdam(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		require.NoError(t, err)
		n, name := 3, "run"
		require.NoError(t, l.Save(path, lite.State{"model": model, "optimizer": opt, "int": 3, "pointer": &n, "name": &name,
			"dict": map[string]any{"a": 1.5, "t": torch.Ones(2)}}))
		want := net.FC1.Weight.ToBytes()
		torch.NoGrad(func() { net.FC1.Weight.Zero_() })

		weight := net.FC1.Weight.Tensor
		into := lite.State{"model": model}
		rest, err := l.Load(path, into)
		require.NoError(t, err)
		require.Same(t, weight, net.FC1.Weight.Tensor, "the weight was replaced, not filled")
		require.Equal(t, want, weight.ToBytes())
		require.ElementsMatch(t, []string{"optimizer", "int", "pointer", "name", "dict"}, keys(rest))
		require.Equal(t, 3, rest["int"])
		require.Equal(t, "run", rest["name"])
		require.Equal(t, 1.5, rest["dict"].(map[string]any)["a"])

		all, err := l.Load(path, nil)
		require.NoError(t, err)
		require.Len(t, all, 7, "the whole content, lite's own key included")
	})
}

func keys(s lite.State) (out []string) {
	for k := range s {
		out = append(out, k)
	}
	return out
}

// A filter keeps what it says, by parameter names, and a key of which nothing is left is left out.
func TestSaveFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		layer := nn.NewLinear(2, 2)
		state := lite.State{"model": layer, "foo": 1}
		weights := func(name string, _ any) bool { return name == "weight" }
		require.NoError(t, l.Save(path, state, lite.SaveOptions{Filter: map[string]func(string, any) bool{"model": weights}}))
		rest, err := l.Load(path, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"weight"}, rest["model"].(*torch.StateDict).Keys())

		none := func(string, any) bool { return false }
		require.NoError(t, l.Save(path, state, lite.SaveOptions{Filter: map[string]func(string, any) bool{"model": none}}))
		rest, err = l.Load(path, nil)
		require.NoError(t, err)
		delete(rest, "golite")
		require.Equal(t, lite.State{"foo": 1}, rest)

		err = l.Save(path, state, lite.SaveOptions{Filter: map[string]func(string, any) bool{"modle": none}})
		require.ErrorContains(t, err, "modle")
	})
}

// What is saved of a model that was set up loads into a bare one, and the other way round.
func TestSaveBareAndSetUp(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.pt"), filepath.Join(dir, "b.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		net, bare := NewMLP(), NewMLP()
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		require.NoError(t, l.Save(a, model.StateDict()))
		sd, err := serial.LoadStateDict(a)
		require.NoError(t, err)
		require.NoError(t, nn.LoadStateDict(bare, sd))
		require.Equal(t, net.FC2.Bias.ToBytes(), bare.FC2.Bias.ToBytes())

		torch.NoGrad(func() { bare.FC2.Bias.Fill_(3) })
		require.NoError(t, l.Save(b, lite.State{"m": bare}))
		_, err = l.Load(b, lite.State{"m": model})
		require.NoError(t, err)
		require.Equal(t, bare.FC2.Bias.ToBytes(), net.FC2.Bias.ToBytes())
	})
}

func TestLoadFillsPointers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		step, loss, name, done := 7, 0.25, "x", true
		require.NoError(t, l.Save(path, lite.State{"step": &step, "loss": &loss, "name": &name, "done": &done}))
		step, loss, name, done = 0, 0, "", false
		rest, err := l.Load(path, lite.State{"step": &step, "loss": &loss, "name": &name, "done": &done})
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, []any{7, 0.25, "x", true}, []any{step, loss, name, done})

		var small int8
		_, err = l.Load(path, lite.State{"step": &small})
		require.NoError(t, err)
		require.EqualValues(t, 7, small)
		_, err = l.Load(path, lite.State{"name": &step})
		require.ErrorContains(t, err, "want a int, found a string")
		require.ErrorContains(t, l.Save(path, lite.State{"golite": 1}), "lite's own")
	})
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		layer := nn.NewLinear(2, 2)
		require.NoError(t, l.Save(path, lite.State{"model": layer, "n": 1}))
		before := layer.Weight.ToBytes()
		torch.NoGrad(func() { layer.Weight.Zero_() })
		zero := layer.Weight.ToBytes()

		_, err := l.Load(path, lite.State{"model": layer, "a": new(int), "b": new(int)})
		var misfit *serial.ErrMismatch
		require.ErrorAs(t, err, &misfit)
		require.Equal(t, []string{"a", "b"}, misfit.Missing)
		require.Equal(t, zero, layer.Weight.ToBytes(), "something was loaded all the same")
		_, err = l.Load(path, lite.State{"model": layer, "a": new(int)}, lite.LoadOptions{NonStrict: true})
		require.NoError(t, err)
		require.Equal(t, before, layer.Weight.ToBytes())

		_, err = l.Load(path, lite.State{"model": nn.NewLinear(3, 2)})
		require.ErrorContains(t, err, "weight")
		_, err = l.Load(filepath.Join(dir, "none.pt"), nil)
		require.ErrorIs(t, err, fs.ErrNotExist)

		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, n := range []int{0, 10, len(whole) / 2, len(whole) - 5} {
			require.NoError(t, os.WriteFile(path, whole[:n], 0o644))
			_, err = l.Load(path, nil)
			require.Error(t, err, "a file cut to %d of %d bytes", n, len(whole))
			require.ErrorContains(t, err, "a.pt")
		}
		require.Error(t, l.Save(filepath.Join(dir, "a.pt", "below"), lite.State{"n": 1}))
	})
}

const readOurs = `
import sys, torch
ours = torch.load(sys.argv[1], weights_only=True)
layer = torch.nn.Linear(2, 2); layer.load_state_dict(ours["model"])
opt = torch.optim.Adam(layer.parameters(), lr=1.0); opt.load_state_dict(ours["optimizer"])
assert opt.param_groups[0]["lr"] == 0.125, opt.param_groups
assert ours["step"] == 7 and ours["name"] == "x", ours
opt.zero_grad(); layer(torch.ones(1, 2)).sum().backward(); opt.step()
torch.save({"model": layer.state_dict(), "optimizer": opt.state_dict(), "step": 8, "name": "y"}, sys.argv[2])
`

// Python loads what lite saves, trains a step further, and lite loads what Python saved, with the same result as here.
func TestPythonAndBack(t *testing.T) {
	py := python.Find(t)
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.pt"), filepath.Join(dir, "theirs.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		layer := nn.NewLinear(2, 2)
		opt := optim.NewAdam(nn.Parameters(layer), 0.125)
		model, err := lite.Setup(l, layer, layer.Forward, opt)
		require.NoError(t, err)
		trainStep := func() {
			opt.ZeroGrad()
			l.Backward(model.Forward(torch.Ones(1, 2)).Sum())
			opt.Step()
		}
		trainStep()
		step, name := 7, "x"
		state := lite.State{"model": model, "optimizer": opt, "step": &step, "name": &name}
		require.NoError(t, l.Save(ours, state))
		out, err := exec.Command(py, "-c", readOurs, ours, theirs).CombinedOutput()
		require.NoError(t, err, string(out))
		trainStep()
		want := layer.Weight.ToBytes()
		torch.NoGrad(func() { layer.Weight.Zero_() })
		_, err = l.Load(theirs, state)
		require.NoError(t, err)
		require.Equal(t, want, layer.Weight.ToBytes())
		require.Equal(t, []any{8, "y"}, []any{step, name})
	})
}

// What another kind of device has drawn can't be gone on with: all else is loaded, and the log says so.
func TestRandomStreamsOfAnotherDeviceAreLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	core, logs := observer.New(zap.WarnLevel)
	on(t, lite.Config{Logger: zap.New(core)}, func(l *lite.Lite) {
		l.SeedEverything(1)
		opt := optim.NewSGD(nn.Parameters(nn.NewLinear(2, 1)), 0.1)
		require.NoError(t, l.Save(path, lite.State{"optimizer": opt}))
		content, err := serial.Load(path)
		require.NoError(t, err)
		run, _ := content.(*serial.Dict).Get("golite")
		streams, _ := run.(*serial.Dict).Get("streams")
		require.NoError(t, streams.([]any)[0].(*serial.Dict).Set("rank", torch.From(make([]byte, 16)))) // as a GPU's is
		require.NoError(t, serial.Save(path, content))

		state := func(g *torch.Generator) string { return string(g.State().ToBytes()) }
		begun := state(torch.DefaultGenerator(torch.CPU))
		torch.Randn(3)
		torch.Options{Generator: l.RankGenerator()}.Randn(3)
		drawn := state(l.RankGenerator())
		_, err = l.Load(path, lite.State{"optimizer": opt})
		require.NoError(t, err)
		require.True(t, begun == state(torch.DefaultGenerator(torch.CPU)), "the CPU's own stream is restored")
		require.True(t, drawn == state(l.RankGenerator()), "the other is left")
		require.Len(t, logs.FilterMessageSnippet("another kind of device").All(), 1)
	})
}
