package lite_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/netnstest"
)

// onTwoHosts starts a job on each of two hosts, as a user does on each node, with a rank each.
func (j job) onTwoHosts(t *testing.T, pair netnstest.Pair, interfaces bool) (nodes [2]*started) {
	t.Helper()
	for i := range nodes {
		n := j
		n.strategy, n.ranks, n.dir, n.port = "ddp", 1, t.TempDir(), 29556
		n.env = append([]string{"LITE_NUM_NODES=2", fmt.Sprintf("NODE_RANK=%d", i), "MASTER_ADDR=" + netnstest.Main}, j.env...)
		if interfaces {
			n.env = append(n.env, fmt.Sprintf("GLOO_SOCKET_IFNAME=card%d", i))
		}
		n.command = func(name string, args ...string) *exec.Cmd { return pair.Command(i, name, args...) }
		nodes[i] = n.start(t)
	}
	return nodes
}

// TestTwoHosts trains on two hosts as on one, bit for bit, with the network interface chosen and given, and where they meet
// at a name that is a loopback address on its own host, as on Debian. Each job takes the port that the one before had.
func TestTwoHosts(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector sees one process at a time: these ranks are processes, and the tests without it show what they compute")
	}
	pair := netnstest.Two(t)
	c := fixture.Open(t, "testdata/fabric_ddp.json.gz").Case(t, "cnn/2")
	var r rankCurve
	c.Decode(t, &r)
	require.Equal(t, 2, r.World)
	pair.Name(t, 0, "node0", "127.0.1.1")
	pair.Name(t, 1, "node0", netnstest.Main)
	for _, how := range []string{"interfaces chosen", "interfaces given", "by name"} {
		t.Run(how, func(t *testing.T) {
			j := job{do: "curve", arg: r.arg(t), env: []string{"LITE_PRECISION=" + r.Precision}}
			if how == "by name" {
				j.env = append(j.env, "MASTER_ADDR=node0")
			}
			nodes := j.onTwoHosts(t, pair, how == "interfaces given")
			var got result
			for i, n := range nodes {
				o, code := n.wait(t, waitLong)
				require.Zero(t, code, "host %d: %s", i, o.Error)
				require.FileExists(t, filepath.Join(n.dir, fmt.Sprintf("rank%d", i)), "its rank ran there")
				if i == 0 {
					got = o.Result
				} else {
					require.Empty(t, o.Result.Losses, "rank 0's result is on its own host")
				}
			}
			require.Len(t, got.Losses, 2)
			for rank, losses := range got.Losses {
				c.EqualFloats(t, fmt.Sprintf("losses of rank %d", rank), r.Losses[rank], losses)
			}
			for name, p := range got.Tensors {
				c.Equal(t, name, p)
			}
		})
	}
}

// TestFaultsOnAnotherHost: the job ends on both hosts, and both name the rank. Its own host knows the cause.
func TestFaultsOnAnotherHost(t *testing.T) {
	pair := netnstest.Two(t)
	for fault, says := range map[string][2]string{
		"kill:1":  {"rank 1: was lost on another node: ", "rank 1: killed by signal 9"},
		"kill:0":  {"rank 0: killed by signal 9", "rank 0: "},
		"error:0": {"rank 0: the disk is full", "rank 0: was lost on another node: "},
		"error:1": {"rank 1: was lost on another node: ", "rank 1: the disk is full"},
		"stop:1":  {"rank 1: ", "rank 1: no sign of life"},
	} {
		t.Run(fault, func(t *testing.T) {
			nodes := job{do: "fault", arg: fault, timeout: shortTimeout}.onTwoHosts(t, pair, false)
			for i, n := range nodes {
				o, code := n.wait(t, 15*time.Second)
				t.Logf("host %d, %.1f s: %s", i, o.Took.Seconds(), firstLine(o.Error))
				require.Equal(t, 1, code, "host %d: %s", i, o.Error)
				require.Contains(t, o.Error, says[i])
			}
		})
	}
}

// TestSupervisorKilledOnOneHost: its ranks die with it, and the job ends on the other host.
func TestSupervisorKilledOnOneHost(t *testing.T) {
	pair := netnstest.Two(t)
	for victim := range 2 {
		t.Run(fmt.Sprint("host ", victim), func(t *testing.T) {
			nodes := job{do: "fault", arg: "forever", timeout: shortTimeout}.onTwoHosts(t, pair, false)
			for i, n := range nodes {
				n.awaitFile(t, fmt.Sprintf("step%d", i))
			}
			require.True(t, nodes[0].listens(t))
			dead, other := nodes[victim], nodes[1-victim]
			require.NoError(t, dead.cmd.Process.Kill())
			dead.cmd.Wait()
			dead.nothingLeft(t)
			o, code := other.wait(t, 10*time.Second)
			t.Logf("%.1f s: %s", o.Took.Seconds(), firstLine(o.Error))
			require.Equal(t, 1, code)
			require.Contains(t, o.Error, fmt.Sprintf("rank %d: ", victim))
		})
	}
}

// TestStopOnTwoHosts: whichever host's supervisor gets the signal, the ranks of both stop at the same step, rank 0 saves, and
// both programs end with the code that says so.
func TestStopOnTwoHosts(t *testing.T) {
	pair := netnstest.Two(t)
	for asked := range 2 {
		t.Run(fmt.Sprint("host ", asked), func(t *testing.T) {
			nodes := job{do: "stop"}.onTwoHosts(t, pair, false)
			for i, n := range nodes {
				n.awaitFile(t, fmt.Sprintf("training%d", i))
			}
			require.NoError(t, nodes[asked].cmd.Process.Signal(syscall.SIGTERM))
			for i, n := range nodes {
				o, code := n.wait(t, 10*time.Second)
				require.Equal(t, 75, code, "host %d: %s", i, o.Error)
				require.Contains(t, o.Error, "stopped by a signal")
			}
			require.Equal(t, nodes[0].pid(t, "stopped0"), nodes[1].pid(t, "stopped1"), "the steps at which ranks stopped")
			require.FileExists(t, filepath.Join(nodes[0].dir, "last.pt"))
			require.NoFileExists(t, filepath.Join(nodes[1].dir, "last.pt"))
		})
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
