package lite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/optim"
)

// What is nil is an error that names it, before anything runs.
func TestNilFunctionsAndCallbacks(t *testing.T) {
	ctx := t.Context()
	require.ErrorContains(t, lite.Run(ctx, lite.Config{Accelerator: "cpu"}, nil), "lite.Run: the function is nil")
	_, err := lite.RunValue[int](ctx, lite.Config{Accelerator: "cpu"}, nil)
	require.ErrorContains(t, err, "lite.RunValue: the function is nil")
	var none context.Context
	err = lite.Run(none, lite.Config{Accelerator: "cpu"}, func(context.Context, *lite.Lite) error { return nil })
	require.ErrorContains(t, err, "lite.Run: the context is nil")
	require.ErrorContains(t, dist.Try(nil), "dist.Try: the function is nil")
	run := func(c lite.Config) error {
		c.Accelerator = "cpu"
		return lite.Run(ctx, c, func(context.Context, *lite.Lite) error { return nil })
	}
	require.ErrorContains(t, run(lite.Config{Callbacks: []any{nil}}), "callback 0 is nil")
	require.ErrorContains(t, run(lite.Config{Loggers: []lite.MetricLogger{nil}}), "logger 0 is nil")
	for name, f := range map[string]func(l *lite.Lite) error{
		"lite.Autocast":      func(l *lite.Lite) error { l.Autocast(nil); return nil },
		"lite.AutocastOf":    func(l *lite.Lite) error { lite.AutocastOf[int](l, nil); return nil },
		"lite.InitTensor":    func(l *lite.Lite) error { lite.InitTensor[int](l, nil); return nil },
		"lite.Capture":       func(l *lite.Lite) error { lite.Capture[int, int](l, nil); return nil },
		"lite.RankZeroFirst": func(l *lite.Lite) error { return l.RankZeroFirst(nil) },
		"amp.Autocast":       func(*lite.Lite) error { amp.Autocast(torch.CPUType, torch.BFloat16, nil); return nil },
		"amp.GradScaler.Step": func(*lite.Lite) error {
			amp.NewGradScaler(amp.ScalerOptions{}).Step(nil, func() {})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := lite.Run(ctx, lite.Config{Accelerator: "cpu"}, func(_ context.Context, l *lite.Lite) error { return f(l) })
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "nil")
		})
	}
}

// A nil pointer of a type that a method takes is an error that names it, without a stack.
func TestNilPointers(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	var model *lite.Net[*line]
	var net *line
	var opt *optim.SGD
	var loader, unmade *data.Loader[int] = nil, new(data.Loader[int])
	var set *data.TensorDataset[data.Example]
	good := filepath.Join(dir, "good.pt")
	saved := lite.State{"a": 1}
	for name, c := range map[string]struct {
		want string
		f    func(l *lite.Lite) error
	}{
		"Save, model":     {"a nil *lite.Model[", func(l *lite.Lite) error { return l.Save(filepath.Join(dir, "a.pt"), lite.State{"a": model}) }},
		"Save, module":    {`"a": a nil *lite_test.line`, func(l *lite.Lite) error { return l.Save(filepath.Join(dir, "a.pt"), lite.State{"a": net}) }},
		"Save, optimizer": {`"a": a nil *optim.SGD`, func(l *lite.Lite) error { return l.Save(filepath.Join(dir, "a.pt"), lite.State{"a": opt}) }},
		"Save, loader":    {`"a": a nil *data.Loader[int]`, func(l *lite.Lite) error { return l.Save(filepath.Join(dir, "a.pt"), lite.State{"a": loader}) }},
		"Load, module":    {"nn.StateDict: the model is nil", func(l *lite.Lite) error { _, err := l.Load(good, lite.State{"a": net}); return err }},
		"Load, optimizer": {"no *optim.SGD to load into: it is nil", func(l *lite.Lite) error { _, err := l.Load(good, lite.State{"a": opt}); return err }},
		"Backward":        {"output 0, a loss, is nil", func(l *lite.Lite) error { l.Backward(nil); return nil }},
		"a loader":        {"the loader is nil", func(l *lite.Lite) error { _, err := lite.SetupDataLoader(l, loader); return err }},
		"loaders":         {"loader 0: lite: SetupDataLoader: the loader is nil", func(l *lite.Lite) error { _, err := lite.SetupDataLoaders(l, []*data.Loader[int]{loader}); return err }},
		"no loader":       {"was not made by NewLoader", func(l *lite.Lite) error { _, err := lite.SetupDataLoader(l, unmade); return err }},
		"a data set":      {"the data set is a nil *data.TensorDataset[", func(l *lite.Lite) error { _, err := lite.SetupDataLoader(l, data.NewLoader(set, 2)); return err }},
		"Setup, module":   {"the module (*lite_test.line) is nil", func(l *lite.Lite) error { _, err := lite.Setup(l, net, net.Forward); return err }},
		"optimizer":       {"optimizer 0 is nil", func(l *lite.Lite) error { return l.SetupOptimizers(opt) }},
	} {
		t.Run(name, func(t *testing.T) {
			err := lite.Run(ctx, lite.Config{Accelerator: "cpu"}, func(_ context.Context, l *lite.Lite) error {
				if err := l.Save(good, saved); err != nil {
					return err
				}
				return c.f(l)
			})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "goroutine")
		})
	}
}
