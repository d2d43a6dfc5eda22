package lite

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// machine is what a Config is resolved against.
type machine interface {
	// cuda returns the names of the CUDA devices that libtorch sees (after CUDA_VISIBLE_DEVICES), or why there are none.
	cuda() (names []string, why string)
	// mps reports whether there is an Apple GPU.
	mps() bool
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

func (thisMachine) cuda() ([]string, string) {
	var names []string
	for i := range cuda.DeviceCount() {
		names = append(names, cuda.DeviceName(i))
	}
	return names, cuda.Why()
}

// mps asks libtorch itself: only its builds for macOS have Apple's GPUs. Nobody has tried it yet.
func (thisMachine) mps() bool {
	if runtime.GOOS != "darwin" {
		return false
	}
	return torch.Try(func() { torch.Options{Device: torch.Device{Type: torch.MPSType}}.Zeros(1).Release() }) == nil
}

func (thisMachine) cores() int { return runtime.NumCPU() }

func (thisMachine) hasCommand(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func (thisMachine) lookup(key string) (string, bool) { return os.LookupEnv(key) }

func (thisMachine) readFile(path string) ([]byte, error) { return regular.ReadFile(path, 1<<20) }

// describe says what a machine has, for messages.
func describe(m machine) string {
	parts := []string{fmt.Sprintf("%d CPU cores", m.cores())}
	names, why := m.cuda()
	switch {
	case len(names) > 0:
		list := make([]string, len(names))
		for i, n := range names {
			list[i] = fmt.Sprintf("cuda:%d (%s)", i, n)
		}
		parts = append(parts, strings.Join(list, ", "))
	case why != "":
		parts = append(parts, "no CUDA device ("+why+")")
	default:
		parts = append(parts, "no CUDA device")
	}
	for _, key := range []string{"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} {
		if v, ok := m.lookup(key); ok {
			parts = append(parts, fmt.Sprintf("%s=%q", key, v))
		}
	}
	if m.mps() {
		parts = append(parts, "mps")
	}
	return strings.Join(parts, ", ")
}

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
