package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/netnstest"
)

// node is the supervisor of one host.
type node struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func onTwoHosts(t *testing.T, fault, dir string) (nodes [2]*node, errs [2]error) {
	pair := netnstest.Two(t)
	for i := range nodes {
		n := &node{cmd: pair.Command(i, os.Args[0], "-test.run=^$")}
		n.cmd.Env = append(os.Environ(), "LAUNCH_TEST_SUPERVISE="+fault, "LAUNCH_TEST_DIR="+dir,
			fmt.Sprintf("LAUNCH_TEST_NODE=%d", i))
		n.cmd.Stdout, n.cmd.Stderr = &n.out, &n.out
		require.NoError(t, n.cmd.Start())
		t.Cleanup(func() { n.cmd.Process.Kill() })
		nodes[i] = n
	}
	start := time.Now()
	for i, n := range nodes {
		errs[i] = n.cmd.Wait()
	}
	require.Less(t, time.Since(start), 15*time.Second)
	return nodes, errs
}

func TestTwoHosts(t *testing.T) {
	dir := t.TempDir()
	nodes, errs := onTwoHosts(t, "none", dir)
	require.NoError(t, errs[0], nodes[0].out.String())
	require.NoError(t, errs[1], nodes[1].out.String())
	require.Contains(t, nodes[0].out.String(), "result rank 0 did 20 steps on port 29555 error <nil>")
	require.Contains(t, nodes[1].out.String(), "result  error <nil>", "rank 0's result is on its own host")
	for rank := range 4 {
		require.FileExists(t, fmt.Sprintf("%s/rank%d", dir, rank))
	}
}

func TestDeathOnAnotherHost(t *testing.T) {
	dir := t.TempDir()
	nodes, errs := onTwoHosts(t, "kill:3", dir)
	require.Error(t, errs[0])
	require.Error(t, errs[1])
	require.Contains(t, nodes[1].out.String(), "rank 3: killed by signal 9", "its own supervisor names it")
	require.Contains(t, nodes[0].out.String(), "rank 3: was lost on another node: lost a peer",
		"the other one knows as much")
	require.Empty(t, survivors(t, dir))
}
