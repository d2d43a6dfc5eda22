package serial_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// within fails where f takes longer than a small file ever does.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it blocks")
	}
}

// special makes a named pipe, and a null device where the test is run as root.
func special(t *testing.T) []string {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "pipe")}
	require.NoError(t, unix.Mkfifo(paths[0], 0o644))
	if os.Getuid() != 0 {
		t.Log("without root no device can be made: a named pipe alone")
		return paths
	}
	paths = append(paths, filepath.Join(dir, "null"))
	require.NoError(t, unix.Mknod(paths[1], unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	return paths
}

// TestSpecialFilesStay: every way to write a file refuses what is no file, and leaves it.
func TestSpecialFilesStay(t *testing.T) {
	sd := &torch.StateDict{}
	sd.Set("w", torch.Ones(2))
	for _, path := range special(t) {
		before, err := os.Lstat(path)
		require.NoError(t, err)
		for name, save := range map[string]func() error{
			"Save":            func() error { return serial.Save(path, sd) },
			"SaveStateDict":   func() error { return serial.SaveStateDict(path, sd) },
			"SaveSafetensors": func() error { return serial.SaveSafetensors(path, sd, nil) },
			"Saver": func() error {
				var s serial.Saver
				return errors.Join(s.Save(path, sd), s.Close())
			},
		} {
			within(t, func() {
				err := save()
				require.ErrorContains(t, err, path, name)
				require.ErrorContains(t, err, "which stays as it is", name)
			})
			after, err := os.Lstat(path)
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after), name)
			require.Equal(t, before.Mode(), after.Mode(), name)
		}
	}
}

// TestSpecialFilesAreNotRead: nothing waits for a pipe's other end, and the error names the file and what it is.
func TestSpecialFilesAreNotRead(t *testing.T) {
	kinds := []string{"named pipe", "character device"}
	for i, path := range special(t) {
		for name, read := range map[string]func() error{
			"Load":                func() error { _, err := serial.Load(path); return err },
			"LoadStateDict":       func() error { _, err := serial.LoadStateDict(path); return err },
			"Check":               func() error { return serial.Check(path, true) },
			"SafetensorsMetadata": func() error { _, err := serial.SafetensorsMetadata(path); return err },
		} {
			within(t, func() {
				err := read()
				var unsupported *serial.ErrUnsupported
				require.ErrorAs(t, err, &unsupported, name)
				require.ErrorContains(t, err, path+": a "+kinds[i]+" as a checkpoint file is not supported", name)
			})
		}
	}
}

// TestSeriesWithPipes: a pipe with a checkpoint's name, or a temporary's, is passed over and stays.
func TestSeriesWithPipes(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "step-{step}.pt")
	keep := serial.Keep{Pattern: pattern, Last: 1}
	pipes := []string{"step-9.pt", ".step-8.pt.tmp-AAAAAAAAAAAA", ".step-2.pt.tmp-BBBBBBBBBBBB"}
	for i, name := range pipes {
		pipes[i] = filepath.Join(dir, name)
	}
	for _, p := range pipes {
		require.NoError(t, unix.Mkfifo(p, 0o644))
	}
	within(t, func() {
		for _, name := range []string{"step-1.pt", "step-2.pt"} {
			require.NoError(t, serial.Save(filepath.Join(dir, name), name, serial.SaveOptions{Keep: &keep}))
		}
		found, skipped, err := serial.Latest(pattern, true)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "step-2.pt"), found.Path)
		require.Len(t, skipped, 1)
		require.ErrorContains(t, skipped[0], "step-9.pt: a named pipe")
		removed, err := serial.Prune(keep)
		require.NoError(t, err)
		require.Empty(t, removed)
	})
	require.NoFileExists(t, filepath.Join(dir, "step-1.pt"))
	for _, p := range pipes {
		_, err := os.Lstat(p)
		require.NoError(t, err)
	}
}

// TestShardedWithPipes: a pipe in the place of a part or of the metadata is named, and never removed.
func TestShardedWithPipes(t *testing.T) {
	dir := t.TempDir()
	save := func() {
		id := serial.NewSaveID()
		index, err := serial.SavePart(dir, 0, id, map[string]any{"w": torch.Ones(2)})
		require.NoError(t, err)
		require.NoError(t, serial.CommitParts(dir, [][]byte{index}))
	}
	pipe := filepath.Join(dir, "__7_x.distcp")
	require.NoError(t, unix.Mkfifo(pipe, 0o644))
	within(t, save)
	within(t, save)
	_, err := os.Lstat(pipe)
	require.NoError(t, err, "what a save removes of the one before are files")
	_, err = serial.LoadSharded(dir)
	require.NoError(t, err)

	parts, err := filepath.Glob(filepath.Join(dir, "__0_*.distcp"))
	require.NoError(t, err)
	require.Len(t, parts, 1)
	require.NoError(t, os.Remove(parts[0]))
	require.NoError(t, unix.Mkfifo(parts[0], 0o644))
	within(t, func() {
		_, err := serial.LoadSharded(dir)
		require.ErrorContains(t, err, parts[0]+" is a named pipe; want a regular file")
	})
	require.NoError(t, os.Remove(filepath.Join(dir, ".metadata")))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, ".metadata"), 0o644))
	within(t, func() {
		_, err := serial.LoadSharded(dir)
		require.ErrorContains(t, err, ".metadata is a named pipe; want a regular file")
		require.Error(t, serial.DiscardParts(dir, "x"))
		require.ErrorContains(t, serial.Check(dir, true), "named pipe")
	})
}

// TestNamesThatCannotBeSaved: nothing is left behind, no folder of that name either.
func TestNamesThatCannotBeSaved(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.EqualError(t, serial.Save("", 1), "save: the path is empty; give the name of a file")
	require.EqualError(t, serial.Save("new/", 1), "save new/: it is a folder; give the name of a file")
	require.Empty(t, names(t, dir))
}
