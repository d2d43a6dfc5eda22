package readmetest

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The strategy of examples/plugins/localsgd, a module of its own, passes its tests, and its program is built and run as
// a user's is: with processes and with goroutines as ranks, by names in flags and in the environment, and resumed.
func TestStrategyOfOnesOwn(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "examples", "plugins", "localsgd"))
	require.NoError(t, err)
	out := shell(t, dir, `go vet ./...
go test -count=1 .
go build -o "$WORK/train" ./train
cd "$WORK"
./train -steps 16
./train -steps 32
./train -steps 32 -checkpoint other.pt
LITE_STRATEGY=local_sgd_spawn ./train -steps 16 -checkpoint goroutines.pt
./train -steps 33 -checkpoint between.pt
`, "WORK="+t.TempDir(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=1")
	require.Contains(t, out, "ok  \texample.org/localsgd")
	lines := regexp.MustCompile(`2 ranks, step (\d+): loss of the whole curve (\S+), on all ranks alike: (\w+)\n`).FindAllStringSubmatch(out, -1)
	require.Len(t, lines, 5)
	begun, resumed, whole, goroutines, between := lines[0], lines[1], lines[2], lines[3], lines[4]
	require.Equal(t, []string{"16", "32", "32", "16", "33"}, []string{begun[1], resumed[1], whole[1], goroutines[1],
		between[1]})
	require.Equal(t, whole[2], resumed[2], "a run in two parts ends as one in a piece")
	require.Equal(t, begun[2], goroutines[2], "goroutine ranks compute what processes do")
	require.Equal(t, []string{"true", "false"}, []string{whole[3], between[3]}, "ranks are alike after an average alone")
}
