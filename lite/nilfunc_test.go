package lite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// What is nil is an error that names it, before anything runs.
func TestNilFunctionsAndCallbacks(t *testing.T) {
	ctx := t.Context()
	require.ErrorContains(t, lite.Run(ctx, lite.Config{Accelerator: "cpu"}, nil), "lite.Run: the function is nil")
	_, err := lite.RunValue[int](ctx, lite.Config{Accelerator: "cpu"}, nil)
	require.ErrorContains(t, err, "lite.RunValue: the function is nil")
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
