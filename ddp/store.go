package ddp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
)

// Store is a key-value store that ranks share: through it they find each other (torch.distributed.Store). It is safe for
// use by several goroutines.
type Store struct {
	c    cgotorch.Store
	name string // for messages: "the store at 127.0.0.1:29500"
	host string
	port int
	kept bool // by this process: a TCP store's server
	once sync.Once
}

// TCPStoreOptions are the optional arguments of NewTCPStore.
type TCPStoreOptions struct {
	// Server makes this the process that keeps the store. Exactly one rank does, usually rank 0, and it must outlive the
	// others' use of it.
	Server bool
	// Timeout bounds the wait for the server; 0 is 5 minutes.
	Timeout time.Duration
	// Workers is the number of ranks. It matters only to a server that is PyTorch's, which waits until so many have come.
	Workers int
}

// DefaultTimeout is how long ranks wait for each other unless told otherwise.
const DefaultTimeout = 5 * time.Minute

// NewTCPStore connects to the store that a server keeps at host and port, waiting until it is there, or keeps it itself
// (torch.distributed.TCPStore). A server listens on all of its machine's interfaces, as others may reach it under another
// address than it does itself; where host is localhost or a loopback address it is for this machine alone. With port 0 it
// takes a free one, see Port. Processes of PyTorch can use it, and it theirs. Each rank has a connection of its own, also where
// several are in one process: a rank that waits for a key holds the connection.
func NewTCPStore(ctx context.Context, host string, port int, opts ...TCPStoreOptions) (*Store, error) {
	o, err := optional("ddp.NewTCPStore", opts)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	fd := -1
	if o.Server {
		if fd, port, err = listen(ctx, host, port); err != nil {
			return nil, fmt.Errorf("ddp.NewTCPStore: can't listen on %s: %w; is another job using the port? Port 0 takes a free one", address, err)
		}
	} else if err := awaitServer(ctx, address, o.Timeout); err != nil {
		return nil, fmt.Errorf("ddp.NewTCPStore: no store answers at %s: %w; the rank that keeps it must be started, and reachable from here", address, err)
	}
	c, port, cerr := cgotorch.TCPStore(host, port, o.Server, o.Timeout, fd, o.Workers)
	if cerr != nil {
		return nil, fmt.Errorf("ddp.NewTCPStore: %s: %s", address, text.FirstLine(cerr.Message))
	}
	return &Store{c: c, name: "the store at " + net.JoinHostPort(host, strconv.Itoa(port)), host: host, port: port, kept: o.Server}, nil
}

// listen opens the server's socket in Go, which says at once what is wrong with it, and gives its descriptor away.
func listen(ctx context.Context, host string, port int) (fd, actual int, err error) {
	if !loopback(host) {
		host = ""
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	fd, err = duplicate(int(f.Fd()))
	return fd, l.Addr().(*net.TCPAddr).Port, err
}

// awaitServer returns when somebody listens at the address.
func awaitServer(ctx context.Context, address string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-time.After(delay):
		}
	}
}

// NewFileStore opens a store that is a file on a file system which all ranks share (torch.distributed.FileStore). Each run
// needs a file of its own.
func NewFileStore(path string, ranks int) (*Store, error) {
	c, err := cgotorch.FileStore(path, ranks)
	if err != nil {
		return nil, fmt.Errorf("ddp.NewFileStore: %s: %s", path, text.FirstLine(err.Message))
	}
	return &Store{c: c, name: "the store in " + path}, nil
}

// NewMemoryStore makes a store for the goroutines of this process (torch.distributed.HashStore).
func NewMemoryStore() (*Store, error) {
	c, err := cgotorch.HashStore()
	if err != nil {
		return nil, fmt.Errorf("ddp.NewMemoryStore: %s", text.FirstLine(err.Message))
	}
	return &Store{c: c, name: "the store in memory"}, nil
}

// Prefix returns a view of the store that puts prefix and a slash before every key (torch.distributed.PrefixStore). It is
// closed on its own, and goes on when s is closed.
func (s *Store) Prefix(prefix string) (*Store, error) {
	c, err := cgotorch.PrefixStore(prefix, s.c)
	if err != nil {
		return nil, s.failed("prefix", prefix, err)
	}
	return &Store{c: c, name: s.name, host: s.host, port: s.port, kept: s.kept}, nil
}

// Port returns the port of a TCP store, 0 for others.
func (s *Store) Port() int { return s.port }

// Host returns the host of a TCP store, "" for others.
func (s *Store) Host() string { return s.host }

// Set sets a key's value.
func (s *Store) Set(key string, value []byte) error {
	if err := s.c.Set(key, string(value)); err != nil {
		return s.failed("set", key, err)
	}
	return nil
}

// Get returns a key's value, and waits until there is one.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.Wait(ctx, key); err != nil {
		return nil, err
	}
	v, err := s.c.Get(key)
	if err != nil {
		return nil, s.failed("get", key, err)
	}
	return []byte(v), nil
}

// Wait waits until all keys have values.
func (s *Store) Wait(ctx context.Context, keys ...string) error {
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		ok, err := s.Check(keys...)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ddp: waiting for %s in %s: %w", strings.Join(keys, ", "), s.name, context.Cause(ctx))
		case <-time.After(delay):
		}
	}
}

// Check tells whether all keys have values.
func (s *Store) Check(keys ...string) (bool, error) {
	ok, err := s.c.Check(keys...)
	if err != nil {
		return false, s.failed("check", strings.Join(keys, ", "), err)
	}
	return ok, nil
}

// Add adds to the number under a key, 0 where there is none, and returns the sum.
func (s *Store) Add(key string, amount int64) (int64, error) {
	v, err := s.c.Add(key, amount)
	if err != nil {
		return 0, s.failed("add", key, err)
	}
	return v, nil
}

// CompareSet sets a key's value if it is expected (empty: if there is none), and returns the value that it has then.
func (s *Store) CompareSet(key string, expected, desired []byte) ([]byte, error) {
	v, err := s.c.CompareSet(key, string(expected), string(desired))
	if err != nil {
		return nil, s.failed("compare_set", key, err)
	}
	return []byte(v), nil
}

// Delete removes a key and tells whether it was there. A file store can't.
func (s *Store) Delete(key string) (bool, error) {
	ok, err := s.c.Delete(key)
	if err != nil {
		return false, s.failed("delete", key, err)
	}
	return ok, nil
}

// Close gives the store up; a server stops, and frees its port, when all groups and views that use it are closed as well.
func (s *Store) Close() { s.once.Do(s.c.Free) }

func (s *Store) failed(what, key string, err *cgotorch.Error) error {
	return fmt.Errorf("ddp: %s %q in %s: %s", what, key, s.name, text.FirstLine(err.Message))
}

// optional returns the one element of a trailing parameter that may be left out.
func optional[T any](name string, given []T) (o T, err error) {
	if o, err = options.One(given); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return o, err
}
