package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools are the programs that are measured.
type tools struct {
	work, demo, cpp, gomlx, python, script, twin, mnist string
	scratch                                             string // a folder for large files
}

const binaries = "bin/bench"

// buildTools compiles all sides. It runs in the checkout's root.
func buildTools(ctx context.Context) (tools, error) {
	abs := func(p string) string { a, _ := filepath.Abs(p); return a }
	t := tools{work: abs(binaries + "/work"), demo: abs(binaries + "/mnist"), cpp: abs(binaries + "/cpp"), gomlx: abs(binaries + "/gomlx"),
		script: abs("benchmarks/python/work.py"), twin: abs("examples/mnist/mnist.py"), mnist: abs("datasets/mnist"), scratch: abs(binaries + "/scratch")}
	if err := os.MkdirAll(t.scratch, 0o755); err != nil {
		return t, err
	}
	torch := abs("third_party/libtorch")
	steps := []struct {
		dir, env string
		args     []string
	}{
		{".", "", []string{"go", "build", "-o", t.work, "./benchmarks/work"}},
		{".", "", []string{"go", "build", "-o", t.demo, "./examples/mnist"}},
		{"benchmarks/gomlx", "GOEXPERIMENT=simd", []string{"go", "build", "-tags", "noxla", "-o", t.gomlx, "."}},
	}
	if stale(t.cpp, "benchmarks/cpp/work.cc") {
		steps = append(steps, struct {
			dir, env string
			args     []string
		}{".", "", []string{"g++", "-O2", "-std=c++17", "-I" + torch + "/include", "-I" + torch + "/include/torch/csrc/api/include",
			"benchmarks/cpp/work.cc", "-o", t.cpp, "-L" + torch + "/lib", "-ltorch_cpu", "-lc10", "-Wl,-rpath," + torch + "/lib"}})
	}
	for _, s := range steps {
		fmt.Fprintln(os.Stderr, strings.Join(s.args, " "))
		cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
		cmd.Dir, cmd.Stderr = s.dir, os.Stderr
		if s.env != "" {
			cmd.Env = append(os.Environ(), s.env)
		}
		if err := cmd.Run(); err != nil {
			return t, fmt.Errorf("%s: %w", strings.Join(s.args, " "), err)
		}
	}
	cmd := exec.CommandContext(ctx, "scripts/peers.sh")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("scripts/peers.sh: %w", err)
	}
	t.python = strings.TrimSpace(string(out)) + "/bin/python"
	return t, nil
}

// switches are what golite changes in a process where its peers do not, as far as it bears on their times.
type switches struct {
	MKLAVX512 bool   `json:"mkl_avx512"`
	Overrides string `json:"overrides"`
}

// switchesOf asks golite's side, which runs in the driver's environment.
func switchesOf(ctx context.Context, work string) (s switches, err error) {
	out, err := exec.CommandContext(ctx, work, "switches").Output()
	if err != nil {
		return s, fmt.Errorf("%s switches: %w", work, err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("%s switches printed %q: %w", work, out, err)
	}
	return s, nil
}

func stale(target, source string) bool {
	t, err := os.Stat(target)
	if err != nil {
		return true
	}
	s, err := os.Stat(source)
	return err != nil || s.ModTime().After(t.ModTime())
}
