package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch/nn"
)

// A run with all three plugins uses all three.
func TestPlugins(t *testing.T) {
	wide, store := &Wide{}, &Versions{Dir: t.TempDir()}
	desk := Desk{cluster.Map(map[string]string{"DESK_RANK": "0", "DESK_SIZE": "1"})}
	var out strings.Builder
	cfg := lite.Config{Plugins: []any{desk, wide, store}, Output: &out}
	require.NoError(t, lite.Run(context.Background(), cfg, train))
	require.Equal(t, 100, wide.Passes)
	files, err := os.ReadDir(store.Dir)
	require.NoError(t, err)
	require.Len(t, files, 10)
	require.Contains(t, out.String(), "weight 3.0000, bias 1.0000")

	cfg.Plugins = []any{wide, store}
	require.NoError(t, lite.Run(context.Background(), cfg, func(_ context.Context, l *lite.Lite) error {
		require.Equal(t, "wide", l.Precision())
		net, step := nn.NewLinear(1, 1), 0
		_, err := l.Load("line.pt", lite.State{"model": net, "step": &step})
		require.NoError(t, err)
		require.Equal(t, 100, step)
		require.InDelta(t, 3, net.Weight.Item(), 1e-4)
		_, err = l.Load("other.pt", nil)
		require.True(t, errors.Is(err, fs.ErrNotExist))
		return nil
	}))
}

// What the environment finds wrong ends the run before it starts.
func TestDeskRefuses(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"DESK_SIZE=\"x\"":      {"DESK_SIZE": "x"},
		"desk started 2 ranks": {"DESK_RANK": "0", "DESK_SIZE": "2"},
	} {
		cfg := lite.Config{Devices: "3", Plugins: []any{Desk{cluster.Map(env)}}}
		err := lite.Run(context.Background(), cfg, func(context.Context, *lite.Lite) error {
			t.Error("it ran")
			return nil
		})
		require.ErrorContains(t, err, want)
	}
}
