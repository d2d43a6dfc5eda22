package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// inputVariable names the file from which rank 0 reads the driver's lines: ranks that are processes have no standard input.
const inputVariable = "BENCH_INPUT"

// ranks answers the driver's lines with the time of a step that n ranks do together: a workload of find's, with each rank a batch of
// its own. The kind is "goroutines" or "processes"; what the driver reads as "cpu" is the processor time of all ranks.
func ranks(model, kind, n string) error {
	if os.Getenv(inputVariable) == "" {
		if err := os.Setenv(inputVariable, fmt.Sprintf("/proc/%d/fd/0", os.Getpid())); err != nil {
			return err
		}
	}
	cfg := lite.Config{Accelerator: "cpu", Devices: lite.Devices(n)}
	switch kind {
	case "goroutines":
		cfg.Strategy = "ddp_spawn"
	case "processes":
		cfg.Strategy = "ddp"
	default:
		return fmt.Errorf("ranks are goroutines or processes, not %q", kind)
	}
	return lite.Run(context.Background(), cfg, func(_ context.Context, l *lite.Lite) error {
		var err error
		torch.WithNumThreads(threads(), func() { err = serveTogether(l, model, kind == "processes") })
		return err
	})
}

// serveTogether is serve for several ranks: rank 0 speaks with the driver and tells the others how many steps to do.
func serveTogether(l *lite.Lite, model string, processes bool) error {
	w, err := find(model, "lite", l)
	if err != nil {
		return err
	}
	measure := func(n int) (wall, cpu float64) {
		l.Barrier()
		wall, cpu = w.measure(n)
		if processes {
			cpu = lite.Sum(l, cpu)
		}
		return wall, cpu
	}
	n, us := 1, 0.0
	for us < 1e5 {
		n *= 2
		wall, _ := measure(n)
		us = lite.Broadcast(l, wall, 0)
	}
	n = max(3, int(float64(n)*1e5/us))
	if l.GlobalRank() != 0 {
		for lite.Broadcast(l, false, 0) {
			measure(n)
		}
		return nil
	}
	in, err := os.Open(os.Getenv(inputVariable))
	if err != nil {
		return err
	}
	defer in.Close()
	return conduct(l, in, func() {
		wall, cpu := measure(n)
		report(map[string]any{"value": wall / float64(n), "cpu": cpu / float64(n)})
	})
}

// conduct has all ranks do f for each line of the driver's.
func conduct(l *lite.Lite, in io.Reader, f func()) error {
	report(map[string]any{"ready": true})
	lines := bufio.NewScanner(in)
	for lines.Scan() && strings.TrimSpace(lines.Text()) != "quit" {
		lite.Broadcast(l, true, 0)
		f()
	}
	lite.Broadcast(l, false, 0)
	return lines.Err()
}

// wide parses the name of a tower of 24 equal layers, "wide1024", which has 25 million parameters.
func wide(name string) (width int, ok bool) {
	digits, ok := strings.CutPrefix(name, "wide")
	if !ok {
		return 0, false
	}
	width, err := strconv.Atoi(digits)
	return width, err == nil
}
