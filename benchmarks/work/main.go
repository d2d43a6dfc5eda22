// Command work is golite's side of the benchmarks: one workload a process, which a driver asks to measure whenever it is its turn.
//
//	work WORKLOAD [MODE]
//	work ranks WORKLOAD goroutines|processes COUNT
//	work device WORKLOAD MODE cpu|cuda
//	work card
//	work switches
//	work checkpoint|load DIR
//
// It warms up, prints {"ready":true}, and answers each line that it reads with {"value":…,"cpu":…}: the microseconds of one step,
// and those of all processors that it took, over a block of steps that takes about a tenth of a second (on a device half a second). The mode says how: "torch"
// (golite's packages without lite), "fused" (the same with libtorch's fused optimizer), "lite". "ranks" measures a step that several
// ranks do together, "device" one that a GPU computes (mlp and gpt2 as "lite" or "captured" steps, "loader" with its batches "read" or
// "ready"; on cpu they are tiny; with BENCH_TRACE=FILE it writes libtorch's profile of five steps there first), "checkpoint" a save and a load. "card"
// prints the GPU's name, "switches" which of the process-wide effects that bear on times are on. Workloads that measure a
// whole process ("start", "epoch", "eval", "trains", "scope", "long", "sampler", "loader", "load") print one line and end.
// One operation has as many threads as OMP_NUM_THREADS says, one where it doesn't.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

func main() {
	if err := work(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(args []string) error {
	mode := "torch"
	if len(args) == 0 || len(args) > 2 && args[0] != "ranks" && args[0] != "loader" && args[0] != "device" {
		return fmt.Errorf("usage: work WORKLOAD [MODE]")
	}
	if len(args) > 1 {
		mode = args[1]
	}
	stop, err := profile(os.Getenv("BENCH_CPUPROFILE"))
	if err != nil {
		return err
	}
	defer stop()
	torch.SetNumThreads(threads())
	switch name := args[0]; name {
	case "start":
		return start()
	case "epoch":
		return epoch(mode)
	case "eval":
		return evaluate(mode)
	case "trains":
		return trains(mode)
	case "scope":
		return oneScope(mode)
	case "long":
		return long(mode)
	case "sampler":
		return samples(mode)
	case "loader":
		if len(args) != 3 {
			return fmt.Errorf("usage: work loader SAMPLES ordered|shuffled")
		}
		return loading(args[1], args[2] == "shuffled")
	case "card":
		return card()
	case "switches":
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"mkl_avx512": torch.MKLAVX512(), "overrides": os.Getenv("GOLITE_OVERRIDES")})
	case "device":
		if len(args) != 4 {
			return fmt.Errorf("usage: work device WORKLOAD MODE cpu|cuda")
		}
		return onDevice(args[1], args[2], args[3])
	case "ranks":
		if len(args) != 4 {
			return fmt.Errorf("usage: work ranks WORKLOAD goroutines|processes COUNT")
		}
		return ranks(args[1], args[2], args[3])
	case "checkpoint":
		return checkpoint(mode)
	case "saved":
		return saved(mode)
	case "load":
		return load(mode)
	default:
		return steps(name, mode)
	}
}

// steps answers the driver's lines with the time of a step.
func steps(name, mode string) error {
	if mode != "lite" {
		var err error
		torch.RunRank(func() { err = serve(name, mode, nil) })
		return err
	}
	return lite.Run(context.Background(), lite.Config{Accelerator: "cpu", Devices: "1"}, func(_ context.Context, l *lite.Lite) error {
		var err error
		torch.WithNumThreads(threads(), func() { err = serve(name, mode, l) })
		return err
	})
}

func serve(name, mode string, l *lite.Lite) error {
	w, err := find(name, mode, l)
	if err != nil {
		return err
	}
	return answer(w.measure, byProcessor, aTenth, &err)
}

// byProcessor and byClock choose which time it is that a block of steps is to take.
func byProcessor(_, cpu float64) float64 { return cpu }
func byClock(wall, _ float64) float64    { return wall }

// aTenth is how many microseconds a block of steps takes, about.
const aTenth = 1e5

// answer warms up, and gives the driver the time of a step whenever it asks, over blocks of some microseconds. failed is what a measurement that failed
// sets.
func answer(measure func(n int) (wall, cpu float64), by func(wall, cpu float64) float64, block float64, failed *error) error {
	n := 1
	us := by(measure(n))
	for ; us < block && *failed == nil; us = by(measure(n)) {
		n *= 2
	}
	if *failed != nil {
		return *failed
	}
	n = max(3, int(float64(n)*block/us))
	report(map[string]any{"ready": true})
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if trimmed := strings.TrimSpace(in.Text()); trimmed == "quit" {
			break
		}
		wall, cpu := measure(n)
		if *failed != nil {
			return *failed
		}
		report(map[string]any{"value": wall / float64(n), "cpu": cpu / float64(n)})
	}
	return nil
}

// workload is a step, and how it is run many times: each in a scope of its own, as a loader's loop runs it, unless it is a single
// operation, for which one scope holds a hundred.
type workload struct {
	step     func()
	perScope int
}

// measure runs n steps and returns the microseconds that they took: on the wall, and of the process's processor time, which
// includes the collector's threads.
func (w workload) measure(n int) (wall, cpu float64) {
	start, used := time.Now(), processorTime()
	for left := n; left > 0; left -= w.perScope {
		torch.Scope(func() {
			for range min(left, w.perScope) {
				w.step()
			}
		})
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3, (processorTime() - used) / 1e3
}

// processorTime is the nanoseconds that the process's threads have run.
func processorTime() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return math.NaN()
	}
	return float64(t.Nano())
}

// threads is how many one operation has.
func threads() int {
	n, err := strconv.Atoi(os.Getenv("OMP_NUM_THREADS"))
	if err != nil {
		return 1
	}
	return max(1, n)
}

func report(v map[string]any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(b, '\n'))
}

// profile writes a profile of the whole process where the environment asks for one.
func profile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}
