package lite

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
)

// machine is what a Config is resolved against.
type machine interface {
	// accelerators are the registered kinds of hardware, which find their devices.
	accelerators() []accelerator.Entry
	// cores is the number of CPU cores.
	cores() int
	// hasCommand reports whether a command is installed.
	hasCommand(name string) bool
	// lookup reads an environment variable.
	lookup(key string) (string, bool)
	// readFile reads the file that -config or LITE_CONFIG names: a regular one of a megabyte at most.
	readFile(path string) ([]byte, error)
}

// thisMachine is the machine that the program runs on.
type thisMachine struct{}

func (thisMachine) accelerators() []accelerator.Entry { return accelerator.Entries() }

func (thisMachine) cores() int { return runtime.NumCPU() }

func (thisMachine) hasCommand(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func (thisMachine) lookup(key string) (string, bool) { return os.LookupEnv(key) }

func (thisMachine) readFile(path string) ([]byte, error) { return regular.ReadFile(path, 1<<20) }

// threadsPerRank divides a machine's cores among its ranks: what each sets as its number of intra-op threads. A preset
// OMP_NUM_THREADS is kept.
func threadsPerRank(cores, ranks int, lookup cluster.Lookup) int {
	if text, ok := lookup("OMP_NUM_THREADS"); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n > 0 {
			return n
		}
	}
	return max(1, cores/max(1, ranks))
}
