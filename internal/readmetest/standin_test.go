package readmetest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The accelerator of examples/plugins/standin, a module of its own, passes its tests, and a program that imports it
// runs on it by name: alone, and as two processes, which resume.
func TestAcceleratorOfOnesOwn(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "examples", "plugins", "standin"))
	require.NoError(t, err)
	work := t.TempDir()
	out := shell(t, dir, `go test -count=1 .
go build -o "$WORK/train" ./train
cd "$WORK"
./train
./train -accelerator toy -devices 2 -strategy ddp
./train -devices 5 || true
`, "WORK="+work, "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=1")
	require.Contains(t, out, "ok  \texample.org/standin")
	require.Contains(t, out, "ranks: 1, weight ")
	require.Contains(t, out, "ranks: 2, weight 3.0000, bias 1.0000")
	require.Contains(t, out, "indices of the 4 visible go from 0 to 3")
	require.FileExists(t, filepath.Join(work, "line.pt"))
}
