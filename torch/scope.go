package torch

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
)

// scope holds the handles that were made in it. It belongs to the goroutine that opened it, which is locked to its
// thread meanwhile: a new tensor joins the scope of the thread's token.
type scope struct {
	token     uint64
	parent    uint64
	goroutine uint64 // who opened the outermost scope of this thread
	root      bool   // a rank's own: tensors made directly in it belong to the collector
	device    Device // of a WithDevice, whose tensors join the scope around it
	log       []cgotorch.Handle
	full      int   // the length at which the log is cleared of handles that are gone
	held      int64 // the cost of tensors that only the scope's end frees
}

// Without gradients nothing else would free an activation before the scope's end, and a function can't control how long
// the scope is in which it is called. So the end of a scope frees few tensors that the collector may not: scopeHolds
// bytes in all with objectBytes for each, none of them big. A cleanup for each tensor would double what a small
// operation costs.
const (
	scopeHolds = 8 << 20
	scopeLog   = 1 << 13 // entries of a log before it is first cleared
)

// join adds a handle to the scope, and reports whether only the scope's end is to free it.
func (s *scope) join(h cgotorch.Handle, bytes int64) bool {
	s.log = append(s.log, h)
	if bytes < cgotorch.BigTensor && s.held < scopeHolds {
		s.held += bytes + objectBytes
		return true
	}
	if len(s.log) >= max(s.full, scopeLog) {
		s.log = s.log[:cgotorch.Sift(s.log)]
		s.full = 2 * len(s.log)
	}
	return false
}

// Scopes are found by token: the place in a table, and a count so that a token is never used again.
const maxScopes = 1 << 14

var (
	scopes    [maxScopes]atomic.Pointer[scope]
	scopeLock sync.Mutex
	scopeNext uint64
	scopeFree []*scope
)

// scopeAt finds an open scope by token; nil if there is none.
func scopeAt(token uint64) *scope {
	if token == 0 {
		return nil
	}
	if s := scopes[token%maxScopes].Load(); s != nil && s.token == token {
		return s
	}
	return nil
}

// scopeOf is the scope that a new tensor joins: none in a rank's root, the one around in a WithDevice.
func scopeOf(token uint64) *scope {
	for {
		s := scopeAt(token)
		if s == nil || s.root {
			return nil
		}
		if s.device.Type == 0 {
			return s
		}
		token = s.parent
	}
}

// openScope makes a new scope the thread's. The goroutine must be locked to the thread.
func openScope(root bool) *scope {
	parent := cgotorch.Scope()
	if parent == 0 {
		enterThread()
	}
	s := allocScope()
	s.parent, s.root, s.device = parent, root, Device{}
	if p := scopeAt(parent); p != nil {
		s.goroutine = p.goroutine
	} else {
		s.goroutine = goroutineID()
	}
	cgotorch.SetScope(s.token)
	return s
}

func allocScope() *scope {
	scopeLock.Lock()
	defer scopeLock.Unlock()
	var s *scope
	if n := len(scopeFree); n > 0 {
		s, scopeFree = scopeFree[n-1], scopeFree[:n-1]
	} else {
		s = &scope{}
	}
	for range maxScopes {
		scopeNext++
		if at := scopeNext % maxScopes; scopeNext != 0 && scopes[at].Load() == nil {
			s.token = scopeNext
			scopes[at].Store(s)
			return s
		}
	}
	panic(&Error{Op: "scope", Message: "more than 16383 scopes are open at once: something opens them and never returns"})
}

// close releases what was made in the scope, and in those still open inside it, and makes the scope around it the
// thread's again. Closing by token and not by depth is what keeps an order of closing that is not the reverse of
// opening (a panic, an abandoned iterator) from freeing another scope's tensors.
func (s *scope) close() {
	token := s.token
	now := cgotorch.Scope()
	for at := now; at != 0; {
		inner := scopeAt(at)
		if inner == nil {
			break
		}
		if inner == s {
			for now != token {
				child := scopeAt(now)
				now = child.parent
				child.end()
			}
			cgotorch.SetScope(s.parent)
			break
		}
		at = inner.parent
	}
	s.end()
}

// end frees the log and gives the scope back.
func (s *scope) end() {
	if s.parent == 0 {
		lockedThreads.Add(-1)
	}
	cgotorch.Drop(s.log)
	if cap(s.log) > 1<<16 {
		s.log = nil
	}
	s.log, s.full, s.held = s.log[:0], 0, 0
	scopeLock.Lock()
	defer scopeLock.Unlock()
	scopes[s.token%maxScopes].Store(nil)
	s.token = 0
	scopeFree = append(scopeFree, s)
}

