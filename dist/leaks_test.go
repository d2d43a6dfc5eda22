package dist_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/internal/stacks"
	"github.com/golite/golite/torch"
)

func init() {
	ranktest.Roles["keeps a store"] = func() error {
		port, err := strconv.Atoi(os.Getenv(portVariable))
		if err != nil {
			return err
		}
		if _, err := dist.NewTCPStore(context.Background(), "127.0.0.1", port,
			dist.TCPStoreOptions{Server: true}); err != nil {
			return err
		}
		select {}
	}
}

// TestAPortIsFreeWhenAllIsClosed: a store's server ends with the last group that uses it, however that one ended.
func TestAPortIsFreeWhenAllIsClosed(t *testing.T) {
	for name, f := range map[string]func(g *dist.Group) error{
		"in good order": func(g *dist.Group) error { g.Barrier(); return g.Leave() },
		"a sub-group": func(g *dist.Group) error {
			sub, err := g.Sub(1, 0)
			if err != nil {
				return err
			}
			sub.Barrier()
			return g.Leave()
		},
		"aborted": func(g *dist.Group) error {
			g.Barrier()
			if g.Rank() == 1 {
				time.Sleep(50 * time.Millisecond)
				g.Abort("enough")
			}
			if dist.Try(g.Barrier) == nil {
				return errors.New("the abort did nothing")
			}
			return nil
		},
		"PyTorch's": func(g *dist.Group) error { g.Barrier(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			store, err := dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true, Workers: 2})
			require.NoError(t, err)
			other, err := dist.NewTCPStore(t.Context(), "127.0.0.1", store.Port(), dist.TCPStoreOptions{Workers: 2})
			require.NoError(t, err)
			join := func(ctx context.Context, r int) (*dist.Group, error) {
				s := []*dist.Store{store, other}[r]
				if name == "PyTorch's" {
					return dist.NewGlooWithPyTorch(ctx, s, r, 2)
				}
				return dist.NewGloo(ctx, s, r, 2)
			}
			ranktest.RequireNone(t, ranktest.RunWith(t, t.Context(), 2, join,
				func(_ context.Context, g *dist.Group) error { return f(g) }))
			other.Close()
			view, err := store.Prefix("a view")
			require.NoError(t, err)
			store.Close()
			require.NoError(t, view.Set("a", nil), "a view keeps the server")
			view.Close()
			listen := func() bool {
				l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", store.Port()))
				if err == nil {
					l.Close()
				}
				return err == nil
			}
			require.Eventually(t, listen, freedIn, 20*time.Millisecond, "port %d is taken for ever", store.Port())
		})
	}
}

// ours counts the goroutines that the package has started, and threads the process's threads.
func ours() int {
	return strings.Count(string(stacks.All(1<<22)), "created by github.com/golite/golite/dist.")
}
func threads() int {
	list, _ := os.ReadDir("/proc/self/task")
	return len(list)
}

// TestNothingRunsWhenAllIsClosed: no goroutine, and no thread more with each group.
func TestNothingRunsWhenAllIsClosed(t *testing.T) {
	for _, kind := range ranktest.AllKinds {
		t.Run(kind, func(t *testing.T) {
			round := func(fail bool) {
				ranktest.Run(t, kind, 2, dist.Options{}, func(_ context.Context, g *dist.Group) error {
					sub, err := g.Sub(0, 1)
					if err != nil {
						return err
					}
					sub.Barrier()
					if fail && g.Rank() == 0 {
						g.Abort("enough")
						return nil
					}
					return g.Leave()
				})
			}
			for range 3 {
				round(false)
				round(true)
			}
			require.Eventually(t, func() bool { return ours() == 0 }, freedIn, 10*time.Millisecond, "goroutines are left: %s",
				stacks.All(1<<16))
			if runtime.GOOS != "linux" {
				return
			}
			before := threads()
			for range 10 {
				round(false)
			}
			require.Eventually(t, func() bool { return threads() < before+10 }, freedIn, 10*time.Millisecond,
				"%d threads before, %d after", before, threads())
		})
	}
}

// TestAStoreThatFallsSilent: ranks that wait for a slow one, beside a store that doesn't answer any more, pile up no
// threads, and go on when it comes.
func TestAStoreThatFallsSilent(t *testing.T) {
	port := ranktest.FreePort(t)
	keeper := startRank(t, "keeps a store", port)
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		s, err := dist.NewTCPStore(ctx, "127.0.0.1", port) // a connection each, as processes have
		if err != nil {
			return nil, err
		}
		t.Cleanup(s.Close)
		return dist.NewGloo(ctx, s, r, 2)
	}
	var goroutines, threadsMore int
	start := time.Now()
	errs := ranktest.RunWith(t, t.Context(), 2, join, func(_ context.Context, g *dist.Group) error {
		g.Barrier()
		if g.Rank() == 1 {
			if err := keeper.Process.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			time.Sleep(3 * time.Second)
			g0, t0 := ours(), threads()
			time.Sleep(4 * time.Second)
			goroutines, threadsMore = ours()-g0, threads()-t0
		}
		g.AllReduce(torch.Ones(1), dist.Sum)
		return g.Leave()
	})
	ranktest.RequireNone(t, errs)
	require.Less(t, time.Since(start), 2*freedIn)
	require.LessOrEqual(t, goroutines, 0)
	require.LessOrEqual(t, threadsMore, 1)
	require.NoError(t, keeper.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return ours() == 0 }, freedIn, 10*time.Millisecond,
		"who asked the silent store is left")
}

// TestWritingToAPeerThatIsGoneIsNoSignal: Go ignores SIGPIPE on its own threads only, so that Gloo's and the store's
// must not get it: the process would end without a word.
func TestWritingToAPeerThatIsGoneIsNoSignal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("threads are looked at in /proc")
	}
	store, err := dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true})
	require.NoError(t, err)
	defer store.Close()
	seen := map[string]int{}
	join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, store, r, 1) }
	ranktest.RequireNone(t, ranktest.RunWith(t, t.Context(), 1, join, func(context.Context, *dist.Group) error {
		list, err := os.ReadDir("/proc/self/task")
		for _, task := range list {
			dir := "/proc/self/task/" + task.Name()
			name, _ := os.ReadFile(dir + "/comm")
			status, _ := os.ReadFile(dir + "/status")
			_, mask, _ := strings.Cut(string(status), "SigBlk:\t")
			mask, _, _ = strings.Cut(mask, "\n")
			blocked, _ := strconv.ParseUint(mask, 16, 64)
			if strings.HasPrefix(string(name), "pt_") || strings.HasPrefix(string(name), "gloo") {
				seen[strings.TrimSpace(string(name))]++
				assert.NotZero(t, blocked&(1<<(syscall.SIGPIPE-1)), "%s", name)
			}
		}
		return err
	}))
	t.Log(seen)
	require.NotEmpty(t, seen)
}
