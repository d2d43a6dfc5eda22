package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// copying makes an installer fetch its wheel by a copy, which is quicker than pip.
func copying(t *testing.T, in *installer) *installer {
	script := filepath.Join(t.TempDir(), "python3")
	text := "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && cp \"$PIP_FIND_LINKS\"/*.whl \"$2\"; shift; done\nexit 0\n"
	require.NoError(t, os.WriteFile(script, []byte(text), 0o755))
	in.python = []string{script}
	return in
}

// TestVerify: whatever differs from what was unpacked is found and named, and the next install puts it right.
func TestVerify(t *testing.T) {
	in, log := fresh(t, 3)
	copying(t, in)
	ctx := context.Background()
	verify := func() (string, error) {
		var out bytes.Buffer
		err := in.verify(ctx, &out)
		return out.String(), err
	}
	_, err := verify()
	require.ErrorContains(t, err, "is not installed in")
	require.NoError(t, in.install(ctx))
	out, err := verify()
	require.NoError(t, err)
	require.Contains(t, out, "is whole: 5 files")

	root := in.root(in.pins.Platforms["linux/amd64"]["cpu"])
	path := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	library, header := path("torch/lib/libtorch_cpu.so"), path("torch/include/many/h1.h")
	good, err := os.ReadFile(library)
	require.NoError(t, err)
	write := func(path string, text []byte) func() error {
		return func() error { return os.WriteFile(path, text, 0o644) }
	}
	for name, c := range map[string]struct {
		damage func() error
		want   string
	}{
		"a bit of a library": {write(library, append([]byte{good[0] ^ 1}, good[1:]...)), library + " has the SHA-256"},
		"a header":           {write(header, []byte("// 2")), header + " has the SHA-256"},
		"a missing header":   {func() error { return os.Remove(header) }, header + ": no such file"},
		"a pipe": {func() error {
			if err := os.Remove(header); err != nil {
				return err
			}
			return unix.Mkfifo(header, 0o644)
		}, header + " is a named pipe"},
		"a shorter library": {func() error { return os.Truncate(library, 3) }, "is not installed in"},
		"the list":          {func() error { return os.Truncate(path(sums), 100) }, "is not installed in"},
		"a line of the list": {func() error {
			text, err := os.ReadFile(path(sums))
			if err != nil {
				return err
			}
			text[3] = 'x'
			return os.WriteFile(path(sums), text, 0o644)
		}, "line 1 of .sha256 is no checksum and name"},
	} {
		require.NoError(t, c.damage(), name)
		_, err := verify()
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "libtorch install puts it", name)
		log.Reset()
		require.NoError(t, in.install(ctx), name)
		require.Contains(t, log.String(), "is ready in", name)
		_, err = verify()
		require.NoError(t, err, name)
	}

	// One of an earlier version has no list: its sizes are checked, and it is not called whole.
	require.NoError(t, os.Remove(path(sums)))
	require.NoError(t, os.WriteFile(path(marker), []byte(`{"torch/lib/libtorch_cpu.so": 28}`), 0o644))
	_, err = verify()
	require.ErrorContains(t, err, "only sizes were checked")
	log.Reset()
	require.NoError(t, in.install(ctx))
	require.Contains(t, log.String(), "it has no checksums")
	require.Contains(t, log.String(), "is installed in")

	in.existing = root
	_, err = verify()
	require.ErrorContains(t, err, "was not installed by this command")
}

// TestVerifyIsInterrupted: an install is not called damaged because the check of it was cut short.
func TestVerifyIsInterrupted(t *testing.T) {
	in, log := fresh(t, 3)
	require.NoError(t, copying(t, in).install(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	log.Reset()
	require.ErrorContains(t, in.install(ctx), "interrupted")
	require.NotContains(t, log.String(), "damaged")
}
