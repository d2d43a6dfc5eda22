package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree makes a folder like an existing libtorch.
func tree(t *testing.T, header, text string, library bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's a libtorch")
	path := filepath.Join(dir, header)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	if library {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "lib"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "lib", "libtorch_cpu.so"), nil, 0o644))
	}
	return dir
}

func TestExisting(t *testing.T) {
	old := "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 1\n"
	newer := "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 15\n#define TORCH_VERSION_PATCH 0\n"
	for name, c := range map[string]struct {
		header, text string
		library      bool
		want         string // the error; "" for none
	}{
		"the pinned version": {versionHeaders[0], versionHeader, true, ""},
		"newer":              {versionHeaders[0], newer, true, ""},
		"older layout":       {versionHeaders[1], versionHeader, true, ""},
		"too old":            {versionHeaders[1], old, true, "is libtorch 2.9.1, which is too old: golite needs 2.11.0 or newer"},
		"no library":         {versionHeaders[0], versionHeader, false, "libtorch_cpu.so is not there"},
		"no version":         {versionHeaders[0], "#pragma once\n", true, "holds no libtorch"},
		"no headers":         {"README", "", true, "holds no libtorch"},
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := fresh(t, 1)
			in.existing = tree(t, c.header, c.text, c.library)
			err := in.install(context.Background())
			var out bytes.Buffer
			envErr := in.printEnv(&out)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, envErr, c.want)
				return
			}
			require.NoError(t, err)
			require.NoError(t, envErr)
			linked, err := os.Readlink(filepath.Join(in.checkout, "third_party/libtorch"))
			require.NoError(t, err)
			require.Equal(t, in.existing, linked)
			require.NoDirExists(t, filepath.Join(in.cache, "libtorch"), "something was downloaded all the same")
		})
	}
}

func TestExistingBesideItsParent(t *testing.T) {
	dir := tree(t, "torch/"+versionHeaders[0], versionHeader, false)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "torch/lib"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "torch/lib/libtorch_cpu.so"), nil, 0o644))
	in := &installer{pins: &pins{Minimum: "2.11.0"}, existing: dir}
	got, err := in.useExisting()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "torch"), got)
}

func TestEnvBeforeInstall(t *testing.T) {
	in, _ := fresh(t, 1)
	require.ErrorContains(t, in.printEnv(io.Discard), "not installed: go run github.com/golite/golite/cmd/libtorch install")
}

// A shell that evaluates the output has flags that the go command takes apart as meant, blanks and quotes included.
func TestEnvInAShell(t *testing.T) {
	in, _ := fresh(t, 1)
	in.existing = tree(t, versionHeaders[0], versionHeader, true)
	t.Setenv("CGO_CXXFLAGS", "-DMINE")
	t.Setenv("CGO_LDFLAGS", "")
	var out bytes.Buffer
	require.NoError(t, in.printEnv(&out))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `eval "$1"; printf '%s\n%s' "$CGO_CXXFLAGS" "$CGO_LDFLAGS"`, "sh", out.String())
	got, err := cmd.Output()
	require.NoError(t, err)
	d := in.existing
	require.Equal(t, `-DMINE -O2 "-I`+d+`/include" "-I`+d+`/include/torch/csrc/api/include"`+"\n"+`"-L`+d+`/lib" "-Wl,-rpath,`+d+`/lib"`, string(got))

	t.Setenv("CGO_CXXFLAGS", `-DMINE -O2 "-I`+d+`/include" "-I`+d+`/include/torch/csrc/api/include"`)
	var again bytes.Buffer
	require.NoError(t, in.printEnv(&again))
	require.Equal(t, out.String(), again.String(), "flags pile up")
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2.9.1", "2.11.0", true}, {"2.11.0", "2.11.0", false}, {"2.11.1", "2.11.0", false}, {"3.0.0", "2.11.0", false}, {"2.11", "2.11.0", true}} {
		require.Equal(t, c.want, older(c.a, c.b), "%s older than %s", c.a, c.b)
	}
}

func TestPinsAreWhole(t *testing.T) {
	p, err := readPins()
	require.NoError(t, err)
	for platform, sets := range p.Platforms {
		for kind, s := range sets {
			for _, w := range s.Wheels {
				require.Len(t, w.SHA256, 64, "%s %s %s", platform, kind, w.Name)
				require.Positive(t, w.Size)
				require.NotEmpty(t, w.Keep)
				require.Contains(t, w.File, w.Platform)
				require.Contains(t, w.File, "-"+w.Version+"-")
			}
			require.Positive(t, s.Unpacked)
		}
	}
	_, err = p.kind("linux/amd64", "metal")
	require.ErrorContains(t, err, `"metal" is not a kind of install`)
}

func TestRunArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no command: install, verify, env or cuda-library"},
		{[]string{"instal"}, `unknown command "instal"`},
		{[]string{"env", "-kind", "cuda-headers"}, "a build needs cpu or cuda"},
		{[]string{"install", "-kind", "metal"}, "is not a kind of install"},
		{[]string{"install", "here"}, `unexpected argument "here"`},
	} {
		t.Setenv("LIBTORCH", "")
		require.ErrorContains(t, run(context.Background(), c.args, io.Discard, io.Discard), c.want)
	}
}

func TestFindCheckout(t *testing.T) {
	wd, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, filepath.Dir(filepath.Dir(wd)), findCheckout(wd))
	require.Empty(t, findCheckout(t.TempDir()))
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "go.mod"), []byte("module example.org/user\n"), 0o644))
	require.Empty(t, findCheckout(other))
}

// Beside a checkout whose link leads to the same libtorch other flags would compile the C++ part a second time.
func TestEnvBesideALinkedCheckout(t *testing.T) {
	in, _ := fresh(t, 1)
	in.existing = tree(t, versionHeaders[0], versionHeader, true)
	t.Setenv("CGO_CXXFLAGS", "")
	require.NoError(t, in.install(context.Background()))
	var out bytes.Buffer
	require.NoError(t, in.printEnv(&out))
	require.Regexp(t, `^# A build needs no settings: .*third_party/libtorch leads to this libtorch\.\n$`, out.String())

	in.existing = tree(t, versionHeaders[0], versionHeader, true)
	out.Reset()
	require.NoError(t, in.printEnv(&out))
	require.Contains(t, out.String(), "export CGO_CXXFLAGS='-O2 ", "the link leads to another libtorch")
}

// A module that a replace directive or a workspace builds with a checkout has that checkout.
func TestReplacement(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "")
	wd, err := os.Getwd()
	require.NoError(t, err)
	root := filepath.Dir(filepath.Dir(wd))
	require.Empty(t, replacement(t.TempDir()))

	user := t.TempDir()
	mod := "module example.org/user\n\ngo 1.26\n\nrequire github.com/golite/golite v0.0.0\n"
	require.NoError(t, os.WriteFile(filepath.Join(user, "go.mod"), []byte(mod+"replace github.com/golite/golite => "+root+"\n"), 0o644))
	require.Equal(t, root, replacement(user))

	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "go.mod"), []byte("module example.org/user\n\ngo 1.26\n"), 0o644))
	require.Empty(t, replacement(other))
	require.NoError(t, os.WriteFile(filepath.Join(other, "go.work"), []byte("go 1.26.0\n\nuse (\n\t.\n\t"+root+"\n)\n"), 0o644))
	require.Equal(t, root, replacement(other))
}
