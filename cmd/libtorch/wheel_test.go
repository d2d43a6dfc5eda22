package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const versionHeader = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n"

// smallWheel writes a wheel that pip accepts: libtorch's layout, with many small headers and one library, which says what is
// given.
func smallWheel(t *testing.T, dir, library string, headers int) wheel {
	t.Helper()
	const file = "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name, text string) {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
	}
	add("torch/include/torch/headeronly/version.h", versionHeader)
	for i := range headers {
		add(fmt.Sprintf("torch/include/many/h%d.h", i), fmt.Sprint("// ", i))
	}
	add("torch/lib/libtorch_cpu.so", library)
	add("torch/nn/module.py", "pass\n")
	add("torch-2.11.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.11.0\n")
	add("torch-2.11.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
	add("torch-2.11.0.dist-info/RECORD", "")
	require.NoError(t, z.Close())
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), b.Bytes(), 0o644))
	sum := sha256.Sum256(b.Bytes())
	return wheel{
		Name: "torch", Version: "2.11.0", Python: "3.11", ABI: "cp311", Platform: "manylinux_2_28_x86_64", File: file,
		Size: int64(b.Len()), SHA256: hex.EncodeToString(sum[:]), Keep: []string{"torch/include/", "torch/lib/libtorch_cpu.so"},
	}
}

// fresh is an installer with an empty cache, a checkout, and an index that holds one small wheel.
func fresh(t *testing.T, headers int) (in *installer, log *bytes.Buffer) {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	w := smallWheel(t, index, "ELF, in a manner of speaking", headers)
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", index)
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	log = &bytes.Buffer{}
	checkout := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(checkout, "third_party"), 0o755))
	s := &set{Link: "libtorch", Target: "torch", Unpacked: 1000, Wheels: []wheel{w}}
	return &installer{
		pins: &pins{Libtorch: "2.11.0", Minimum: "2.11.0", Platforms: map[string]map[string]*set{"linux/amd64": {"cpu": s}}},
		kind: "cpu", platform: "linux/amd64", cache: filepath.Join(t.TempDir(), "cache"), checkout: checkout,
		python: []string{"python3"}, free: freeSpace, log: log,
	}, log
}

// needPip fails where pip is missing: it is among the few things that a machine must have.
func needPip(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "--version").CombinedOutput()
	require.NoError(t, err, "these tests download with pip: %s", out)
}

func install(t *testing.T, in *installer) error {
	t.Helper()
	needPip(t)
	return in.install(context.Background())
}
