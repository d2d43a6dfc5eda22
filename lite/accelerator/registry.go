package accelerator

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/torch"
)

// Entry is an Accelerator that is known by name.
type Entry struct {
	Accelerator Accelerator

	// Aliases are further names, which several accelerators may share: "gpu" is the one of mps and cuda that has devices.
	Aliases []string

	// Priority decides between accelerators that have devices, for "auto" and for aliases: the highest is taken. A
	// negative one is left out of "auto". The CPU's is 0, cuda's 10 and mps's 20.
	Priority int

	// Variables are environment variables that decide which devices are visible: messages show them.
	Variables []string
}

// registered is an Entry, and the function that has registered it.
type registered struct {
	Entry
	by string
}

var registry = struct {
	sync.Mutex
	entries []registered
	refused map[string]string // the problem by name
}{refused: map[string]string{}}

// Register makes an accelerator known under its name. It is called by the init function of the package that has the
// accelerator. Names are compared without case. A name that is taken panics.
func Register(e Entry) {
	const operation = "accelerator.Register"
	if e.Accelerator == nil {
		torch.Fail(operation, "the Accelerator is nil")
	}
	by := caller()
	names := append([]string{e.Accelerator.Name()}, e.Aliases...)
	for _, n := range names {
		checkName(operation, n)
	}
	registry.Lock()
	taken := taken(names)
	if taken == "" {
		registry.entries = append(registry.entries, registered{e, by})
		slices.SortFunc(registry.entries, func(a, b registered) int {
			return strings.Compare(normal(a.Accelerator.Name()), normal(b.Accelerator.Name()))
		})
	}
	registry.Unlock()
	if taken != "" {
		torch.Fail(operation, "%s, of %s, %s: use another name", names[0], by, taken)
	}
}

// taken describes what has one of the names, "" if nothing has. Aliases are shared with other aliases only.
func taken(names []string) string {
	for i, n := range names {
		n = normal(n)
		if _, refused := registry.refused[n]; refused {
			return "the name " + n + " was given to Refuse"
		}
		for _, have := range registry.entries {
			alias := slices.ContainsFunc(have.Aliases, func(a string) bool { return normal(a) == n })
			if normal(have.Accelerator.Name()) == n || i == 0 && alias {
				return "the name " + n + " was registered by " + have.by
			}
		}
	}
	return ""
}

func checkName(operation, name string) {
	if n := normal(name); n == "" || n == "auto" {
		torch.Fail(operation, "the name %q is lite's own: it stands for the accelerator that lite chooses", name)
	}
}

// Refuse makes names known that can't be used; problem says why, and what to do instead.
func Refuse(problem string, names ...string) {
	const operation = "accelerator.Refuse"
	by := caller()
	for _, n := range names {
		checkName(operation, n)
		registry.Lock()
		taken := taken([]string{n})
		if taken == "" {
			registry.refused[normal(n)] = problem
		}
		registry.Unlock()
		if taken != "" {
			torch.Fail(operation, "%s, of %s, %s: use another name", n, by, taken)
		}
	}
}

// Refused returns why a name can't be used. ok reports whether Refuse was given it.
func Refused(name string) (problem string, ok bool) {
	registry.Lock()
	defer registry.Unlock()
	problem, ok = registry.refused[normal(name)]
	return problem, ok
}

// Entries returns what was registered, sorted by name: the order of packages' init functions does not show.
func Entries() []Entry {
	registry.Lock()
	defer registry.Unlock()
	list := make([]Entry, len(registry.entries))
	for i, e := range registry.entries {
		list[i] = e.Entry
	}
	return list
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
