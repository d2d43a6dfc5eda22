package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheSite: scripts/site, a module of its own, passes its tests, and renders this repository without a dead link.
func TestTheSite(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	run := func(args ...string) string {
		c := exec.Command("go", args...)
		c.Dir = filepath.Join(root, "scripts", "site")
		out, err := c.CombinedOutput()
		require.NoError(t, err, "go %v: %s", args, out)
		return string(out)
	}
	run("test", ".")
	out := filepath.Join(t.TempDir(), "site")
	t.Log(run("run", ".", "-root", root, "-out", out))
	pages := []string{"index.html", "pkg/lite/index.html", "pkg/torch/nn/index.html", "docs/pitfalls.html",
		"CHANGELOG.html"}
	for _, page := range pages {
		info, err := os.Stat(filepath.Join(out, page))
		require.NoError(t, err)
		require.Greater(t, info.Size(), int64(5000), page)
	}
}
