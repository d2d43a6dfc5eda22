package dist_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
)

// storesOf makes n views of one store, as n ranks hold it.
var storesOf = map[string]func(t *testing.T, n int) []*dist.Store{
	"memory": func(t *testing.T, n int) []*dist.Store {
		s, err := dist.NewMemoryStore()
		require.NoError(t, err)
		t.Cleanup(s.Close)
		list := make([]*dist.Store, n)
		for i := range list {
			list[i] = s
		}
		return list
	},
	"file": func(t *testing.T, n int) []*dist.Store {
		path := filepath.Join(t.TempDir(), "store")
		list := make([]*dist.Store, n)
		for i := range list {
			s, err := dist.NewFileStore(path, n)
			require.NoError(t, err)
			t.Cleanup(s.Close)
			list[i] = s
		}
		return list
	},
	"tcp": func(t *testing.T, n int) []*dist.Store {
		first, err := dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true})
		require.NoError(t, err)
		t.Cleanup(first.Close)
		list := []*dist.Store{first}
		for range n - 1 {
			s, err := dist.NewTCPStore(t.Context(), "127.0.0.1", first.Port())
			require.NoError(t, err)
			t.Cleanup(s.Close)
			list = append(list, s)
		}
		return list
	},
}

func TestStores(t *testing.T) {
	for name, open := range storesOf {
		t.Run(name, func(t *testing.T) {
			s := open(t, 2)
			one, other := s[0], s[1]
			ctx := t.Context()
			require.NoError(t, one.Set("a", []byte("x\x00y")))
			v, err := other.Get(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, "x\x00y", string(v))

			n, err := one.Add("count", 2)
			require.NoError(t, err)
			require.Equal(t, int64(2), n)
			n, err = other.Add("count", 40)
			require.NoError(t, err)
			require.Equal(t, int64(42), n)

			there, err := other.Check("a", "count")
			require.NoError(t, err)
			require.True(t, there)
			there, err = other.Check("a", "never")
			require.NoError(t, err)
			require.False(t, there)

			p, err := one.Prefix("p")
			require.NoError(t, err)
			require.NoError(t, p.Set("a", []byte("under p")))
			v, err = other.Get(ctx, "p/a")
			require.NoError(t, err)
			require.Equal(t, "under p", string(v))

			v, err = one.CompareSet("c", nil, []byte("first"))
			require.NoError(t, err)
			require.Equal(t, "first", string(v))
			v, err = other.CompareSet("c", []byte("no"), []byte("second"))
			require.NoError(t, err)
			require.Equal(t, "first", string(v), "it is another than was expected")
			v, err = other.CompareSet("c", []byte("first"), []byte("second"))
			require.NoError(t, err)
			require.Equal(t, "second", string(v))

			if name == "file" {
				return // it keeps all that was written
			}
			gone, err := one.Delete("a")
			require.NoError(t, err)
			require.True(t, gone)
			there, err = other.Check("a")
			require.NoError(t, err)
			require.False(t, there)
		})
	}
}

// TestAWaitForAKey ends when another rank sets it, and when the context ends.
func TestAWaitForAKey(t *testing.T) {
	for name, open := range storesOf {
		t.Run(name, func(t *testing.T) {
			s := open(t, 2)
			var all sync.WaitGroup
			all.Go(func() {
				time.Sleep(20 * time.Millisecond)
				assert.NoError(t, s[1].Set("late", []byte("here")))
			})
			v, err := s[0].Get(t.Context(), "late")
			all.Wait()
			require.NoError(t, err)
			require.Equal(t, "here", string(v))

			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			time.AfterFunc(20*time.Millisecond, func() { cancel(enough) })
			_, err = s[0].Get(ctx, "never")
			require.ErrorIs(t, err, enough)
			require.ErrorContains(t, err, "waiting for never in the store")
		})
	}
}

// TestGroupsOverEachStore: ranks find each other through a file and over TCP as they do in memory.
func TestGroupsOverEachStore(t *testing.T) {
	for name, open := range storesOf {
		t.Run(name, func(t *testing.T) {
			s := open(t, 3)
			join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, s[r], r, 3) }
			ranktest.RequireNone(t, ranktest.RunWith(t, t.Context(), 3, join, func(_ context.Context, g *dist.Group) error {
				assert.Equal(t, []float32{6}, floats(g.AllReduce(filled(float64(g.Rank()+1), 1), dist.Sum)))
				assert.Equal(t, name == "tcp", s[g.Rank()].Port() != 0)
				g.Barrier()
				return nil
			}))
		})
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = dist.NewTCPStore(t.Context(), "127.0.0.1", port, dist.TCPStoreOptions{Server: true})
	require.ErrorContains(t, err, "address already in use; is another job using the port?")
}

func TestAStoreThatNobodyKeeps(t *testing.T) {
	_, err := dist.NewTCPStore(t.Context(), "127.0.0.1", ranktest.FreePort(t),
		dist.TCPStoreOptions{Timeout: 100 * time.Millisecond})
	require.ErrorContains(t, err, "no store answers at 127.0.0.1:")
	require.ErrorContains(t, err, "connection refused")
}

// TestARankThatNeverComes is named by those that wait for it.
func TestARankThatNeverComes(t *testing.T) {
	s := storesOf["memory"](t, 3)
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		if r == 1 {
			return nil, errors.New("it never came")
		}
		return dist.NewGloo(ctx, s[r], r, 3, dist.Options{Timeout: 200 * time.Millisecond})
	}
	errs := ranktest.RunWith(t, t.Context(), 3, join, func(context.Context, *dist.Group) error { return nil })
	for _, r := range []int{0, 2} {
		require.ErrorContains(t, errs[r], "missing: rank 1")
		require.ErrorContains(t, errs[r], "time is up after 200ms")
	}
}

// TestTwoJobsOnOneStore: the second one is told so, where it would mix up the first.
func TestTwoJobsOnOneStore(t *testing.T) {
	s := storesOf["memory"](t, 1)
	join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, s[0], 0, 1) }
	nothing := func(context.Context, *dist.Group) error { return nil }
	ranktest.RequireNone(t, ranktest.RunWith(t, t.Context(), 1, join, nothing))
	errs := ranktest.RunWith(t, t.Context(), 1, join, nothing)
	require.ErrorContains(t, errs[0], "another process is rank 0 already; two jobs must not share a store")
}

func TestAnInterfaceThatIsNotThere(t *testing.T) {
	s := storesOf["memory"](t, 1)
	_, err := dist.NewGloo(t.Context(), s[0], 0, 1, dist.Options{Interfaces: []string{"nowhere0"}})
	require.ErrorContains(t, err, `no network interface "nowhere0"; it has lo`)
}
