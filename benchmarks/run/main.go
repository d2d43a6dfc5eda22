// Command run measures golite beside what a user would pick instead: libtorch's C++ frontend, PyTorch, Lightning Fabric and GoMLX. All
// but the last run on the same libtorch.
//
//	go run ./benchmarks/run [-only REGEXP] [-rounds N] [-threads N] [-list]
//	go run ./benchmarks/run -device cuda [-only REGEXP] [-rounds N] [-work FILE -python FILE]
//
// With -device it measures what a GPU computes, and nothing else; -device cpu runs the same on tiny workloads, to see that they run.
//
// The contestants of a group take turns, round by round, and each figure is the median of the rounds; the spread is the distance of the
// quartiles over the median. Beside the time on the wall it gives the processor time, which says more on a machine that others use too.
// It prints one table for people, and appends one JSON line a measurement to a file in -out, named after the day and the machine.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"text/tabwriter"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only the groups that this expression matches")
	flag.IntVar(&o.rounds, "rounds", 11, "rounds of the steps; whole processes run a third as often, three times at least")
	flag.IntVar(&o.threads, "threads", 1, "threads of one operation, on all sides")
	flag.BoolVar(&o.list, "list", false, "print the groups' names and what they measure, and end")
	flag.StringVar(&o.device, "device", "", "measure the steps that a device computes: cuda, or cpu to see that they run")
	flag.StringVar(&o.work, "work", "", "with -device: the program benchmarks/work, built before")
	flag.StringVar(&o.python, "python", "", "with -device: a Python with PyTorch and Lightning")
	flag.StringVar(&o.out, "out", "benchmarks/results", "folder of the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	only, out string

	device, work, python string

	rounds  int
	threads int
	list    bool
}

func run(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if o.list {
		return list(os.Stdout)
	}
	var t tools
	if o.device != "" {
		t, err = deviceTools(ctx, o)
	} else {
		t, err = buildTools(ctx)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(t.scratch)
	results, err := openResults(o.out, o.threads)
	if err != nil {
		return err
	}
	defer results.close()
	if results.switches, err = switchesOf(ctx, t.work); err != nil {
		return err
	}
	all := groups(t, o.threads)
	if o.device != "" {
		all, results.threads = deviceGroups(t, o.device), deviceThreads
		if results.card, err = card(ctx, t, o.device); err != nil {
			return err
		}
	}
	err = measureAll(ctx, o, only, all, results)
	results.print(os.Stdout) // what was measured before an error counts
	return err
}

func measureAll(ctx context.Context, o options, only *regexp.Regexp, all []group, results *results) error {
	for _, g := range all {
		if !only.MatchString(g.name) {
			continue
		}
		begin := time.Now()
		samples, err := g.measure(ctx, cmp.Or(g.rounds, o.rounds))
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		for _, r := range g.rows {
			if err := results.add(r, samples); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", g.name, time.Since(begin).Seconds())
	}
	if o.device != "" || !only.MatchString(buildGroup) {
		return nil
	}
	begin := time.Now()
	err := buildRows(ctx, results)
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", buildGroup, time.Since(begin).Seconds())
	return err
}

// list names the groups, for -only.
func list(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, g := range append(groups(tools{}, 1), deviceGroups(tools{}, "cuda")...) {
		for _, r := range g.rows {
			peer := ""
			if r.peer != "" {
				peer = " against " + r.peer
			}
			fmt.Fprintf(w, "%s\t%s: %s%s\n", g.name, r.name, r.ours, peer)
		}
	}
	fmt.Fprintf(w, "%s\tbuild times and sizes\n", buildGroup)
	return w.Flush()
}
