package launch

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

var (
	registryLock sync.RWMutex
	registry     = map[string]Launcher{}
)

func init() {
	for _, l := range []Launcher{Here{}, Goroutines{}, Processes{}, External{}} {
		Register(l)
	}
}

// Register makes a launcher known by its name, for strategies that name it in their plan. It panics if the name is empty
// or taken.
func Register(l Launcher) {
	registryLock.Lock()
	defer registryLock.Unlock()
	name := l.Name()
	if other, taken := registry[name]; taken || name == "" {
		panic(fmt.Sprintf("launch.Register: a %T is named %q: want a name that is not empty, and not another launcher's (%T)", l, name, other))
	}
	registry[name] = l
}

// Named returns the launcher that was registered under a name.
func Named(name string) (l Launcher, known bool) {
	registryLock.RLock()
	defer registryLock.RUnlock()
	l, known = registry[name]
	return l, known
}

// Names returns the names of all launchers, sorted.
func Names() []string {
	registryLock.RLock()
	defer registryLock.RUnlock()
	return slices.Sorted(maps.Keys(registry))
}
