package readmetest

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	module  = "github.com/golite/golite"
	version = "v0.0.1"
)

// steps are the README's, but for the version, which no tag has yet.
const steps = `
go mod init example.org/train
go get ` + module + `@` + version + `
go run ` + module + `/cmd/libtorch install
eval "$(go run ` + module + `/cmd/libtorch env)"
go build -o train .
./train
`

// withAClone are the README's steps for a module that is built with a clone, but for its path.
const withAClone = `
go mod init example.org/train
go mod edit -replace ` + module + `=/path/to/golite
go get ` + module + `/...@v0.0.0
go run ` + module + `/cmd/libtorch install
go build ./...
`

// vendoring leaves out folders without Go files, and the C++ part needs all of its own (but for cuda, a library that is
// built apart).
const vendoring = `
go mod vendor
sources() { cd "$1/cgotorch" && find . -path ./cuda -prune -o '(' -name '*.cc' -o -name '*.h' -o -name '*.hh' ')' -print | sort; }
(sources "$GOMODCACHE/` + module + `@` + version + `") >sources
(sources "vendor/` + module + `") | diff sources -
grep -q gloo sources
`

func TestAModuleOfOnesOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it compiles the C++ part anew; run it without -short")
	}
	proxy := filepath.Join(t.TempDir(), "proxy")
	publish(t, proxy)
	cache := moduleCache(t)

	dir := t.TempDir()
	program, err := os.ReadFile("testdata/main.go.txt")
	require.NoError(t, err)
	loop := readme(t)
	require.Contains(t, string(program), "\nREADME\n")
	text := strings.Replace(string(program), "\nREADME\n", "\n"+loop+"\n", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o644))
	env := []string{"GOPROXY=file://" + proxy + ",file://" + filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download") +
		"," + goEnv(t, "GOPROXY"),
		"GOMODCACHE=" + cache, "GONOSUMDB=" + module, "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=1",
		// Go keeps the list of a version's files from run to run, as a version never changes; this one does.
		"GODEBUG=goindex=0"}
	out := shell(t, dir, steps, env...)
	shell(t, dir, vendoring, env...)

	source, err := os.Stat(filepath.Join(cache, module+"@"+version, "cgotorch", "cgotorch.cc"))
	require.NoError(t, err, "golite was not built from the module cache")
	require.Zero(t, source.Mode().Perm()&0o222, "the module cache is not read-only")
	require.NoFileExists(t, filepath.Join(cache, module+"@"+version, "third_party", "libtorch"))

	_, accuracy, found := strings.Cut(out, "accuracy ")
	require.True(t, found, "no accuracy in:\n%s", out)
	right, err := strconv.ParseFloat(strings.TrimSpace(accuracy), 64)
	require.NoError(t, err)
	require.Greater(t, right, 0.9, "it trained, and learned little:\n%s", out)
	require.FileExists(t, filepath.Join(dir, "mnist.pt"))
}

// The README's steps work for a module with a replace directive, without a proxy that knows golite, and build what the
// checkout's own tests have built.
func TestAModuleWithAClone(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "With a clone of golite in place of a release:\n\n")
	require.True(t, found)
	require.Equal(t, withAClone, "\n"+commands(rest)+"\n")

	dir := t.TempDir()
	program, err := os.ReadFile("testdata/main.go.txt")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"),
		[]byte(strings.Replace(string(program), "\nREADME\n", "\n"+readme(t)+"\n", 1)), 0o644))
	steps := strings.NewReplacer("/path/to/golite", root, "go build ./...",
		"go build -o train . && ./train").Replace(withAClone)
	env := []string{"GOFLAGS=-mod=mod", "GOWORK=off", "GONOPROXY=" + module, "GOVCS=*:off", "CGO_ENABLED=1"}
	out := shell(t, dir, steps+"\n"+`go run `+module+`/cmd/libtorch env`, env...)
	require.Contains(t, out, "accuracy ")
	require.Contains(t, out, "# A build needs no settings: ")
	require.NotContains(t, out, "export CGO_CXXFLAGS")
}

