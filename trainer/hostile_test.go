package trainer_test

import (
	"context"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/trainer"
)

// hostileRun goes on from a file with a Fit that has all kinds of state.
func hostileRun(t *testing.T, path, dir string) error {
	return lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		c := &trainer.ModelCheckpoint{Dir: dir, Monitor: "val_loss", EveryNTrainSteps: 2, SaveTopK: 2, Filename: "{step}"}
		tr, err := trainer.New(l, quiet(trainer.Options{MaxEpochs: 2, AccumulateGradBatches: 2, RootDir: dir, Callbacks: []trainer.Callback{
			c, &trainer.EarlyStopping{Monitor: "val_loss", Patience: new(100)}, &trainer.Timer{},
		}}))
		if err != nil {
			return err
		}
		m := newSimple()
		m.optimize = func(*trainer.Trainer, *simple) trainer.Optimization {
			o := optim.NewAdam(nn.Parameters(m), 0.1)
			return trainer.Optimization{Optimizer: o, Schedules: []trainer.Schedule{{Scheduler: optim.NewStepLR(o, 1)}}}
		}
		m.step = func(t *trainer.Trainer, m *simple, x *torch.Tensor, i int) *torch.Tensor {
			loss := m.loss(x)
			t.Log("loss", loss, trainer.LogOptions{When: trainer.OnStep | trainer.OnEpoch})
			return loss
		}
		return trainer.Fit(ctx, tr, m, simpleData(), trainer.FitOptions{CkptPath: path})
	})
}

// places calls f with each dictionary and list entry of a checkpoint, as a path of keys and a function that sets it.
func places(v any, path string, f func(path string, set func(any))) {
	at := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			old := v[key]
			f(at(key), func(x any) {
				if x == nil {
					v[key] = old
				} else if x == missing {
					delete(v, key)
				} else {
					v[key] = x
				}
			})
			places(old, at(key), f)
		}
	case []any:
		for i, old := range v {
			f(at("0"), func(x any) {
				if v[i] = x; x == nil || x == missing {
					v[i] = old
				}
			})
			places(old, at("0"), f)
		}
	}
}

type missingType struct{}

var missing any = missingType{}

// A checkpoint that has anything at all in place of any of its values ends Fit with an error that names the file, or is
// gone on from: it is no panic and no endless loop.
func TestHostileCheckpoints(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, hostileRun(t, "", dir))
	var good string
	for _, name := range filesIn(t, dir) {
		good = filepath.Join(dir, name)
		if name == "step=4.ckpt" {
			break
		}
	}
	var content map[string]any
	require.NoError(t, lite.Run(t.Context(), lite.Config{}, func(_ context.Context, l *lite.Lite) error {
		v, err := l.Load(good, nil)
		content = v
		return err
	}))
	bad := filepath.Join(dir, "bad.ckpt")
	count, refused := 0, 0
	places(content, "", func(path string, set func(any)) {
		if strings.HasPrefix(path, "state_dict") || strings.HasPrefix(path, "optimizer_states.0.state.") {
			return // tensors, which lite and optim check
		}
		for _, x := range []any{missing, "text", -1, math.MaxInt, []any{1}, map[string]any{"a": "b"}, torch.Zeros(2, 2)} {
			set(x)
			require.NoError(t, serial.Save(bad, content))
			out := t.TempDir()
			err := hostileRun(t, bad, out)
			if count++; err != nil {
				refused++
				require.NotContains(t, err.Error(), "panic", "%s = %v", path, x)
				require.Contains(t, err.Error(), bad, "%s = %v", path, x)
			}
			require.NoError(t, os.RemoveAll(out))
			set(nil)
		}
	})
	t.Logf("%d files, %d refused", count, refused)
	require.Greater(t, refused, count/4)
	for name, write := range map[string]func() error{
		"empty":        func() error { return os.WriteFile(bad, nil, 0o600) },
		"text":         func() error { return os.WriteFile(bad, []byte("no checkpoint"), 0o600) },
		"a list":       func() error { return serial.Save(bad, []any{1}) },
		"weights only": func() error { return serial.Save(bad, nn.StateDict(newSimple())) },
		"a folder":     func() error { return os.Mkdir(bad, 0o755) },
		"cut": func() error {
			b, err := os.ReadFile(good)
			if err != nil {
				return err
			}
			return os.WriteFile(bad, b[:len(b)/2], 0o600)
		},
		"missing": func() error { return nil },
	} {
		require.NoError(t, os.RemoveAll(bad))
		require.NoError(t, write(), name)
		err := hostileRun(t, bad, t.TempDir())
		require.ErrorContains(t, err, bad, name)
		require.NotContains(t, err.Error(), "panic", name)
	}
}

// Bytes of a checkpoint that were changed are no panic.
func FuzzCheckpoint(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "seed.ckpt")
	if err := lite.Run(f.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		tr, err := trainer.New(l, quiet(trainer.Options{RootDir: dir, Callbacks: []trainer.Callback{&trainer.ModelCheckpoint{Dir: dir, Filename: "seed"}}}))
		if err != nil {
			return err
		}
		return trainer.Fit(ctx, tr, newSimple(), simpleData())
	}); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, 0, byte(1))
	f.Add(seed, len(seed)/3, byte(255))
	f.Add(seed[:len(seed)/2], 5, byte(7))
	f.Fuzz(func(t *testing.T, file []byte, at int, with byte) {
		if len(file) > 1<<20 {
			return
		}
		file = slices.Clone(file)
		if len(file) > 0 {
			file[(at%len(file)+len(file))%len(file)] ^= with
		}
		bad := filepath.Join(t.TempDir(), "bad.ckpt")
		require.NoError(t, os.WriteFile(bad, file, 0o600))
		err := lite.Run(t.Context(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
			tr, err := trainer.New(l, quiet(trainer.Options{MaxEpochs: 1}))
			if err != nil {
				return err
			}
			return trainer.Fit(ctx, tr, newSimple(), simpleData(), trainer.FitOptions{CkptPath: bad})
		})
		if err != nil {
			require.NotContains(t, err.Error(), "panic")
		}
	})
}
