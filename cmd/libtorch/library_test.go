package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeCompiler is a CXX that notes its arguments in a file and writes what -o names.
const fakeCompiler = `#!/bin/sh
echo "$*" >>"$(dirname "$0")/calls"
case "$*" in *"$FAIL"*) [ -n "$FAIL" ] && { echo "error: $FAIL" >&2; exit 1; };; esac
while [ $# -gt 0 ]; do
	if [ "$1" = -o ]; then echo built >"$2"; fi
	shift
done
`

// withHeaders gives an installer finished installs of libtorch, with CUDA's libraries or without, and of CUDA's headers.
func withHeaders(t *testing.T, cuda bool) (in *installer, calls string) {
	t.Helper()
	in, _ = fresh(t, 1)
	in.pins.Platforms["linux/amd64"]["cuda-headers"] = &set{Link: "cuda", Target: "nvidia"}
	in.pins.Platforms["linux/amd64"]["cuda"] = &set{Link: "libtorch", Target: "torch"}
	for _, f := range []struct{ kind, file string }{{"cpu", "torch/lib/libtorch_cpu.so"}, {"cuda", "torch/lib/libtorch_cuda.so"}, {"cuda-headers", "nvidia/nccl/include/nccl.h"}} {
		other := *in
		other.kind = f.kind
		root := other.root(in.pins.Platforms["linux/amd64"][f.kind])
		path := filepath.Join(root, filepath.FromSlash(f.file))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(root, marker), []byte(`{"`+f.file+`":0}`), 0o644))
	}
	if cuda {
		in.kind = "cuda"
	}
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "c++"), []byte(fakeCompiler), 0o755))
	t.Setenv("CXX", filepath.Join(bin, "c++"))
	t.Setenv("FAIL", "")
	return in, filepath.Join(bin, "calls")
}

func TestBuildLibrary(t *testing.T) {
	in, calls := withHeaders(t, true)
	require.NoError(t, in.buildLibrary(context.Background(), ""))
	dir, err := in.installed()
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "lib", libraryName), "beside libtorch_cuda.so, where programs look")
	text, err := os.ReadFile(calls)
	require.NoError(t, err)
	for _, unit := range []string{"device.cc", "graph.cc", "library.cc", "nccl.cc", "stream.cc"} {
		require.Contains(t, string(text), unit)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Contains(t, lines[len(lines)-1], "-ltorch_cuda", "the link comes last")
	require.FileExists(t, filepath.Join(in.checkout, "third_party", "cuda", "nccl", "include", "nccl.h"), "a checkout finds the headers, too")

	file := filepath.Join(t.TempDir(), "new", "folder", "x.so")
	in.kind = "cpu"
	require.NoError(t, in.buildLibrary(context.Background(), file), "a libtorch for CPUs has the headers")
	require.FileExists(t, file)
	require.True(t, complete(filepath.Dir(dir)), "the install counts as whole with one library more")
}

func TestBuildLibraryFailures(t *testing.T) {
	in, _ := withHeaders(t, false)
	require.ErrorContains(t, in.buildLibrary(context.Background(), ""), "has no libtorch_cuda.so")
	file := filepath.Join(t.TempDir(), "x.so")
	t.Setenv("FAIL", "graph.cc")
	err := in.buildLibrary(context.Background(), file)
	require.ErrorContains(t, err, "error: graph.cc", "what the compiler said")
	require.NoFileExists(t, file)
	t.Setenv("CXX", "no-such-compiler")
	require.ErrorContains(t, in.buildLibrary(context.Background(), file), "install g++")
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	t.Setenv("CXX", "sleep")
	require.ErrorContains(t, in.buildLibrary(canceled, file), "interrupted")
}

// A checkout whose link leads to a CUDA install stays with it, whatever make runs next.
func TestLinkedKind(t *testing.T) {
	cache, checkout := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(checkout, "third_party"), 0o755))
	for to, want := range map[string]string{
		"": "cpu",
		cache + "/libtorch/2.11.0-cpu-0123abcd/torch":  "cpu",
		cache + "/libtorch/2.11.0-cuda-0123abcd/torch": "cuda",
		cache + "/libtorch/2.10.0-cuda-0123abcd/torch": "cuda",
		"/opt/libtorch": "cpu",
	} {
		if to != "" {
			require.NoError(t, link(to, filepath.Join(checkout, "third_party", "libtorch")))
		}
		if to == "" {
			require.Equal(t, want, linkedKind(checkout, cache))
			continue
		}
		require.Equal(t, want, linkedKind(checkout, cache), to)
		require.NoError(t, os.Remove(filepath.Join(checkout, "third_party", "libtorch")))
	}
	require.Equal(t, "cpu", linkedKind("", cache))
}
