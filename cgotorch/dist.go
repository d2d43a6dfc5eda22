package cgotorch

/*
#cgo CXXFLAGS: -I${SRCDIR}/internal/stubs
#include <stdlib.h>
#include "dist.h"
*/
import "C"

import (
	"time"

	_ "github.com/golite/golite/cgotorch/internal/stubs/gloo" // its headers
)

// Store is a key-value store that ranks share; 0 is none.
type Store uint64

// TCPStore connects to the store at host and port, or, with server, serves it: port 0 then means any free port, and fd,
// unless it is below 0, a socket that listens already. It returns the port. workers, if more than 0, is the number of
// clients that PyTorch's servers wait for.
func TCPStore(host string, port int, server bool, timeout time.Duration, fd, workers int) (Store, int, *Error) {
	in, n := args().PutText(host).PutInt(port).PutBool(server).PutInt(int(timeout.Milliseconds())).PutInt(fd).PutInt(
		workers).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_tcp(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, 0, err
	}
	return Store(w[0]), int(w[1]), nil
}

// FileStore opens a store that is a file, for a number of ranks.
func FileStore(path string, ranks int) (Store, *Error) {
	in, n := args().PutText(path).PutInt(ranks).c()
	var out [Room]uint64
	return store(result(int64(C.gl_store_file(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
}

// HashStore makes a store in this process's memory.
func HashStore() (Store, *Error) {
	var out [Room]uint64
	return store(result(int64(C.gl_store_hash((*C.uint64_t)(&out[0]), Room)), out[:]))
}

// PrefixStore puts a prefix before every key of another store.
func PrefixStore(prefix string, s Store) (Store, *Error) {
	in, n := args(uint64(s)).PutText(prefix).c()
	var out [Room]uint64
	return store(result(int64(C.gl_store_prefix(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
}

func store(w []uint64, err *Error) (Store, *Error) {
	if err != nil {
		return 0, err
	}
	return Store(w[0]), nil
}

// Set sets a key's value.
func (s Store) Set(key, value string) *Error {
	in, n := args(uint64(s)).PutText(key).PutText(value).c()
	var out [Room]uint64
	_, err := result(int64(C.gl_store_set(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// CompareSet sets a key's value if it is expected ("": if there is none) and returns the value that it has then.
func (s Store) CompareSet(key, expected, desired string) (string, *Error) {
	in, n := args(uint64(s)).PutText(key).PutText(expected).PutText(desired).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_swap(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Get returns a key's value, and blocks as long as there is none.
func (s Store) Get(key string) (string, *Error) {
	in, n := args(uint64(s)).PutText(key).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_get(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Add adds to the number under a key and returns the sum.
func (s Store) Add(key string, amount int64) (int64, *Error) {
	in, n := args(uint64(s)).PutText(key).PutInt(int(amount)).c()
	var out [Room]uint64
	return number(result(int64(C.gl_store_add(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
}

// Check reports whether all keys have values.
func (s Store) Check(keys ...string) (bool, *Error) {
	w := args(uint64(s)).PutInt(len(keys))
	for _, k := range keys {
		w.PutText(k)
	}
	in, n := w.c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_store_check(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return v != 0, err
}

// Delete removes a key and reports whether it was there.
func (s Store) Delete(key string) (bool, *Error) {
	in, n := args(uint64(s)).PutText(key).c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_store_delete(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return v != 0, err
}

func number(w []uint64, err *Error) (int64, *Error) {
	if err != nil {
		return 0, err
	}
	return int64(w[0]), nil
}

// Len returns the number of keys.
func (s Store) Len() (int, *Error) {
	var out [Room]uint64
	v, err := number(result(int64(C.gl_store_keys(C.uint64_t(s), (*C.uint64_t)(&out[0]), Room)), out[:]))
	return int(v), err
}

// Free gives the reference back.
func (s Store) Free() { C.gl_store_free(C.uint64_t(s)) }
