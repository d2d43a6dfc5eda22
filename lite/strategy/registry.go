package strategy

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/torch"
)

// entry is a name that is known.
type entry struct {
	make    func() Strategy // nil: the name is refused
	problem string          // of a refused name
	by      string          // the function that has registered it
}

var registry = struct {
	sync.Mutex
	entries map[string]entry
	listed  []string // in the order of Register
}{entries: map[string]entry{}}

// Register makes a strategy known under a name and further ones; f returns it with its default settings. It is called
// by the init function of the package that has the strategy. Names are compared without case. A name that is taken
// panics.
func Register(name string, f func() Strategy, aliases ...string) {
	if f == nil {
		torch.Fail("strategy.Register", "%q: the function is nil", name)
	}
	by := caller()
	for _, n := range append([]string{name}, aliases...) {
		add("strategy.Register", n, entry{make: f, by: by})
	}
	registry.Lock()
	defer registry.Unlock()
	registry.listed = append(registry.listed, normal(name))
}

// Refuse makes names known that can't be used; problem says why, and what to do instead.
func Refuse(problem string, names ...string) {
	by := caller()
	for _, n := range names {
		add("strategy.Refuse", n, entry{problem: problem, by: by})
	}
}

func add(operation, name string, e entry) {
	n := normal(name)
	if n == "" || n == "auto" {
		torch.Fail(operation, "the name %q is lite's own: it stands for the strategy that lite chooses", name)
	}
	registry.Lock()
	have, taken := registry.entries[n]
	if !taken {
		registry.entries[n] = e
	}
	registry.Unlock()
	if taken {
		torch.Fail(operation, "the name %q, of %s, was registered by %s: use another", name, e.by, have.by)
	}
}

// caller is the function that has called Register or Refuse.
func caller() string {
	pc, _, _, ok := runtime.Caller(2)
	if !ok {
		return "an unknown function"
	}
	return runtime.FuncForPC(pc).Name()
}

func normal(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// New returns the strategy that is registered under a name, with its default settings. ok reports whether there is one.
func New(name string) (s Strategy, ok bool) {
	registry.Lock()
	e := registry.entries[normal(name)]
	registry.Unlock()
	if e.make == nil {
		return nil, false
	}
	return e.make(), true
}

// Refused returns why a name can't be used. ok reports whether Refuse was given it.
func Refused(name string) (problem string, ok bool) {
	registry.Lock()
	defer registry.Unlock()
	e, known := registry.entries[normal(name)]
	return e.problem, known && e.make == nil
}

// Names returns the names that were registered, in the order of registration, without aliases.
func Names() []string {
	registry.Lock()
	defer registry.Unlock()
	return slices.Clone(registry.listed)
}
