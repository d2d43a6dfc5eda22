// Package python finds the Python with PyTorch that tests compare golite with. Neither building nor using golite needs
// one.
package python

import (
	"os"
	"path/filepath"
	"testing"
)

// need is the variable that makes a missing Python a failure: a run that is to compare with PyTorch must not pass by
// comparing nothing.
const need = "GOLITE_NEED_PYTHON"

// Find returns the path of a Python with torch 2.11.0: $GOLITE_PYTHON, or the environment in the user's cache that
// scripts/peers.sh makes. Without one the test is skipped; with GOLITE_NEED_PYTHON=1 it fails.
func Find(t testing.TB) string {
	t.Helper()
	path := os.Getenv("GOLITE_PYTHON")
	if path == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			path = filepath.Join(cache, "golite", "peers", "bin", "python")
		}
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const text = "no Python with torch 2.11.0 at %s: scripts/peers.sh makes one, or GOLITE_PYTHON names it"
	if v := os.Getenv(need); v != "" && v != "0" {
		t.Fatalf(text+" ("+need+" is set)", path)
	}
	t.Skipf(text, path)
	return ""
}
