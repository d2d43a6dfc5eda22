// Command checkpoint measures how long a state dict of one gigabyte takes to save and to load, here and in PyTorch, turn by turn in
// one run, with the same fsync and the page cache warm.
//
//	go run ./benchmarks/checkpoint -python PYTHON -dir DIR
//
// It prints the median of each, their ratios, and the peak memory of a load over the size of the tensors. The Python side is
// bench.py beside this file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

func main() {
	python := flag.String("python", "python3", "a Python with torch")
	script := flag.String("script", "benchmarks/checkpoint/bench.py", "the Python side")
	dir := flag.String("dir", os.TempDir(), "where the files go")
	mib := flag.Int("mib", 1024, "size of the state dict")
	rounds := flag.Int("rounds", 5, "measurements of each kind")
	peak := flag.String("peak", "", "load this file and print the peak memory (used by the program itself)")
	flag.Parse()
	var err error
	if *peak != "" {
		err = printPeak(*peak)
	} else {
		err = measure(*python, *script, *dir, *mib, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// peer is the Python process: it does what a line says and answers with seconds.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startPeer(python, script string, mib int) (*peer, error) {
	p := &peer{cmd: exec.Command(python, script, strconv.Itoa(mib))}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	return p, p.cmd.Start()
}

func (p *peer) do(verb, path string) (float64, error) {
	if _, err := fmt.Fprintln(p.in, verb, path); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, errors.New("the Python side ended")
	}
	return strconv.ParseFloat(p.out.Text(), 64)
}

func (p *peer) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// state makes a state dict of 64 tensors, as the Python side does.
func state(mib int) *torch.StateDict {
	sd := &torch.StateDict{}
	n := mib << 20 / 4 / 64
	for i := range 64 {
		sd.Set(fmt.Sprintf("layer%d.weight", i), torch.Randn(n/1024, 1024))
	}
	return sd
}

func measure(python, script, dir string, mib, rounds int) (err error) {
	p, err := startPeer(python, script, mib)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	ours, theirs := filepath.Join(dir, "golite.pt"), filepath.Join(dir, "torch.pt")
	defer os.Remove(ours)
	defer os.Remove(theirs)
	sd := state(mib)
	times := map[string][]float64{}
	note := func(kind string, f func() (float64, error)) error {
		s, err := f()
		times[kind] = append(times[kind], s)
		return err
	}
	for round := range rounds + 1 { // the first warms up
		err := errors.Join(
			note("save", func() (float64, error) { return timed(func() error { return serial.SaveStateDict(ours, sd) }) }),
			note("torch.save", func() (float64, error) { return p.do("save", theirs) }),
			note("load", func() (float64, error) { return loadOnce(ours) }),
			note("torch.load", func() (float64, error) { return p.do("load", ours) }),
		)
		if err != nil {
			return err
		}
		if round == 0 {
			clear(times)
		}
	}
	ratio, err := peakRatio(ours, mib)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"mib": mib, "rounds": rounds, "cpus": runtime.NumCPU(),
		"save_s": median(times["save"]), "torch_save_s": median(times["torch.save"]),
		"load_s": median(times["load"]), "torch_load_s": median(times["torch.load"]),
		"save_ratio": median(times["save"]) / median(times["torch.save"]), "load_ratio": median(times["load"]) / median(times["torch.load"]),
		"load_peak_over_size": ratio, "all": times,
	})
}

func timed(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

// loadOnce times a load; freeing the tensors is not part of it, here or in Python.
func loadOnce(path string) (seconds float64, err error) {
	var sd *torch.StateDict
	seconds, err = timed(func() error {
		sd, err = serial.LoadStateDict(path)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, t := range sd.All() {
		t.Release()
	}
	return seconds, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// peakRatio loads in a fresh process: the growth of its peak memory over the size of the tensors.
func peakRatio(path string, mib int) (float64, error) {
	out, err := exec.Command(os.Args[0], "-peak", path).Output()
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return kib / 1024 / float64(mib), err
}

// printPeak prints by how many KiB the process's peak memory grew in a load.
func printPeak(path string) error {
	torch.Randn(8, 8) // libtorch itself is there before
	before, err := peakKiB()
	if err != nil {
		return err
	}
	sd, err := serial.LoadStateDict(path)
	if err != nil {
		return err
	}
	after, err := peakKiB()
	runtime.KeepAlive(sd)
	fmt.Println(after - before)
	return err
}

// peakKiB is the process's peak resident memory.
func peakKiB() (int, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
