package lite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// procNumber reads a number that Linux counts of this process.
func procNumber(t *testing.T, file, name string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc/self", file))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(raw), name+":")
	require.True(t, found, name)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return n
}

// heavyModel is a model of 16 MiB and its optimizer, whose moments take twice as much.
func heavyModel(t *testing.T, l *lite.Lite) (*lite.Net[*nn.Linear], optim.Optimizer) {
	t.Helper()
	l.SeedEverything(5)
	layer := nn.NewLinear(2048, 2048)
	opt := optim.NewAdam(nn.Parameters(layer), 0.5)
	model, err := lite.Setup(l, layer, layer.Forward, opt)
	require.NoError(t, err)
	l.Backward(model.Forward(torch.Ones(1, 2048)).Sum())
	opt.Step()
	return model, opt
}

// TestLoadReadsInPlace: a model's bytes go into its own memory without a second copy, and with OnlyState the optimizer's are not
// read at all.
func TestLoadReadsInPlace(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the counters are Linux's")
	}
	path := filepath.Join(t.TempDir(), "a.pt")
	const size = 2048 * 2048 * 4
	on(t, lite.Config{}, func(l *lite.Lite) {
		model, opt := heavyModel(t, l)
		require.NoError(t, l.Save(path, lite.State{"model": model, "optimizer": opt, "step": 4}))
		want := model.Module.Weight.ToBytes()
		torch.NoGrad(func() { model.Module.Weight.Zero_() })
		runtime.GC()
		require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // the peak starts anew
		read, resident := procNumber(t, "io", "rchar"), procNumber(t, "status", "VmRSS")
		rest, err := l.Load(path, lite.State{"model": model}, lite.LoadOptions{OnlyState: true})
		require.NoError(t, err)
		require.Less(t, procNumber(t, "io", "rchar")-read, 2*size+2<<20, "once to check, once to read")
		if !raceDetector { // it keeps memory of its own for what is read
			require.Less(t, (procNumber(t, "status", "VmHWM")-resident)<<10, size/2, "there is no second copy")
		}
		require.Empty(t, rest)
		require.Equal(t, want, model.Module.Weight.ToBytes())

		rest, err = l.Load(path, lite.State{"model": model})
		require.NoError(t, err)
		require.Equal(t, 4, rest["step"])
		state := rest["optimizer"].(map[string]any)["state"].(map[int]any)[0].(map[string]any)
		require.Equal(t, 2048, state["exp_avg"].(*torch.Tensor).Size(0), "else what nobody asked for is given back")
	})
}

// TestLoadChangesNothingOnErrors: what is missing, of another kind or damaged is found before the model's memory is touched.
func TestLoadChangesNothingOnErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		model, opt := heavyModel(t, l)
		require.NoError(t, l.Save(path, lite.State{"model": model, "optimizer": opt, "name": "x"}))
		torch.NoGrad(func() { model.Module.Weight.Zero_() })
		before := model.Module.Weight.ToBytes()
		var misfit *serial.ErrMismatch
		for _, s := range []lite.State{
			{"model": model, "absent": new(int)},
			{"model": model, "name": new(int)},
			{"model": model, "optimizer": nn.NewLinear(1, 1)},
		} {
			_, err := l.Load(path, s)
			require.Error(t, err)
			require.Equal(t, before, model.Module.Weight.ToBytes())
		}
		other := nn.NewLinear(2048, 3)
		_, err := l.Load(path, lite.State{"model": other})
		require.ErrorAs(t, err, &misfit)
		require.Len(t, misfit.Mismatched, 2)

		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		raw[len(raw)/2] ^= 1 // in a moment of the optimizer, which is not read, or in the weight
		require.NoError(t, os.WriteFile(path, raw, 0o644))
		_, err = l.Load(path, lite.State{"model": model, "optimizer": opt})
		var damaged *serial.ErrCorrupt
		require.ErrorAs(t, err, &damaged)
		require.Equal(t, before, model.Module.Weight.ToBytes())
	})
}

// TestBackgroundSavesKeep: with Async, too, what Keep doesn't keep is gone when the write is done, not a save later.
func TestBackgroundSavesKeep(t *testing.T) {
	dir := t.TempDir()
	keep := serial.Keep{Pattern: filepath.Join(dir, "step-{step}.pt"), Last: 2}
	on(t, lite.Config{}, func(l *lite.Lite) {
		for step := range 5 {
			path := filepath.Join(dir, "step-"+strconv.Itoa(step)+".pt")
			require.NoError(t, l.Save(path, lite.State{"step": step}, lite.SaveOptions{Async: true, Keep: keep}))
		}
	})
	found, err := serial.List(keep.Pattern)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, filepath.Join(dir, "step-4.pt"), found[0].Path)
}