// commands are the lines of an indented block, without comments and with one command each.
func commands(text string) string {
	shown, _, _ := strings.Cut(text, "\n\n")
	var lines []string
	for line := range strings.Lines(shown) {
		line, _, _ = strings.Cut(line, "#")
		lines = append(lines, strings.Split(strings.TrimSpace(line), " && ")...)
	}
	return strings.Join(lines, "\n")
}

// readme returns the README's training loop. The lines that the README gives for a module of one's own must be the
// steps.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```go\n")
	require.True(t, found, "the README shows no Go")
	loop, rest, found := strings.Cut(rest, "```\n")
	require.True(t, found)
	_, rest, found = strings.Cut(rest, "## In a module of your own\n\n")
	require.True(t, found)
	shown, _, _ := strings.Cut(rest, "\n\n")
	var lines []string
	for line := range strings.Lines(shown) {
		line, _, _ = strings.Cut(line, "#")
		lines = append(lines, strings.Split(strings.TrimSpace(line), " && ")...)
	}
	want := strings.NewReplacer("@"+version, "", "go build -o train .\n./train\n", "go build ./...").Replace(steps)
	require.Equal(t, strings.TrimSpace(want), commands(rest))
	return loop
}

// moduleCache is an empty module cache at a path that stays the same: the C++ part is compiled anew only when it
// changed. One test at a time has it.
func moduleCache(t *testing.T) string {
	t.Helper()
	user, err := os.UserCacheDir()
	require.NoError(t, err)
	base := filepath.Join(user, "golite", "newcomer")
	require.NoError(t, os.MkdirAll(base, 0o755))
	lock(t, filepath.Join(base, ".lock"))
	cache := filepath.Join(base, "mod")
	clear := func() {
		cmd := exec.Command("go", "clean", "-modcache")
		cmd.Env = append(os.Environ(), "GOMODCACHE="+cache)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	clear()
	t.Cleanup(clear)
	return cache
}

// publish writes this checkout into a folder that serves as a module proxy.
func publish(t *testing.T, proxy string) {
	t.Helper()
	root := filepath.Join("..", "..")
	at := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	require.NoError(t, os.MkdirAll(at, 0o755))
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"list":            version + "\n",
		version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version),
		version + ".mod":  string(mod),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(at, name), []byte(text), 0o644))
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || rel == "bin" || rel == "out" {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && rel != "." { // a module of its own
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() { // links are no part of a module
			return nil
		}
		w, err := z.Create(module + "@" + version + "/" + filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, bytes.NewReader(text))
		return err
	}))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(filepath.Join(at, version+".zip"), b.Bytes(), 0o644))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// shell runs a script in dir and returns what it printed. The environment is the test's, without flags that would help.
func shell(t *testing.T, dir, script string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", script)
	cmd.Dir = dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CGO_") && !strings.HasPrefix(e, "GOFLAGS=") && !strings.HasPrefix(e, "LD_LIBRARY_PATH=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("it took more than 9 minutes:\n%s", out)
	}
	require.NoError(t, err, "%s", out)
	return string(out)
}

// The build tag leaves the overrides out of the program's symbols, and it computes all the same.
func TestABuildWithoutOverrides(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it compiles the C++ part anew; run it without -short")
	}
	dir := t.TempDir()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	program := filepath.Join(dir, "overrides")
	out := shell(t, root, `go build -tags golite_no_overrides -o "$PROGRAM" ./internal/readmetest/testdata/overrides
nm "$PROGRAM" | grep -cE ' [TW] (mkl_serv_intel_cpu_true|_Znwm|_ZdlPv|_ZN2at6detail22getDefaultCPUGeneratorEv|_ZN3c1017get_default_dtypeEv)$' || true
"$PROGRAM"`, "PROGRAM="+program)
	require.Equal(t, `0
run: <nil>
spawn: lite: a generator and a default type for each goroutine are left out, by GOLITE_OVERRIDES or the build tag golite_no_overrides
seeded: true
dtype: float64
kernels: false
sum: 4096
`, out)
	out = shell(t, root, `go run ./internal/readmetest/testdata/overrides`)
	require.Contains(t, out, "spawn: <nil>\nseeded: true\ndtype: float64\n")
}
