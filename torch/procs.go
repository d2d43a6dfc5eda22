package torch

import (
	"os"
	"runtime"
	"sync"

	"github.com/golite/golite/cgotorch"
)

// Go's monitor takes the P of a goroutine that has been in C for 20 microseconds, unless another P is idle, and as long
// as it finds one to take it polls 50,000 times a second. Where ranks and workers are as many as processors, every
// kernel is such a goroutine, and the monitor runs on a core that one of them needs: two ranks on two cores lost a
// fifth of a small step to it. With one P more than there are of them, one is always idle.
var roots struct {
	sync.Mutex
	n int
}

// enterRoot counts a RunRank in, and raises GOMAXPROCS where needed. A GOMAXPROCS in the environment is the user's own
// choice and stands.
func enterRoot() {
	roots.Lock()
	defer roots.Unlock()
	roots.n++
	if roots.n >= runtime.GOMAXPROCS(0) && os.Getenv("GOMAXPROCS") == "" && cgotorch.Overridden("gomaxprocs") {
		runtime.GOMAXPROCS(roots.n + 1)
	}
}

// leaveRoot counts it out. GOMAXPROCS stays: what was needed once will be again.
func leaveRoot() {
	roots.Lock()
	defer roots.Unlock()
	roots.n--
}
