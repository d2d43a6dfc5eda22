package dist

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

// Store is a key-value store that ranks share, for their rendezvous (torch.distributed.Store). It is safe for use by
// several goroutines.
type Store struct {
	c    cgotorch.Store
	conn *connection // nil: a store in memory
	name string      // for messages: "the store at 127.0.0.1:29500"
	path string      // of a view: what stands before its keys
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
	// Timeout bounds the wait for the server, and later for its answer to each request; 0 is 5 minutes.
	Timeout time.Duration
	// Workers is the number of ranks, for a server of PyTorch's, which waits until so many are connected.
	Workers int
}

// DefaultTimeout is how long ranks wait for each other by default.
const DefaultTimeout = 5 * time.Minute

// NewTCPStore connects to the store that a server keeps at host and port, waiting until it is up, or keeps it itself
// (torch.distributed.TCPStore). A server listens on all of its machine's interfaces, as others may reach it under
// another address than it does itself; where host is localhost or a loopback address it is for this machine alone. With
// port 0 it takes a free one, see Port. Processes of PyTorch can use it, and it can use PyTorch's. Each rank has a
// connection of its own, also where several are in one process: a rank that waits for a key holds the connection.
func NewTCPStore(ctx context.Context, host string, port int, opts ...TCPStoreOptions) (*Store, error) {
	o, err := options.Named("dist.NewTCPStore", opts)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, timeUp(o.Timeout))
	defer cancel()
	address := net.JoinHostPort(host, strconv.Itoa(port))
	fd := -1
	if o.Server {
		if fd, port, err = listen(ctx, host, port); err != nil {
			return nil, fmt.Errorf("dist.NewTCPStore: can't listen on %s: %w; is another job using the port? Port 0 takes a "+
				"free one", address, err)
		}
	} else if err := awaitServer(ctx, address); err != nil {
		return nil, fmt.Errorf("dist.NewTCPStore: no store answers at %s: %w; the rank that keeps it must be started, and "+
			"reachable from here", address, err)
	}
	var actual int
	c, err := openStore(ctx, func() (c cgotorch.Store, err *cgotorch.Error) {
		c, actual, err = cgotorch.TCPStore(host, port, o.Server, o.Timeout, fd, o.Workers)
		return c, err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("dist.NewTCPStore: what listens at %s accepts connections and does not answer: %w; the "+
			"rank that keeps "+
			"the store is stopped or hangs, or another program has the port", address, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("dist.NewTCPStore: %s: %w", address, err)
	}
	return &Store{c: c, conn: newConnection(o.Timeout), name: "the store at " +
		net.JoinHostPort(host, strconv.Itoa(actual)),
		host: host, port: actual, kept: o.Server}, nil
}

// listen opens the server's socket in Go, whose errors name the cause, and returns its descriptor, which the caller
// owns.
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

// awaitServer returns when a program listens at the address, or when ctx ends.
func awaitServer(ctx context.Context, address string) error {
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

// NewFileStore opens a store that is a file on a file system which all ranks share (torch.distributed.FileStore). Each
// run needs a file of its own.
func NewFileStore(path string, ranks int) (*Store, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), DefaultTimeout, timeUp(DefaultTimeout))
	defer cancel()
	c, err := openStore(ctx, func() (cgotorch.Store, *cgotorch.Error) { return cgotorch.FileStore(path, ranks) })
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("dist.NewFileStore: %s: %w: another process holds the file's lock", path, err)
	case err != nil:
		return nil, fmt.Errorf("dist.NewFileStore: %s: %w", path, err)
	}
	return &Store{c: c, conn: newConnection(DefaultTimeout), name: "the store in " + path}, nil
}

// NewMemoryStore makes a store for the goroutines of this process (torch.distributed.HashStore).
func NewMemoryStore() (*Store, error) {
	c, err := cgotorch.HashStore()
	if err != nil {
		return nil, fmt.Errorf("dist.NewMemoryStore: %s", text.FirstLine(err.Message))
	}
	return &Store{c: c, name: "the store in memory"}, nil
}

