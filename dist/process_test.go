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
	"github.com/golite/golite/torch"
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

// processRank is a rank of two in a process of its own: it sums until a rank fails, or does something else. Rank 0
// keeps the store.
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
	f := sumForever
	if call := killedIn[os.Getenv(killedInVariable)]; call != nil {
		f = forever(call)
	}
	return ranktest.Rank(context.Background(), r, join, append(does, f)[0])
}

// killedIn are the collectives in which a rank is killed, by their names in errors: small ones, and some of many
// pieces.
var killedIn = map[string]func(g *dist.Group){
	"all_reduce(sum) of Float[1000]": func(g *dist.Group) { g.AllReduce(filled(1, 1000), dist.Sum) },
	"all_gather_into_tensor of Float[3000000]": func(g *dist.Group) {
		g.AllGatherInto(torch.Empty(6_000_000),
			filled(1, 3_000_000))
	},
	"reduce_scatter_tensor(sum) of Float[3000000]": func(g *dist.Group) {
		g.ReduceScatterTensor(torch.Empty(3_000_000),
			filled(1, 6_000_000), dist.Sum)
	},
	"broadcast from rank 0 of Float[10]": func(g *dist.Group) { g.Broadcast(filled(1, 10), 0) },
}

// killedInVariable names one of killedIn for a process.
const killedInVariable = "GOLITE_DIST_TEST_KILLED_IN"

func sumForever(_ context.Context, g *dist.Group) error {
	for {
		g.AllReduce(filled(1, 1000), dist.Sum)
	}
}

func forever(call func(g *dist.Group)) func(context.Context, *dist.Group) error {
	return func(_ context.Context, g *dist.Group) error {
		for {
			call(g)
		}
	}
}

// startRank starts this binary as a rank.
func startRank(t *testing.T, role string, port int, env ...string) *exec.Cmd {
	t.Helper()
	return ranktest.StartRole(t, role, append(env, portVariable+"="+strconv.Itoa(port))...)
}

// TestAKilledProcess: a rank whose peer is killed in the middle of collectives is freed at once, also where it was the
// peer that kept the store. Nobody supervises here.
func TestAKilledProcess(t *testing.T) {
	for name, victim := range map[string]int{"the store's keeper": 0, "the other": 1} {
		for what, call := range killedIn {
			t.Run(name+"/"+what, func(t *testing.T) { killed(t, victim, what, call) })
		}
	}
}

func killed(t *testing.T, victim int, what string, call func(g *dist.Group)) {
	var cmd *exec.Cmd
	killedAt := make(chan time.Time, 1)
	kill := func() {
		time.AfterFunc(100*time.Millisecond, func() {
			killedAt <- time.Now()
			cmd.Process.Kill()
		})
	}
	var store *dist.Store
	var err error
	if victim == 1 {
		store, err = dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true})
		require.NoError(t, err)
		cmd = startRank(t, "comes second", store.Port(), killedInVariable+"="+what)
	} else {
		port := ranktest.FreePort(t)
		cmd = startRank(t, "keeps the store", port, killedInVariable+"="+what)
		store, err = dist.NewTCPStore(t.Context(), "127.0.0.1", port)
		require.NoError(t, err)
	}
	defer store.Close()
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		defer kill()
		return dist.NewGloo(ctx, store, r, 2)
	}
	err = ranktest.Rank(t.Context(), 1-victim, join, forever(call))
	require.Less(t, time.Since(<-killedAt), freedIn)
	var re *dist.RankError
	require.ErrorAs(t, err, &re)
	require.Contains(t, re.Reason, "lost a peer in "+what)
	require.Contains(t, re.Site, "process_test.go:")
	require.Equal(t, []int{victim}, re.Lost, re.Reason)
	cmd.Wait()
}

// TestAReasonOutlivesItsProcess: what ended the process that keeps the store is known to the others, though it ends at
// once.
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
