package lite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/torch"
)

// TestConfigFilesAreRegular: a device that never ends, a pipe without another end and a huge file are refused, each by
// its name.
func TestConfigFilesAreRegular(t *testing.T) {
	dir := t.TempDir()
	pipe, huge := filepath.Join(dir, "pipe"), filepath.Join(dir, "huge.yaml")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 1<<40))
	for path, want := range map[string]string{
		"/dev/zero": "/dev/zero is a character device; want a regular file", // read only: that harms no device
		pipe:        pipe + " is a named pipe; want a regular file",
		dir:         dir + " is a folder; want a regular file",
		huge:        huge + " has more than 1048576 bytes",
	} {
		done := make(chan error, 1)
		go func() {
			_, err := resolve(Config{}, realFiles{box{env: map[string]string{"LITE_CONFIG": path}}})
			done <- err
		}()
		select {
		case err := <-done:
			require.ErrorContains(t, err, `config="`+path+`" (from LITE_CONFIG): `+want)
		case <-time.After(20 * time.Second):
			t.Fatalf("LITE_CONFIG=%s is read without end", path)
		}
	}
}

// realFiles is a machine of a test with the files of this one.
type realFiles struct{ box }

func (realFiles) readFile(path string) ([]byte, error) { return thisMachine{}.readFile(path) }

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
