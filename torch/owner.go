package torch

import (
	"sync"

	"github.com/golite/golite/cgotorch"
)

// owners are what WithOwner was given, by the token of the scope that it was called in.
var owners sync.Map

// WithOwner runs f, the part of a RunRank's function for which Owner returns owner. golite's own packages find an
// operation's rank by it.
func WithOwner(owner any, f func()) {
	token := cgotorch.Scope()
	owners.Store(token, owner)
	defer owners.Delete(token)
	f()
}

// Owner returns what WithOwner was given on the calling goroutine; nil outside of WithOwner, and inside of NoScope.
func Owner() any {
	for s := scopeAt(cgotorch.Scope()); s != nil; s = scopeAt(s.parent) {
		if !s.root {
			continue
		}
		if owner, ok := owners.Load(s.token); ok {
			return owner
		}
	}
	return nil
}
