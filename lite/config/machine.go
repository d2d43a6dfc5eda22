package config

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
)

// Machine is what a Config is resolved against. Tests have their own.
type Machine interface {
	// Accelerators are those that can be asked for.
	Accelerators() []accelerator.Entry
	// Cores is the number of CPU cores.
	Cores() int
	// HasCommand reports whether a command is installed.
	HasCommand(name string) bool
	// Lookup reads an environment variable.
	Lookup(key string) (string, bool)
	// ReadFile reads the file that -config or LITE_CONFIG names: a regular one of a megabyte at most.
	ReadFile(path string) ([]byte, error)
}

// ThisMachine is the machine that the program runs on, with the accelerators that are registered.
type ThisMachine struct{}

// Accelerators returns accelerator.Entries.
func (ThisMachine) Accelerators() []accelerator.Entry { return accelerator.Entries() }

// Cores returns runtime.NumCPU.
func (ThisMachine) Cores() int { return runtime.NumCPU() }

// HasCommand looks in PATH.
func (ThisMachine) HasCommand(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// Lookup is os.LookupEnv.
func (ThisMachine) Lookup(key string) (string, bool) { return os.LookupEnv(key) }

// ReadFile refuses what is no regular file, such as a pipe, which could block for good.
func (ThisMachine) ReadFile(path string) ([]byte, error) { return regular.ReadFile(path, 1<<20) }

// describe lists what a machine has, for messages.
func describe(m Machine) string {
	parts := []string{fmt.Sprintf("%d CPU cores", m.Cores())}
	for _, e := range m.Accelerators() {
		a := e.Accelerator
		if a.Name() == fallback {
			continue
		}
		names, err := a.Probe()
		if err != nil {
			parts = append(parts, err.Error())
		}
		for i, name := range names {
			parts = append(parts, fmt.Sprintf("%s:%d (%s)", a.Name(), i, name))
		}
		for _, key := range e.Variables {
			if v, ok := m.Lookup(key); ok {
				parts = append(parts, fmt.Sprintf("%s=%q", key, v))
			}
		}
	}
	return strings.Join(parts, ", ")
}

// threadsPerRank divides a machine's cores among its ranks: the number of intra-op threads that each sets. A preset
// OMP_NUM_THREADS is kept.
func threadsPerRank(cores, ranks int, lookup cluster.Lookup) int {
	if text, ok := lookup("OMP_NUM_THREADS"); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n > 0 {
			return n
		}
	}
	return max(1, cores/max(1, ranks))
}
