package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
			_, err := Resolve(Config{}, realFiles{box{env: map[string]string{"LITE_CONFIG": path}}})
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

func (realFiles) ReadFile(path string) ([]byte, error) { return ThisMachine{}.ReadFile(path) }
