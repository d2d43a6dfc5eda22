package python

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	end string
}

func (r *recorder) Helper() {}
func (r *recorder) Skipf(format string, args ...any) {
	r.end = "skip: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.end = "fail: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func find(t *testing.T) (path, end string) {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		path = Find(r)
	}()
	<-done
	return path, r.end
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	named := filepath.Join(dir, "some-python")
	require.NoError(t, os.WriteFile(named, nil, 0o755))
	t.Setenv("GOLITE_PYTHON", named)
	t.Setenv("GOLITE_NEED_PYTHON", "")
	path, end := find(t)
	require.Equal(t, named, path)
	require.Empty(t, end)

	t.Setenv("GOLITE_PYTHON", "")
	t.Setenv("XDG_CACHE_HOME", dir)
	_, end = find(t)
	require.Contains(t, end, "skip: no Python with torch 2.11.0 at "+filepath.Join(dir, "golite", "peers"))
	t.Setenv("GOLITE_NEED_PYTHON", "1")
	_, end = find(t)
	require.Contains(t, end, "fail: ")

	peers := filepath.Join(dir, "golite", "peers", "bin", "python")
	require.NoError(t, os.MkdirAll(filepath.Dir(peers), 0o755))
	require.NoError(t, os.WriteFile(peers, nil, 0o755))
	path, end = find(t)
	require.Equal(t, peers, path)
	require.Empty(t, end)
}
