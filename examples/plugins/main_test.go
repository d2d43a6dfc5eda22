package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch/nn"
)

const asProgram = "GOLITE_TEST_PLUGINS"

// TestMain runs the tests, or, in a process that a test started, the program.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	fixture.Main(m)
}

// Two processes that nobody but a desk has started find each other, and fit the line to the points of both.
func TestDeskFormsAGroup(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := socket.Addr().(*net.TCPAddr).Port
	require.NoError(t, socket.Close())
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var outs [2]strings.Builder
	var ranks [2]*exec.Cmd
	for i := range ranks {
		c := exec.CommandContext(ctx, self, "-dir", dir)
		c.Env = append(os.Environ(), asProgram+"=1", fmt.Sprintf("DESK_RANK=%d", i), "DESK_SIZE=2", fmt.Sprintf("DESK_PORT=%d", port))
		c.Stdout, c.Stderr = &outs[i], &outs[i]
		require.NoError(t, c.Start())
		ranks[i] = c
	}
	for i, c := range ranks {
		require.NoError(t, c.Wait(), "rank %d: %s", i, &outs[i])
	}
	require.Contains(t, outs[0].String(), "2 ranks, 4 points, loss")
	require.Contains(t, outs[0].String(), "weight 3.0000, bias 1.0000")
	require.NotContains(t, outs[1].String(), "points")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 10, "rank 0 alone writes")
}

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
		line, step := nn.NewLinear(1, 1), 0
		_, err := l.Load("line.pt", lite.State{"model": line, "step": &step})
		require.NoError(t, err)
		require.Equal(t, 100, step)
		require.InDelta(t, 3, line.Weight.Item(), 1e-4)
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
