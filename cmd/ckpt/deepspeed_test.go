package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recordedFolder unpacks a folder that PyTorch or DeepSpeed wrote.
func recordedFolder(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open("../../ddp/shard/testdata/checkpoints/" + name + ".tar.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		require.NoError(t, err)
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
}

// must runs a command, which must end with code.
func must(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	require.Equal(t, code, run(args, &out, &errs), "%v: %s%s", args, &out, &errs)
	return out.String() + errs.String()
}

// TestDeepSpeedFolders: from DeepSpeed, FSDP2 and FSDP1 to DeepSpeed and to plain files, without a difference.
func TestDeepSpeedFolders(t *testing.T) {
	for _, name := range []string{"deepspeed_stage_1", "deepspeed_stage_3_bf16", "deepspeed_stage_2_groups", "fsdp2", "fsdp2_uneven", "fsdp1"} {
		t.Run(name, func(t *testing.T) {
			in, out := recordedFolder(t, name), t.TempDir()
			must(t, 0, "verify", in)
			plain := filepath.Join(out, "plain.pt")
			must(t, 0, "consolidate", in, plain)
			must(t, 0, "diff", in, plain)
			for stage := range 3 {
				folder := filepath.Join(out, "ds"+string(rune('1'+stage)))
				said := must(t, 0, "deepspeed", "-stage", string(rune('1'+stage)), "-world", "3", in, folder)
				require.Contains(t, said, "3 ranks")
				must(t, 0, "diff", "-key", "model", in, folder)
				require.Contains(t, must(t, 0, "ls", folder), "DeepSpeed stage")
				again := filepath.Join(out, "again"+string(rune('1'+stage)))
				must(t, 0, "deepspeed", "-stage", "2", "-world", "2", folder, again)
				must(t, 0, "diff", "-key", "optimizer.state", folder, again)
				if strings.HasPrefix(name, "deepspeed") {
					must(t, 0, "diff", "-key", "optimizer.state", in, folder)
				}
			}
			state := filepath.Join(out, "model.safetensors")
			must(t, 0, "consolidate", "-key", "model", in, state)
			must(t, 0, "deepspeed", "-world", "2", state, filepath.Join(out, "alone"))
			must(t, 0, "diff", "-key", "model", in, filepath.Join(out, "alone"))
		})
	}
	empty := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(empty, "latest"), []byte("step"), 0o644))
	require.Contains(t, must(t, 1, "ls", empty), filepath.Join(empty, "step"))
	require.Contains(t, must(t, 1, "deepspeed", "-stage", "4", recordedFolder(t, "fsdp2_uneven"), filepath.Join(empty, "out")), "want a stage from 1 to 3")
}
