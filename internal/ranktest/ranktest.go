// Package ranktest runs the ranks of a test of process groups: as goroutines of the test's process, or as processes.
package ranktest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
)

// Roles are the functions that StartRole runs in a process of its own, by name. A test file adds its own in init.
var Roles = map[string]func() error{}

// RoleVariable is the environment variable that names the role.
const RoleVariable = "GOLITE_RANKTEST_ROLE"

// Main is the TestMain of a package that uses StartRole: it runs the role that the environment names, or else the
// tests.
func Main(m *testing.M) {
	if role := os.Getenv(RoleVariable); role != "" {
		if err := fixture.Pin(); err != nil {
			panic(err)
		}
		if err := Roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	fixture.Main(m)
}

// Kinds are the ways in which the ranks of a test are connected, over Gloo with their calls compared. Where it matters
// that they aren't, as in programs, tests have one more.
var (
	Kinds    = []string{"inprocess", "gloo"}
	AllKinds = append(Kinds[:2:2], "plain gloo")
)

// Run runs f as ranks, goroutines of this process, connected in one way or the other, and returns each rank's error.
// Ranks that have not ended within a minute fail the test.
func Run(t testing.TB, kind string, ranks int, o dist.Options,
	f func(ctx context.Context, g *dist.Group) error) []error {
	t.Helper()
	return RunWith(t, t.Context(), ranks, Joiner(t, kind, ranks, o), f)
}

// RunWith is Run for ranks that get their groups in a way of their own.
func RunWith(t testing.TB, ctx context.Context, ranks int, join Joining,
	f func(ctx context.Context, g *dist.Group) error) []error {
	t.Helper()
	errs := make([]error, ranks)
	var wg sync.WaitGroup
	for r := range ranks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[r] = Rank(ctx, r, join, f)
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

// Joining is how a rank gets its group.
type Joining = func(ctx context.Context, rank int) (*dist.Group, error)

// Joiner returns how the ranks of a kind get their groups.
func Joiner(t testing.TB, kind string, ranks int, o dist.Options) Joining {
	if kind == "inprocess" {
		world := dist.NewLocalWorld(ranks)
		t.Cleanup(world.Close)
		return func(ctx context.Context, rank int) (*dist.Group, error) { return world.Group(ctx, rank, o) }
	}
	o.Debug = kind == "gloo"
	store, err := dist.NewMemoryStore()
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return func(ctx context.Context, rank int) (*dist.Group, error) {
		return dist.NewGloo(ctx, store, rank, ranks, o)
	}
}

// Rank runs f as one rank on the calling goroutine, and closes its group.
func Rank(ctx context.Context, r int, join Joining, f func(context.Context, *dist.Group) error) (err error) {
	torch.RunRank(func() {
		torch.WithNumThreads(1, func() {
			var g *dist.Group
			if g, err = join(ctx, r); err != nil {
				return
			}
			defer g.Close()
			if panicked := dist.Try(func() { err = f(ctx, g) }); panicked != nil {
				err = panicked
			}
		})
	})
	return err
}

// RequireNone fails the test if a rank has ended with an error.
func RequireNone(t testing.TB, errs []error) {
	t.Helper()
	for r, err := range errs {
		require.NoError(t, err, "rank %d", r)
	}
}

// Everywhere runs a test over both Kinds of group, with one, two and three ranks.
func Everywhere(t *testing.T, f func(ctx context.Context, t *testing.T, g *dist.Group) error) {
	for _, kind := range Kinds {
		for _, ranks := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s/%d", kind, ranks), func(t *testing.T) {
				RequireNone(t, Run(t, kind, ranks, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
					return f(ctx, t,
						g)
				}))
			})
		}
	}
}

// FreePort returns a TCP port that is not in use.
func FreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// StartRole starts this binary in a role, with more in its environment.
func StartRole(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), RoleVariable+"="+role), env...)
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

// MuteServer listens on the loopback, accepts, and never answers, until the test ends.
func MuteServer(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range open {
			c.Close()
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}
