package cgotorch

/*
#cgo CXXFLAGS: -I${SRCDIR}/internal/stubs
#include <stdlib.h>
#include "dist.h"
*/
import "C"

import (
	"time"
	"unsafe"

	_ "github.com/golite/golite/cgotorch/internal/stubs/gloo" // its headers
)

// Words builds the flat arguments of the functions for ranks.
type Words []uint64

// Int adds a number.
func (w Words) Int(v int) Words { return append(w, uint64(v)) }

// Bool adds a truth value.
func (w Words) Bool(v bool) Words { return append(w, uint64(flag(v))) }

// Text adds a text: its length, then its bytes.
func (w Words) Text(s string) Words {
	w = append(w, uint64(len(s)))
	for i := 0; i < len(s); i += 8 {
		var b [8]byte
		copy(b[:], s[i:])
		w = append(w, *(*uint64)(unsafe.Pointer(&b)))
	}
	return w
}

// Handles adds a list of tensors.
func (w Words) Handles(list []Handle) Words {
	w = append(w, uint64(len(list)))
	for _, h := range list {
		w = append(w, uint64(h))
	}
	return w
}

// Ints adds a list of numbers.
func (w Words) Ints(list []int) Words {
	w = append(w, uint64(len(list)))
	for _, n := range list {
		w = append(w, uint64(n))
	}
	return w
}

// cut splits a packed text off words.
func cut(w []uint64) (string, []uint64) {
	return text(w), w[1+(w[0]+7)/8:]
}

func (w Words) c() (*C.uint64_t, C.uint32_t) {
	return (*C.uint64_t)(unsafe.SliceData(w)), C.uint32_t(len(w))
}

// Store is a key-value store that ranks share; 0 is none.
type Store uint64

// TCPStore connects to the store at host and port, or, with server, serves it: port 0 then means any free port, and fd,
// unless it is below 0, a socket that listens already. It returns the port. workers, if more than 0, is the number of
// clients that PyTorch's servers wait for.
func TCPStore(host string, port int, server bool, timeout time.Duration, fd, workers int) (Store, int, *Error) {
	in, n := Words{}.Text(host).Int(port).Bool(server).Int(int(timeout.Milliseconds())).Int(fd).Int(workers).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_tcp(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return 0, 0, err
	}
	return Store(w[0]), int(w[1]), nil
}

// FileStore opens a store that is a file, for a number of ranks.
func FileStore(path string, ranks int) (Store, *Error) {
	in, n := Words{}.Text(path).Int(ranks).c()
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
	in, n := Words{uint64(s)}.Text(prefix).c()
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
	in, n := Words{uint64(s)}.Text(key).Text(value).c()
	var out [Room]uint64
	_, err := result(int64(C.gl_store_set(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	return err
}

// CompareSet sets a key's value if it is expected ("": if there is none) and returns the value that it has then.
func (s Store) CompareSet(key, expected, desired string) (string, *Error) {
	in, n := Words{uint64(s)}.Text(key).Text(expected).Text(desired).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_swap(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Get returns a key's value, and blocks as long as there is none.
func (s Store) Get(key string) (string, *Error) {
	in, n := Words{uint64(s)}.Text(key).c()
	var out [Room]uint64
	w, err := result(int64(C.gl_store_get(in, n, (*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return "", err
	}
	return text(w), nil
}

// Add adds to the number under a key and returns the sum.
func (s Store) Add(key string, amount int64) (int64, *Error) {
	in, n := Words{uint64(s)}.Text(key).Int(int(amount)).c()
	var out [Room]uint64
	return number(result(int64(C.gl_store_add(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
}

// Check reports whether all keys have values.
func (s Store) Check(keys ...string) (bool, *Error) {
	w := Words{uint64(s)}.Int(len(keys))
	for _, k := range keys {
		w = w.Text(k)
	}
	in, n := w.c()
	var out [Room]uint64
	v, err := number(result(int64(C.gl_store_check(in, n, (*C.uint64_t)(&out[0]), Room)), out[:]))
	return v != 0, err
}

// Delete removes a key and reports whether it was there.
func (s Store) Delete(key string) (bool, *Error) {
	in, n := Words{uint64(s)}.Text(key).c()
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
