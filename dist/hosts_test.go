package dist_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/netnstest"
	"github.com/golite/golite/internal/ranktest"
)

const (
	hostVariable   = "GOLITE_DIST_TEST_HOST"
	numberVariable = "GOLITE_DIST_TEST_NUMBER"
)

func init() {
	ranktest.Roles["sums on its host"] = sumOnHost
	ranktest.Roles["meets a stranger"] = meetStranger
}

// sumOnHost is a rank of three that meets the others at a name, and adds up a number.
func sumOnHost() error {
	r, err := strconv.Atoi(os.Getenv(numberVariable))
	if err != nil {
		return err
	}
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		s, err := dist.NewTCPStore(ctx, os.Getenv(hostVariable), 29571, dist.TCPStoreOptions{Server: r == 0,
			Timeout: 20 * time.Second})
		if err != nil {
			return nil, err
		}
		return dist.NewGloo(ctx, s, r, 3, dist.Options{Timeout: 20 * time.Second})
	}
	return ranktest.Rank(context.Background(), r, join, func(_ context.Context, g *dist.Group) error {
		sub, err := g.Sub(1, 2)
		if err != nil {
			return err
		}
		if sub != nil {
			sub.Barrier()
		}
		if got := floats(g.AllReduce(filled(float64(r+1), 1), dist.Sum))[0]; got != 6 {
			return fmt.Errorf("the sum is %v", got)
		}
		return g.Leave()
	})
}

// onHosts starts a rank on each of some hosts and waits for all.
func onHosts(t *testing.T, pair netnstest.Pair, name string, where [3]int, env ...string) (errs [3]error,
	said [3]string) {
	t.Helper()
	var cmds [3]*exec.Cmd
	var out [3]bytes.Buffer
	for r, h := range where {
		cmd := pair.Command(h, os.Args[0], "-test.run=^$")
		cmd.Env = append(append(os.Environ(), ranktest.RoleVariable+"=sums on its host", hostVariable+"="+name,
			numberVariable+"="+strconv.Itoa(r)), env...)
		cmd.Stdout, cmd.Stderr = &out[r], &out[r]
		require.NoError(t, cmd.Start())
		late := time.AfterFunc(40*time.Second, func() { cmd.Process.Kill() })
		t.Cleanup(func() { late.Stop() })
		cmds[r] = cmd
	}
	for r, cmd := range cmds {
		errs[r] = cmd.Wait()
		said[r] = out[r].String()
	}
	return errs, said
}

// TestANameThatIsLoopbackOnItsOwnHost: a job meets at the name of its first host, which leads to a loopback address
// there, as on Debian. The store is reached from the other host all the same, and so are the ranks on the first. Of two
// ranks it is Gloo that chooses, by their addresses, which connects to the other.
func TestANameThatIsLoopbackOnItsOwnHost(t *testing.T) {
	for _, net := range []string{"10.231.77", "192.0.2"} {
		for _, where := range [][3]int{{0, 0, 1}, {0, 1, 1}, {1, 0, 1}} {
			t.Run(fmt.Sprint(net, where), func(t *testing.T) {
				pair := netnstest.Two(t)
				keeper := where[0] // rank 0's host
				pair.Name(t, keeper, "node0", "127.0.1.1")
				pair.Name(t, 1-keeper, "node0", fmt.Sprintf("%s.%d", net, keeper+1))
				if net != "10.231.77" {
					for i := range pair {
						require.NoError(t, pair.Command(i, "ip", "addr", "add", fmt.Sprintf("%s.%d/24", net, i+1), "dev",
							fmt.Sprint("card", i)).Run())
					}
				}
				errs, said := onHosts(t, pair, "node0", where)
				for r, err := range errs {
					require.NoError(t, err, "rank %d: %s", r, said[r])
				}
			})
		}
	}
}

// TestALoopbackNameOnOneHost: where all ranks are there it serves.
func TestALoopbackNameOnOneHost(t *testing.T) {
	pair := netnstest.Two(t)
	pair.Name(t, 0, "node0", "127.0.1.1")
	errs, said := onHosts(t, pair, "node0", [3]int{0, 0, 0})
	for r, err := range errs {
		require.NoError(t, err, "rank %d: %s", r, said[r])
	}
}

// TestAnAddressThatIsNotItsOwn: a rank elsewhere reaches this host under an address that is none of its own, as behind
// a router. Which one Gloo is to listen on can't be known: the error says what to do.
func TestAnAddressThatIsNotItsOwn(t *testing.T) {
	pair := netnstest.Two(t)
	pair.Name(t, 0, "node0", "127.0.1.1")
	cmd := pair.Command(0, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), ranktest.RoleVariable+"=meets a stranger")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), `"node0" leads to a loopback address on this machine`)
	require.Contains(t, string(out), "10.231.77.1")
	require.Contains(t, string(out), "name its network interface in GLOO_SOCKET_IFNAME (there are lo, card0)")
}

// meetStranger is rank 0 of two; the other one has signed in from afar.
func meetStranger() error {
	s, err := dist.NewTCPStore(context.Background(), "node0", 0, dist.TCPStoreOptions{Server: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Set("golite/route/1", []byte("203.0.113.7")); err != nil {
		return err
	}
	if _, err := s.Add("golite/here/1", 1); err != nil {
		return err
	}
	_, err = dist.NewGloo(context.Background(), s, 0, 2)
	return err
}
