package dist_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
)

func init() {
	ranktest.Roles["keeps the store"] = func() error { return processRank(0) }
	ranktest.Roles["comes second"] = func() error { return processRank(1) }
	ranktest.Roles["keeps the store and fails"] = func() error {
		return processRank(0, func(_ context.Context, g *dist.Group) error {
			g.AllReduce(filled(1, 1000), dist.Sum)
			time.Sleep(50 * time.Millisecond)
			g.Abort("the disk is full")
			os.Exit(3)
			return nil
		})
	}
}

const portVariable = "GOLITE_DIST_TEST_PORT"

// processRank is a rank of two in a process of its own: it sums until a rank fails, or does something else. Rank 0 keeps
// the store.
func processRank(r int, does ...func(context.Context, *dist.Group) error) (err error) {
	port, err := strconv.Atoi(os.Getenv(portVariable))
	if err != nil {
		return err
	}
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		s, err := dist.NewTCPStore(ctx, "127.0.0.1", port, dist.TCPStoreOptions{Server: r == 0})
		if err != nil {
			return nil, err
		}
		return dist.NewGloo(ctx, s, r, 2)
	}
	return ranktest.Rank(context.Background(), r, join, append(does, sumForever)[0])
}

func sumForever(_ context.Context, g *dist.Group) error {
	for {
		g.AllReduce(filled(1, 1000), dist.Sum)
	}
}

// startRank starts this binary as a rank.
func startRank(t *testing.T, role string, port int) *exec.Cmd {
	t.Helper()
	return ranktest.StartRole(t, role, portVariable+"="+strconv.Itoa(port))
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
			var store *dist.Store
			var err error
			if victim == 1 {
				store, err = dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true})
				require.NoError(t, err)
				cmd = startRank(t, "comes second", store.Port())
			} else {
				port := ranktest.FreePort(t)
				cmd = startRank(t, "keeps the store", port)
				store, err = dist.NewTCPStore(t.Context(), "127.0.0.1", port)
				require.NoError(t, err)
			}
			defer store.Close()
			join := func(ctx context.Context, r int) (*dist.Group, error) {
				defer kill()
				return dist.NewGloo(ctx, store, r, 2)
			}
			err = ranktest.Rank(t.Context(), 1-victim, join, sumForever)
			require.Less(t, time.Since(<-killed), freedIn)
			var re *dist.RankError
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
		port := ranktest.FreePort(t)
		cmd := startRank(t, "keeps the store and fails", port)
		store, err := dist.NewTCPStore(t.Context(), "127.0.0.1", port)
		require.NoError(t, err)
		join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, store, r, 2) }
		err = ranktest.Rank(t.Context(), 1, join, sumForever)
		var re *dist.RankError
		require.ErrorAs(t, err, &re)
		require.Contains(t, re.Reason, "rank 0 aborted the group: the disk is full")
		store.Close()
		cmd.Wait()
	}
}
