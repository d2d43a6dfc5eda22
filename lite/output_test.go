package lite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
)

func init() {
	jobs["talk"] = func(_ context.Context, l *lite.Lite) (got result, err error) {
		fmt.Printf("out of %d\n", l.GlobalRank())
		fmt.Fprintf(os.Stderr, "errors of %d\nand more, without an end of the line", l.GlobalRank())
		return got, nil
	}
}

// TestPrefixOutput: each line of both outputs says which rank wrote it, where that is asked for.
func TestPrefixOutput(t *testing.T) {
	lines := func(env ...string) []string {
		s := job{do: "talk", strategy: "ddp", ranks: 2, env: env}.start(t)
		o, code := s.wait(t, waitLong)
		require.Zero(t, code, o.Error)
		return strings.Split(strings.TrimSpace(s.out.String()), "\n")
	}
	require.ElementsMatch(t, []string{
		"[rank 0] out of 0", "[rank 0] errors of 0", "[rank 0] and more, without an end of the line",
		"[rank 1] out of 1", "[rank 1] errors of 1", "[rank 1] and more, without an end of the line",
	}, lines("LITE_PREFIX_OUTPUT=true"))
	require.NotContains(t, strings.Join(lines(), "\n"), "[rank")
}

// TestRankLeftBehindEndsLater: what a rank returns after Run has left it behind is no longer Run's. The race detector sees
// whether they meet.
func TestRankLeftBehindEndsLater(t *testing.T) {
	ended := make(chan struct{})
	cfg := lite.Config{Accelerator: "cpu", Strategy: "ddp_spawn", Devices: "2"}
	got, err := lite.RunValue(t.Context(), cfg, func(_ context.Context, l *lite.Lite) (string, error) {
		if l.GlobalRank() == 1 {
			return "", errors.New("enough")
		}
		defer close(ended)
		time.Sleep(5500 * time.Millisecond) // the grace is 5 s
		return "late", nil
	})
	require.Empty(t, got)
	require.ErrorContains(t, err, "rank 1: enough")
	require.ErrorContains(t, err, "ranks [0] did not end within 5s")
	<-ended
	time.Sleep(200 * time.Millisecond) // for it to set its result
}