// Prefix returns a view of the store that puts prefix and a slash before every key (torch.distributed.PrefixStore). It
// is closed on its own, and goes on when s is closed.
func (s *Store) Prefix(prefix string) (*Store, error) {
	c, err := cgotorch.PrefixStore(prefix, s.c)
	if err != nil {
		return nil, s.failed("prefix", prefix, errors.New(text.FirstLine(err.Message)))
	}
	return &Store{c: c, conn: s.conn, name: s.name, path: s.path + prefix + "/", host: s.host, port: s.port, kept: s.kept},
		nil
}

// Port returns the port of a TCP store, 0 for others.
func (s *Store) Port() int { return s.port }

// Host returns the host of a TCP store, "" for others.
func (s *Store) Host() string { return s.host }

// Set sets a key's value.
func (s *Store) Set(key string, value []byte) error { return s.set(context.Background(), key, value) }

func (s *Store) set(ctx context.Context, key string, value []byte) error {
	_, err := request(ctx, s.conn, func() (struct{}, *cgotorch.Error) { return struct{}{}, s.c.Set(key, string(value)) })
	return s.failed("set", key, err)
}

// Get returns a key's value, and waits until there is one.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.Wait(ctx, key); err != nil {
		return nil, err
	}
	return s.read(ctx, key)
}

// read returns the value of a key that there is.
func (s *Store) read(ctx context.Context, key string) ([]byte, error) {
	v, err := request(ctx, s.conn, func() (string, *cgotorch.Error) { return s.c.Get(key) })
	return []byte(v), s.failed("get", key, err)
}

// Wait waits until all keys have values.
func (s *Store) Wait(ctx context.Context, keys ...string) error {
	waiting := func(err error) error {
		return fmt.Errorf("dist: waiting for %s in %s: %w", strings.Join(keys, ", "), s.name, err)
	}
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		ok, err := request(ctx, s.conn, func() (bool, *cgotorch.Error) { return s.c.Check(keys...) })
		if ok {
			return nil
		}
		if err != nil {
			return waiting(err)
		}
		select {
		case <-ctx.Done():
			return waiting(context.Cause(ctx))
		case <-time.After(delay):
		}
	}
}

// Check reports whether all keys have values.
func (s *Store) Check(keys ...string) (bool, error) { return s.check(context.Background(), keys...) }

func (s *Store) check(ctx context.Context, keys ...string) (bool, error) {
	ok, err := request(ctx, s.conn, func() (bool, *cgotorch.Error) { return s.c.Check(keys...) })
	return ok, s.failed("check", strings.Join(keys, ", "), err)
}

// Add adds to the number under a key, 0 where there is none, and returns the sum.
func (s *Store) Add(key string, amount int64) (int64, error) {
	return s.add(context.Background(), key, amount)
}

func (s *Store) add(ctx context.Context, key string, amount int64) (int64, error) {
	v, err := request(ctx, s.conn, func() (int64, *cgotorch.Error) { return s.c.Add(key, amount) })
	return v, s.failed("add", key, err)
}

// CompareSet sets a key's value if it is expected (empty: if there is none), and returns the value that it has then.
func (s *Store) CompareSet(key string, expected, desired []byte) ([]byte, error) {
	v, err := request(context.Background(), s.conn, func() (string, *cgotorch.Error) {
		return s.c.CompareSet(key, string(expected), string(desired))
	})
	return []byte(v), s.failed("compare_set", key, err)
}

// Delete removes a key and reports whether it was there. A file store can't.
func (s *Store) Delete(key string) (bool, error) {
	ok, err := request(context.Background(), s.conn, func() (bool, *cgotorch.Error) { return s.c.Delete(key) })
	return ok, s.failed("delete", key, err)
}

// Close releases the store; a server stops, and frees its port, when all groups and views that use it are closed as
// well.
func (s *Store) Close() { s.once.Do(s.c.Free) }

// failed makes the error of a request, nil where it has none.
func (s *Store) failed(what, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("dist: %s %q in %s: %w", what, key, s.name, err)
}
