// Command run measures golite beside what a user would pick instead: libtorch's C++ frontend, PyTorch, Lightning Fabric and GoMLX. All
// but the last run on the same libtorch.
//
//	go run ./benchmarks/run [-only REGEXP] [-rounds N] [-threads N] [-clean]
//
// The contestants of a group take turns, round by round, and each figure is the median of the rounds; the spread is the distance of the
// quartiles over the median. Beside the time on the wall it gives the processor time, which says more on a machine that others use too.
// It prints one table for people, and appends one JSON line a measurement to a file in -out, named after the day and the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
)

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only the groups that this expression matches")
	flag.IntVar(&o.rounds, "rounds", 11, "rounds of the steps; whole processes run a third as often")
	flag.IntVar(&o.threads, "threads", 1, "threads of one operation, on all sides")
	flag.BoolVar(&o.clean, "clean", false, "measure a build from nothing too: minutes")
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
	rounds    int
	threads   int
	clean     bool
}

func run(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	t, err := buildTools(ctx)
	if err != nil {
		return err
	}
	results, err := openResults(o.out, o.threads)
	if err != nil {
		return err
	}
	defer results.close()
	for _, g := range groups(t, o.threads) {
		if !only.MatchString(g.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s\n", g.name)
		rounds := o.rounds
		if g.whole {
			rounds = max(3, o.rounds/3)
		}
		samples, err := g.measure(ctx, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		for _, r := range g.rows {
			if err := results.add(r, samples); err != nil {
				return err
			}
		}
	}
	if only.MatchString("build") {
		if err := buildRows(ctx, o, results); err != nil {
			return err
		}
	}
	results.print(os.Stdout)
	return nil
}
