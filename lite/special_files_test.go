package lite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/torch"
)

// TestSaveLeavesPipes: Lite.Save refuses what is no file, and Load does not wait for it.
func TestSaveLeavesPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "last.pt")
	require.NoError(t, unix.Mkfifo(pipe, 0o644))
	state := State{"w": torch.Ones(2)}
	err := Run(t.Context(), Config{Accelerator: "cpu", Devices: "1"}, func(_ context.Context, l *Lite) error {
		for _, o := range []SaveOptions{{}, {Async: true}} {
			err := l.Save(pipe, state, o)
			if o.Async && err == nil {
				err = l.Save(pipe+"-next", state) // returns the error of the write before
			}
			require.ErrorContains(t, err, pipe+": it is a named pipe, which stays as it is")
		}
		_, err := l.Load(pipe, nil)
		require.ErrorContains(t, err, "a named pipe as a checkpoint file is not supported")
		err = l.Save(strings.TrimSuffix(pipe, "last.pt")+"new/", state)
		require.ErrorContains(t, err, "it is a folder; give the name of a file")
		return nil
	})
	require.NoError(t, err)
	entries, err := os.ReadDir(filepath.Dir(pipe))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, os.ModeNamedPipe, entries[0].Type())
}
