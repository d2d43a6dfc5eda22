package torch

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The test runs itself: GOMAXPROCS is the process's.
func TestRootsLeaveAProcessorIdle(t *testing.T) {
	if os.Getenv("GOLITE_TEST_ROOTS") != "" {
		var wg, all sync.WaitGroup
		all.Add(3)
		for range 3 {
			wg.Go(func() {
				RunRank(func() {
					all.Done()
					all.Wait()
				})
			})
		}
		wg.Wait()
		os.Stdout.WriteString(strconv.Itoa(runtime.GOMAXPROCS(0)) + "\n")
		os.Exit(0)
	}
	procs := func(set string) int {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestRootsLeaveAProcessorIdle$")
		cmd.Env = append(os.Environ(), "GOLITE_TEST_ROOTS=1")
		if set != "" {
			cmd.Env = append(cmd.Env, "GOMAXPROCS="+set)
		}
		out, err := cmd.Output()
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(out)))
		require.NoError(t, err)
		return n
	}
	t.Setenv("GOMAXPROCS", "")
	require.GreaterOrEqual(t, procs(""), 4)
	require.Equal(t, 2, procs("2"), "what the user says stands")
}
