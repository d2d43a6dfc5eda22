// Package cgotorch is golite's interface to libtorch: a thin C++ shim and the one Go package that imports "C". It is
// not meant for users: package torch is.
//
// Every operator goes through one entry, Call: its schema is found once, its arguments travel in one
// flat buffer of words, and libtorch's dispatcher runs it boxed, on any device, with autograd and
// autocast. What the dispatcher can't reach has functions of its own: backward and hooks, grad mode
// and autocast, generators, thread counts, process groups.
//
// Go holds handles, never pointers to tensors. A handle whose tensor was released is refused with an
// error, whatever thread uses it. No C++ exception leaves the shim: each call returns its result or
// its *Error, both from the same cgo call, since a goroutine may be on another thread at the next.
package cgotorch

//go:generate go run ../internal/genconst
