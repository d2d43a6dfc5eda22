package describe

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/golite/golite/internal/python"
)

// Entry is a file of the corpus.
type Entry struct {
	// Full says that Python reads it with weights_only=False alone.
	Full bool `json:"full"`
	// Value is the description that Python gave when the file was recorded.
	Value any `json:"value"`
}

// Corpus reads the manifest of the corpus in dir. An empty one fails the test.
func Corpus(t testing.TB, dir string) map[string]Entry {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Files map[string]Entry `json:"files"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Files) < 30 {
		t.Fatalf("the corpus has only %d files", len(m.Files))
	}
	return m.Files
}

// Canonical gives any JSON value as text with sorted keys.
func Canonical(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ByPython has Python describe files, and returns its descriptions by path.
func ByPython(t testing.TB, scripts string, paths ...string) map[string]any {
	t.Helper()
	cmd := exec.Command(python.Find(t), append([]string{filepath.Join(scripts, "describe.py")}, paths...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("describe.py: %v\n%s", err, stderr.Bytes())
	}
	var m map[string]any
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