// Scope runs f and then releases every tensor that f made, in one call, except those that it kept. The
// goroutine is locked to its thread while f runs. Scopes nest. A panic of f passes through it; the scope
// is closed then as well.
//
//	torch.Scope(func() {
//		loss := F.MSELoss(model.Forward(x), y)
//		loss.Backward()
//		opt.Step()
//	})
func Scope(f func()) {
	notNil("torch.Scope", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openScope(false)
	defer s.close()
	f()
}

// ScopeOf is Scope for a function with a result: the tensors in it (a *Tensor, or struct fields, slices and
// maps that hold some) that were made in the scope pass to the scope around, or to the collector where there is none.
// Those that belong elsewhere, such as a module's parameters, stay where they are.
func ScopeOf[T any](f func() T) T {
	result, _ := ScopeTransfer(f)
	return result
}

// ScopeTransfer is ScopeOf that also returns the tensors of the result that were made in the scope, for those who hand
// them on (LoopScope.Adopt).
func ScopeTransfer[T any](f func() T) (result T, made []*Tensor) {
	notNil("torch.ScopeOf", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := openScope(false)
	defer s.close()
	result = f()
	home := s.parent
	if scopeOf(home) == nil {
		home = 0
	}
	EachTensor(result, func(t *Tensor) {
		if s.contains(t) {
			t.moveTo(home)
			made = append(made, t)
		}
	})
	return result, made
}

// contains reports whether a tensor was made in the scope and is still its own.
func (s *scope) contains(t *Tensor) bool {
	h := t.h()
	for i := len(s.log) - 1; i >= 0; i-- {
		if s.log[i] == h {
			return true
		}
	}
	return false
}

// RunRank runs f as a rank's or a worker's own function: locked to its thread, which makes the bodies of loader loops
// scopes. What f makes outside of any scope belongs to the collector. Where as many run at once as Go has processors
// (GOMAXPROCS), Go is given one more, for good: it keeps Go's monitor asleep while all of them are in kernels.
func RunRank(f func()) {
	notNil("torch.RunRank", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enterRoot()
	defer leaveRoot()
	s := openScope(true)
	defer s.close()
	f()
}

// LoopScope is the scope of a loop's body, for iterators: each Next ends the scope of the body before.
// It does nothing where the thread isn't locked by RunRank or Scope, or where another goroutine locked it
// (iter.Pull runs its iterator on one of its own); tensors then belong to the collector.
type LoopScope struct {
	open   bool
	active *scope
}

// NewLoopScope returns a LoopScope of the calling goroutine, with no scope open yet.
func NewLoopScope() *LoopScope {
	around := scopeAt(cgotorch.Scope())
	return &LoopScope{open: around != nil && around.goroutine == goroutineID()}
}

// Next ends the body before, if there was one, and opens a scope for the next.
func (l *LoopScope) Next() {
	l.End()
	if l.open {
		l.active = openScope(false)
	}
}

// Adopt moves tensors that were made for the body elsewhere, by a worker, into the open scope.
func (l *LoopScope) Adopt(made []*Tensor) {
	if l.active == nil {
		return
	}
	for _, t := range made {
		t.moveTo(l.active.token)
	}
}

// End ends the body's scope.
func (l *LoopScope) End() {
	if l.active != nil {
		l.active.close()
		l.active = nil
	}
}

// NoScope runs f with no scope: what it makes belongs to the collector. It is for what is made inside a
// loop's body and outlives it: an optimizer's moments on the first step, a cache. The goroutine is locked
// to its thread while f runs.
func NoScope(f func()) {
	notNil("torch.NoScope", f != nil)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if d := defaultDevice(); d.Type != 0 { // the scopes around know it
		s := openScope(true)
		s.device = d
		defer s.close()
		f()
		return
	}
	before := cgotorch.SetScope(0)
	defer cgotorch.SetScope(before)
	f()
}

// goroutineID reads the number that a goroutine's stack trace begins with: Go gives it in no other way.
func goroutineID() uint64 {
	var b [40]byte
	s := b[len("goroutine "):runtime.Stack(b[:], false)]
	n := bytes.IndexByte(s, ' ')
	id, _ := strconv.ParseUint(string(s[:max(n, 0)]), 10, 64)
	return id
}
