package ddp_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
)

// roles are what this binary does as a process of its own, a rank: see startRank.
var roles = map[string]func() error{}

const roleVariable = "GOLITE_DDP_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := fixture.Pin(); err != nil {
			panic(err)
		}
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	fixture.Main(m)
}

// kinds are the ways in which the ranks of a test are connected, over Gloo with their calls compared. Where it matters that
// they aren't, as in programs, tests have one more.
var (
	kinds    = []string{"inprocess", "gloo"}
	allKinds = append(kinds[:2:2], "plain gloo")
)

// runRanks runs f as ranks, goroutines of this process, connected in one way or the other, and returns each rank's error. Who
// doesn't end within a minute is reported.
func runRanks(t testing.TB, kind string, ranks int, o ddp.Options, f func(ctx context.Context, g *ddp.Group) error) []error {
	t.Helper()
	return runRanksWith(t, t.Context(), ranks, joiner(t, kind, ranks, o), f)
}

// runRanksWith is runRanks for ranks that get their groups in a way of their own.
func runRanksWith(t testing.TB, ctx context.Context, ranks int, join joining, f func(ctx context.Context, g *ddp.Group) error) []error {
	t.Helper()
	errs := make([]error, ranks)
	var wg sync.WaitGroup
	for r := range ranks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[r] = rank(ctx, r, join, f)
		}()
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		debug.PrintStack()
		t.Fatalf("the ranks haven't ended within a minute: %v", errs)
	}
	return errs
}

// joining is how a rank gets its group.
type joining = func(ctx context.Context, rank int) (*ddp.Group, error)

func joiner(t testing.TB, kind string, ranks int, o ddp.Options) joining {
	if kind == "inprocess" {
		hub := ddp.NewHub(ranks)
		t.Cleanup(hub.Close)
		return func(ctx context.Context, rank int) (*ddp.Group, error) { return hub.Group(ctx, rank, o) }
	}
	o.Debug = kind == "gloo"
	store, err := ddp.NewMemoryStore()
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return func(ctx context.Context, rank int) (*ddp.Group, error) {
		return ddp.NewGloo(ctx, store, rank, ranks, o)
	}
}

func rank(ctx context.Context, r int, join joining, f func(context.Context, *ddp.Group) error) (err error) {
	torch.Root(func() {
		torch.WithNumThreads(1, func() {
			var g *ddp.Group
			if g, err = join(ctx, r); err != nil {
				return
			}
			defer g.Close()
			if panicked := ddp.Try(func() { err = f(ctx, g) }); panicked != nil {
				err = panicked
			}
		})
	})
	return err
}

func requireNone(t testing.TB, errs []error) {
	t.Helper()
	for r, err := range errs {
		require.NoError(t, err, "rank %d", r)
	}
}

// everywhere runs a test over both kinds of group, with two and three ranks.
func everywhere(t *testing.T, f func(ctx context.Context, t *testing.T, g *ddp.Group) error) {
	for _, kind := range kinds {
		for _, ranks := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s/%d", kind, ranks), func(t *testing.T) {
				requireNone(t, runRanks(t, kind, ranks, ddp.Options{}, func(ctx context.Context, g *ddp.Group) error { return f(ctx, t, g) }))
			})
		}
	}
}

func fixtureOf(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

func filled(v float64, shape ...int) *torch.Tensor { return torch.Full(v, shape...) }

func floats(t *torch.Tensor) []float32 { return torch.ToSlice[float32](t) }

// freePort gives a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
