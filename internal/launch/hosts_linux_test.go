package launch

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nodeAddress is that of node 0 in the network between the two hosts of these tests.
const nodeAddress = "10.231.77.1"

// hosts makes two hosts out of this one: two network namespaces, joined by a pair of virtual cards.
func hosts(t *testing.T) (names [2]string) {
	if os.Getuid() != 0 {
		t.Skip("network namespaces are made by root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command (Debian: iproute2)")
	}
	ip := func(line string) {
		t.Helper()
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", line, out)
	}
	for i := range names {
		name := fmt.Sprintf("golite-%d-%d", os.Getpid(), i)
		names[i] = name
		if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
			t.Skipf("this machine makes no network namespaces: %s", out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", name).Run() })
	}
	ip(fmt.Sprintf("link add card0 netns %s type veth peer name card1 netns %s", names[0], names[1]))
	for i, name := range names {
		ip(fmt.Sprintf("-n %s addr add 10.231.77.%d/24 dev card%d", name, i+1, i))
		ip(fmt.Sprintf("-n %s link set card%d up", name, i))
		ip(fmt.Sprintf("-n %s link set lo up", name))
	}
	return names
}

// node is the supervisor of one host.
type node struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func onTwoHosts(t *testing.T, fault, dir string) (nodes [2]*node, errs [2]error) {
	names := hosts(t)
	for i, name := range names {
		n := &node{cmd: exec.Command("ip", "netns", "exec", name, os.Args[0], "-test.run=^$")}
		n.cmd.Env = append(os.Environ(), "LAUNCH_TEST_SUPERVISE="+fault, "LAUNCH_TEST_DIR="+dir, fmt.Sprintf("LAUNCH_TEST_NODE=%d", i))
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
	require.Contains(t, nodes[0].out.String(), "rank 0: lost a peer", "the other one says what it knows")
	require.Empty(t, survivors(t, dir))
}
