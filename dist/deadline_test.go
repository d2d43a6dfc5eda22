package dist_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/internal/stacks"
)

// TestAMasterThatNeverAnswers: the client's constructor in libtorch has no deadline, NewTCPStore has.
func TestAMasterThatNeverAnswers(t *testing.T) {
	port := ranktest.MuteServer(t)
	address := "127.0.0.1:" + strconv.Itoa(port)
	start := time.Now()
	_, err := dist.NewTCPStore(t.Context(), "127.0.0.1", port, dist.TCPStoreOptions{Timeout: 300 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "what listens at "+address+" accepts connections and does not answer: time is up "+
		"after 300ms")
	require.Less(t, time.Since(start), 3*time.Second)

	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
	start = time.Now()
	_, err = dist.NewTCPStore(ctx, "127.0.0.1", port, dist.TCPStoreOptions{Timeout: 2 * time.Second})
	require.ErrorIs(t, err, enough)
	require.Less(t, time.Since(start), time.Second)
}

// TestAKeeperThatIsStopped: no request to its store waits longer than the store's timeout, nor does a rank that joins.
func TestAKeeperThatIsStopped(t *testing.T) {
	port := ranktest.FreePort(t)
	keeper := startRank(t, "keeps a store", port)
	first, err := dist.NewTCPStore(t.Context(), "127.0.0.1", port) // waits until the process has come so far
	require.NoError(t, err)
	defer first.Close()
	s, err := dist.NewTCPStore(t.Context(), "127.0.0.1", port, dist.TCPStoreOptions{Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Set("key", []byte("value")))
	require.NoError(t, keeper.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	_, err = syscall.Wait4(keeper.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped())

	for name, f := range map[string]func() error{
		"get":         func() error { _, err := s.Get(t.Context(), "key"); return err },
		"wait":        func() error { return s.Wait(t.Context(), "key") },
		"check":       func() error { _, err := s.Check("key"); return err },
		"add":         func() error { _, err := s.Add("number", 1); return err },
		"compare_set": func() error { _, err := s.CompareSet("key", nil, []byte("1")); return err },
		"delete":      func() error { _, err := s.Delete("other"); return err },
		"NewGloo": func() error {
			_, err := dist.NewGloo(t.Context(), s, 0, 2, dist.Options{Timeout: 300 * time.Millisecond})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			before, start := threads(), time.Now()
			err := f()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "time is up after 300ms")
			require.ErrorContains(t, err, "the process that keeps")
			require.ErrorContains(t, err, "the store at 127.0.0.1:"+strconv.Itoa(port))
			require.Less(t, time.Since(start), 3*time.Second)
			require.LessOrEqual(t, threads(), before+3, "requests pile up")
		})
	}
	require.NoError(t, keeper.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool {
		ok, err := s.Check("key")
		return ok && err == nil
	}, 5*time.Second, 10*time.Millisecond, "the request that was left ended, and the store is of use again")
}

const storeVariable = "GOLITE_DIST_TEST_STORE"

func init() {
	ranktest.Roles["meets a rank that never connects"] = func() error {
		s, other, err := twoViews(os.Getenv(storeVariable))
		if err != nil {
			return err
		}
		view, err := other.Prefix("golite")
		if err != nil {
			return err
		}
		if _, err := view.Add("here/1", 1); err != nil {
			return err
		}
		start := time.Now()
		_, err = dist.NewGloo(context.Background(), s, 0, 2, dist.Options{Timeout: 300 * time.Millisecond})
		if took := time.Since(start); took > 3*time.Second {
			return fmt.Errorf("it took %v", took)
		}
		if re, ok := errors.AsType[*dist.RankError](err); !ok || !slices.Equal(re.Lost, []int{1}) {
			return fmt.Errorf("no *RankError that names rank 1: %w", err)
		}
		return err
	}
}

// twoViews makes a store as two ranks hold it: in memory, or over TCP.
func twoViews(kind string) (a, b *dist.Store, err error) {
	if kind == "memory" {
		a, err = dist.NewMemoryStore()
		return a, a, err
	}
	if a, err = dist.NewTCPStore(context.Background(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true}); err == nil {
		b, err = dist.NewTCPStore(context.Background(), "127.0.0.1", a.Port())
	}
	return a, b, err
}

// TestARankThatNeverConnects has signed in, and stops before Gloo reaches it: it is named, and the timeout is kept. The
// rank that waits is a process, as Gloo's own attempt goes on for a minute.
func TestARankThatNeverConnects(t *testing.T) {
	for _, kind := range []string{"memory", "tcp"} {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), ranktest.RoleVariable+"=meets a rank that never connects", storeVariable+"="+kind)
			said, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(said), "rank 0 of 2, in dist.NewGloo: time is up after 300ms; missing: rank 1, which "+
				"has not connected")
			require.NotContains(t, string(said), "no *RankError")
		})
	}
}

// TestAFileStoreThatIsLocked: another process that holds the file's lock is waited for as long as a request may take.
func TestAFileStoreThatIsLocked(t *testing.T) {
	path := t.TempDir() + "/store"
	s, err := dist.NewFileStore(path, 2)
	require.NoError(t, err)
	defer s.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = dist.NewGloo(t.Context(), s, 0, 2, dist.Options{Timeout: 300 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "the store in "+path)
	require.NoError(t, f.Close())
	require.Eventually(t, func() bool { return ours() == 0 }, freedIn, time.Millisecond,
		"the request that was left has not ended")
}

// TestAFileStoreThatIsRemoved: neither a request nor the end of a store waits for a file whose folder is gone, whether
// that was removed before the request or under it.
func TestAFileStoreThatIsRemoved(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		folder := filepath.Join(dir, strconv.Itoa(i))
		require.NoError(t, os.Mkdir(folder, 0o700))
		path := filepath.Join(folder, "store")
		s, err := dist.NewFileStore(path, 2)
		require.NoError(t, err)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
		_, err = dist.NewGloo(t.Context(), s, 0, 2, dist.Options{Timeout: 20 * time.Millisecond})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, f.Close())
		if i == 0 { // those that follow begin after the removal
			require.Eventually(t, func() bool { return ours() == 0 }, freedIn, time.Millisecond)
			require.NoError(t, os.RemoveAll(folder))
			start := time.Now()
			require.ErrorContains(t, s.Set("key", nil), path)
			_, err = s.Check("key")
			require.ErrorContains(t, err, path)
			require.Less(t, time.Since(start), freedIn)
		}
		s.Close()
		// A request under way may make the file again.
		require.Eventually(t, func() bool { return os.RemoveAll(folder) == nil }, freedIn, time.Millisecond)
	}
	require.Eventually(t, func() bool { return ours() == 0 }, freedIn, 10*time.Millisecond, "requests are left: %s",
		stacks.All(1<<16))
}
