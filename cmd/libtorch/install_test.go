package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInstall(t *testing.T) {
	in, log := fresh(t, 3)
	require.NoError(t, install(t, in))

	linked, err := filepath.EvalSymlinks(filepath.Join(in.checkout, "third_party", "libtorch"))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(linked, "include/many/h2.h"))
	require.FileExists(t, filepath.Join(linked, "lib/libtorch_cpu.so"))
	require.NoDirExists(t, filepath.Join(linked, "nn"), "what isn't kept was unpacked")
	require.Contains(t, log.String(), "downloading torch 2.11.0")
	left, err := filepath.Glob(filepath.Join(in.cache, "libtorch", "*", "*.whl"))
	require.NoError(t, err)
	require.Empty(t, left, "wheels left behind")
	pc, err := os.ReadFile(filepath.Join(in.cache, "pkgconfig", "golite-libtorch.pc"))
	require.NoError(t, err)
	require.Contains(t, string(pc), "Version: 2.11.0\n")

	// Again, with nothing to download from and no Python: it is there.
	in.python = []string{"/no/such/python"}
	before, err := os.Stat(filepath.Join(linked, "lib/libtorch_cpu.so"))
	require.NoError(t, err)
	require.NoError(t, in.install(context.Background()))
	after, err := os.Stat(filepath.Join(linked, "lib/libtorch_cpu.so"))
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime())
}

func TestInstallRepairsADamagedOne(t *testing.T) {
	in, _ := fresh(t, 3)
	require.NoError(t, install(t, in))
	lib := filepath.Join(in.checkout, "third_party/libtorch/lib/libtorch_cpu.so")
	require.NoError(t, os.Truncate(lib, 3))
	require.NoError(t, in.install(context.Background()))
	text, err := os.ReadFile(lib)
	require.NoError(t, err)
	require.Equal(t, "ELF, in a manner of speaking", string(text))
}

func TestInstallFailures(t *testing.T) {
	script := func(text string) func(*testing.T, *installer) {
		return func(t *testing.T, in *installer) {
			path := filepath.Join(t.TempDir(), "python3")
			require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
			in.python = []string{path}
		}
	}
	for name, c := range map[string]struct {
		setup func(*testing.T, *installer)
		want  []string
	}{
		"no python": {
			func(_ *testing.T, in *installer) { in.python = []string{"no-such-python3"} },
			[]string{"no python3 is in PATH", "apt install python3-pip"},
		},
		"no pip": {
			script("echo \"$0: No module named pip\" >&2; exit 1"),
			[]string{"python3 has no pip", "apt install python3-pip"},
		},
		"no network": {
			func(t *testing.T, _ *installer) {
				t.Setenv("PIP_NO_INDEX", "0")
				t.Setenv("PIP_FIND_LINKS", "")
				t.Setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
				t.Setenv("PIP_RETRIES", "0")
				t.Setenv("http_proxy", "")
				t.Setenv("HTTP_PROXY", "")
			},
			[]string{"torch 2.11.0", "check the network", "LIBTORCH"},
		},
		"another file in the index": {
			func(t *testing.T, _ *installer) { smallWheel(t, os.Getenv("PIP_FIND_LINKS"), "a wolf", 3) },
			[]string{"the checksum of torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl differs", "pinned is"},
		},
		"an empty index": {
			func(t *testing.T, _ *installer) { t.Setenv("PIP_FIND_LINKS", t.TempDir()) },
			[]string{"pip finds no torch 2.11.0"},
		},
		"a disk too small": {
			func(_ *testing.T, in *installer) { in.free = func(string) (int64, error) { return 10, nil } },
			[]string{"too full", "0 MB are free", "XDG_CACHE_HOME"},
		},
		"a disk that fills up": {
			script("echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2; exit 1"),
			[]string{"the disk is full", "XDG_CACHE_HOME"},
		},
		"another platform": {
			func(_ *testing.T, in *installer) { in.platform = "plan9/mips" },
			[]string{"pinned for plan9/mips", "LIBTORCH"},
		},
		"a folder in the link's place": {
			func(t *testing.T, in *installer) {
				require.NoError(t, os.Mkdir(filepath.Join(in.checkout, "third_party/libtorch"), 0o755))
			},
			[]string{"third_party/libtorch is not a link"},
		},
		"a keep that isn't in the wheel": {
			func(_ *testing.T, in *installer) {
				w := &in.pins.Platforms["linux/amd64"]["cpu"].Wheels[0]
				w.Keep = append(w.Keep, "torch/lib/libgone.so")
			},
			[]string{"it holds no torch/lib/libgone.so"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := fresh(t, 3)
			c.setup(t, in)
			err := install(t, in)
			require.Error(t, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "\n", "an error is one line")
			s := in.pins.Platforms["linux/amd64"]["cpu"]
			if name != "a folder in the link's place" {
				require.NoDirExists(t, in.root(s))
			}
		})
	}
}

