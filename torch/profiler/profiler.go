package profiler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// Options are Run's optional arguments.
type Options struct {
	Shapes     bool // note the shapes of operations' inputs (record_shapes)
	Memory     bool // note allocations (profile_memory)
	FLOPs      bool // estimate the floating-point operations of matrix products and convolutions (with_flops)
	AllThreads bool // note what other goroutines do as well: loaders' workers, other ranks of the process
	NoCUDA     bool // leave out the GPU's side
}

// running is set while a Run is under way: libtorch has one profiler.
var running atomic.Bool

// Run runs f and notes what libtorch does for it. The trace goes to path, in Chrome's format, unless path is empty; a
// regular file that is there is replaced when the trace is whole. The goroutine is locked to its thread while f runs. A
// panic of f passes through, and leaves no trace. One Run at a time is possible in a process.
func Run(path string, f func(), opts ...Options) (*Profile, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("profiler.Run: %w", err)
	}
	if !running.CompareAndSwap(false, true) {
		return nil, errors.New("profiler.Run: another Run is under way in this process: libtorch has one profiler")
	}
	defer running.Store(false)
	part, err := partOf(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(part) // it was renamed, or is of no use
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cgotorch.ProfilerStart(o.flags()); err != nil {
		return nil, fmt.Errorf("profiler.Run: %s", err.Message)
	}
	stopped := false
	defer func() {
		if !stopped {
			_, _ = cgotorch.ProfilerStop("")
		}
	}()
	f()
	stopped = true
	events, cerr := cgotorch.ProfilerStop(part)
	if cerr != nil {
		return nil, fmt.Errorf("profiler.Run: %s", cerr.Message)
	}
	if path != "" {
		if err := publish(part, path); err != nil {
			return nil, err
		}
	}
	return newProfile(events), nil
}

func (o Options) flags() (flags uint32) {
	for _, x := range []struct {
		on   bool
		flag uint32
	}{{o.Shapes, cgotorch.ProfileShapes}, {o.Memory, cgotorch.ProfileMemory}, {o.FLOPs, cgotorch.ProfileFLOPs},
		{o.AllThreads, cgotorch.ProfileAllThreads}, {!o.NoCUDA && cuda.IsAvailable(), cgotorch.ProfileCUDA}} {
		if x.on {
			flags |= x.flag
		}
	}
	return flags
}

// partOf makes the file that kineto writes, beside path: it says nothing itself when it can't write one.
func partOf(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if err := replaceable(path); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".trace-*.json")
	if err != nil {
		return "", fmt.Errorf("profiler.Run: the trace can't be written to %s: %w", path, err)
	}
	return f.Name(), f.Close()
}

// replaceable refuses a named pipe, a socket, a device or a folder in the place of the trace.
func replaceable(path string) error {
	st, err := os.Stat(path)
	if err == nil {
		err = regular.Check(path, st.Mode())
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("profiler.Run: the trace can't be written: %w", err)
	}
	return nil
}

func publish(part, path string) error {
	if st, err := os.Stat(part); err != nil || st.Size() == 0 {
		return fmt.Errorf("profiler.Run: libtorch wrote no trace to %s: is the disk full?", path)
	}
	if err := os.Chmod(part, 0o644); err != nil {
		return fmt.Errorf("profiler.Run: %w", err)
	}
	if err := replaceable(path); err != nil { // once more: f took its time
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("profiler.Run: %w", err)
	}
	return nil
}

// Range runs f as a named range of the trace (torch.profiler.record_function). Where no Run is under way it only runs
// f. The goroutine is locked to its thread while f runs.
func Range(name string, f func()) {
	if !running.Load() {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := cgotorch.EnterRange(name)
	defer cgotorch.ExitRange(r)
	f()
}

// Event is one thing that happened: an operation, a range, a kernel.
type Event struct {
	Name     string           // the operator's, the range's or the kernel's
	Device   torch.DeviceType // where its time was spent
	Thread   uint64           // a number for the thread that it ran on
	Start    time.Duration    // since the first event
	Duration time.Duration    // from its start to its end
}

// Profile is what a Run noted.
type Profile struct {
	Events []Event // in the order of their starts
}
