package ddp_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
)

func init() {
	roles["keeps the store"] = func() error { return processRank(0) }
	roles["comes second"] = func() error { return processRank(1) }
	roles["keeps the store and fails"] = func() error {
		return processRank(0, func(_ context.Context, g *ddp.Group) error {
			g.AllReduce(filled(1, 1000), ddp.Sum)
			time.Sleep(50 * time.Millisecond)
			g.Abort("the disk is full")
			os.Exit(3)
			return nil
		})
	}
}

const portVariable = "GOLITE_DDP_TEST_PORT"

// processRank is a rank of two in a process of its own: it sums until somebody fails, or does something else. Rank 0 keeps
// the store.
func processRank(r int, does ...func(context.Context, *ddp.Group) error) (err error) {
	port, err := strconv.Atoi(os.Getenv(portVariable))
	if err != nil {
		return err
	}
	join := func(ctx context.Context, r int) (*ddp.Group, error) {
		s, err := ddp.NewTCPStore(ctx, "127.0.0.1", port, ddp.TCPStoreOptions{Server: r == 0})
		if err != nil {
			return nil, err
		}
		return ddp.NewGloo(ctx, s, r, 2)
	}
	return rank(context.Background(), r, join, append(does, sumForever)[0])
}

func sumForever(_ context.Context, g *ddp.Group) error {
	for {
		g.AllReduce(filled(1, 1000), ddp.Sum)
	}
}

// startRank starts this binary as a rank.
func startRank(t *testing.T, role string, port int) *exec.Cmd {
	t.Helper()
	return startRole(t, role, portVariable+"="+strconv.Itoa(port))
}

// startRole starts this binary in a role, with more in its environment.
func startRole(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// TestAKilledProcess: a rank whose peer is killed in the middle of collectives is freed at once, also where it was the
// peer that kept the store. Nobody supervises here.
func TestAKilledProcess(t *testing.T) {
	for name, victim := range map[string]int{"the store's keeper": 0, "the other": 1} {
		t.Run(name, func(t *testing.T) {
			var cmd *exec.Cmd
			killed := make(chan time.Time, 1)
			kill := func() {
				time.AfterFunc(100*time.Millisecond, func() {
					killed <- time.Now()
					cmd.Process.Kill()
				})
			}
			var store *ddp.Store
			var err error
			if victim == 1 {
				store, err = ddp.NewTCPStore(t.Context(), "127.0.0.1", 0, ddp.TCPStoreOptions{Server: true})
				require.NoError(t, err)
				cmd = startRank(t, "comes second", store.Port())
			} else {
				port := freePort(t)
				cmd = startRank(t, "keeps the store", port)
				store, err = ddp.NewTCPStore(t.Context(), "127.0.0.1", port)
				require.NoError(t, err)
			}
			defer store.Close()
			join := func(ctx context.Context, r int) (*ddp.Group, error) {
				defer kill()
				return ddp.NewGloo(ctx, store, r, 2)
			}
			err = rank(t.Context(), 1-victim, join, sumForever)
			require.Less(t, time.Since(<-killed), freedIn)
			var re *ddp.RankError
			require.ErrorAs(t, err, &re)
			require.Contains(t, re.Reason, "lost a peer in all_reduce(sum) of Float[1000]")
			require.Contains(t, re.Site, "process_test.go:")
			require.Equal(t, []int{victim}, re.Lost, re.Reason)
			cmd.Wait()
		})
	}
}

// TestAReasonOutlivesItsProcess: what ended the process that keeps the store is known to the others, though it ends at once.
func TestAReasonOutlivesItsProcess(t *testing.T) {
	for range 3 {
		port := freePort(t)
		cmd := startRank(t, "keeps the store and fails", port)
		store, err := ddp.NewTCPStore(t.Context(), "127.0.0.1", port)
		require.NoError(t, err)
		join := func(ctx context.Context, r int) (*ddp.Group, error) { return ddp.NewGloo(ctx, store, r, 2) }
		err = rank(t.Context(), 1, join, sumForever)
		var re *ddp.RankError
		require.ErrorAs(t, err, &re)
		require.Contains(t, re.Reason, "rank 0 aborted the group: the disk is full")
		store.Close()
		cmd.Wait()
	}
}