func TestWritesToAFullDisk(t *testing.T) {
	err := writeFile("/dev/full", strings.NewReader("x"), true)
	require.True(t, noSpace(err), "%v", err)
	in, _ := fresh(t, 1)
	require.ErrorContains(t, in.explain(err, in.pins.Platforms["linux/amd64"]["cpu"]), "the disk is full")
}

func TestInstallIsInterrupted(t *testing.T) {
	in, _ := fresh(t, 3)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, in.install(ctx), "interrupted")
	require.NoError(t, install(t, in))
}

// Several at once, each with its own checkout: one downloads, the others wait, all have a whole install.
func TestInstallsAtOnce(t *testing.T) {
	in, _ := fresh(t, 500)
	needPip(t)
	var wg sync.WaitGroup
	logs := make([]bytes.Buffer, 4)
	errs := make([]error, len(logs))
	for i := range logs {
		one := *in
		one.log = &logs[i]
		one.checkout = t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(one.checkout, "third_party"), 0o755))
		wg.Go(func() {
			errs[i] = one.install(context.Background())
			if !complete(one.root(one.pins.Platforms["linux/amd64"]["cpu"])) {
				errs[i] = errors.Join(errs[i], errors.New("returned before it was complete"))
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	downloads := 0
	for i := range logs {
		downloads += strings.Count(logs[i].String(), "is ready in")
	}
	require.Equal(t, 1, downloads)
}

// A process is killed at many moments; what it leaves is never taken for an install, and the next one finishes.
func TestInstallIsKilled(t *testing.T) {
	if os.Getenv("LIBTORCH_TEST_CACHE") != "" {
		in, _ := fresh(t, 3000)
		in.cache = os.Getenv("LIBTORCH_TEST_CACHE")
		require.NoError(t, install(t, in))
		return
	}
	in, _ := fresh(t, 3000)
	needPip(t)
	root := in.root(in.pins.Platforms["linux/amd64"]["cpu"])
	part := filepath.Join(filepath.Dir(root), "part-"+filepath.Base(root), "torch/include/many")
	wheels := filepath.Join(in.cache, "libtorch/wheels/tmp")
	temp := t.TempDir() // for what the killed can't remove
	for _, moment := range []string{wheels, part, filepath.Join(part, "h100.h"), filepath.Join(part, "h2500.h")} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInstallIsKilled$")
		cmd.Env = append(os.Environ(), "LIBTORCH_TEST_CACHE="+in.cache, "TMPDIR="+temp)
		require.NoError(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		reached := waitFor(moment, ended)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, <-ended)
		require.True(t, reached, "the install never came to %s", moment)
		require.False(t, complete(root))
		require.NoDirExists(t, root)
	}
	require.NoError(t, in.install(context.Background()))
	require.True(t, complete(root))
	remains, err := filepath.Glob(filepath.Join(filepath.Dir(root), "part-*"))
	require.NoError(t, err)
	require.Empty(t, remains)
}

// waitFor returns when path exists, or false when the process ended before.
func waitFor(path string, ended chan error) bool {
	for {
		if _, err := os.Stat(path); err == nil {
			return true
		}
		select {
		case err := <-ended:
			ended <- err
			return false
		default:
		}
	}
}
