package readmetest

import (
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The optimizers of examples/optimizers, a module of its own, pass their tests, and their program is built and run as a
// user's is: it goes on where its checkpoint is.
func TestOptimizersOfOnesOwn(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "examples", "optimizers"))
	require.NoError(t, err)
	work := t.TempDir()
	out := shell(t, dir, `go test -count=1 .
go build -o "$WORK/optimizers" .
cd "$WORK"
./optimizers -steps 40
./optimizers -steps 80
`, "WORK="+work, "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=1")
	require.Contains(t, out, "ok  \texample.org/optimizers")
	require.Contains(t, out, "Muon (\nParameter Group 0\n    adjust_lr_fn: None\n")
	require.Contains(t, out, "Lion (\nParameter Group 0\n    betas: (0.9, 0.99)\n")
	losses := regexp.MustCompile(`step (\d+): loss (\S+)\n`).FindAllStringSubmatch(out, -1)
	require.Len(t, losses, 2)
	require.Equal(t, []string{"40", "80"}, []string{losses[0][1], losses[1][1]})
	begun, err := strconv.ParseFloat(losses[0][2], 64)
	require.NoError(t, err)
	resumed, err := strconv.ParseFloat(losses[1][2], 64)
	require.NoError(t, err)
	require.Less(t, resumed, begun)
	require.Less(t, resumed, 0.1)
	require.FileExists(t, filepath.Join(work, "run", "last.pt"))
}
