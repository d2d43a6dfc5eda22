package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// deviceThreads is how many a CPU's operation has beside a GPU.
const deviceThreads = 4

// deviceTools are what the groups for a device need: they may come from another machine, built (-work, -python).
func deviceTools(ctx context.Context, o options) (tools, error) {
	t := tools{work: o.work, python: o.python, script: filepath.Join("benchmarks", "python", "device.py")}
	if t.work != "" && t.python != "" {
		return t, nil
	}
	t.work, _ = filepath.Abs(binaries + "/work")
	for _, args := range [][]string{{"go", "build", "-o", t.work, "./benchmarks/work"}, {"scripts/peers.sh"}} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return t, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		t.python = strings.TrimSpace(string(out)) + "/bin/python"
	}
	return t, nil
}

// card names what a device is, for the results.
func card(ctx context.Context, t tools, device string) (string, error) {
	if device == "cpu" {
		return "none: tiny workloads on the CPU", nil
	}
	out, err := exec.CommandContext(ctx, t.work, "card").Output()
	name := strings.TrimSpace(string(out))
	if err == nil && name == "" {
		err = fmt.Errorf("%s card: it finds no GPU", t.work)
	}
	return name, err
}

// onTheWall is a row whose processor time says nothing: reading takes some.
func onTheWall(r row) row {
	r.cpu = ""
	return r
}

// deviceGroups are steps that a device computes. golite's loader is measured against golite itself with the batches there already.
func deviceGroups(t tools, device string) []group {
	ours := func(name, workload, mode string) contestant {
		return contestant{name: name, args: []string{t.work, "device", workload, mode, device}, threads: deviceThreads}
	}
	peer := func(name, workload, mode string) contestant {
		return contestant{name: name, args: []string{t.python, t.script, workload, mode, device}, threads: deviceThreads}
	}
	compare := func(title, a, b string, goal float64) row {
		if device == "cpu" {
			goal = 0 // tiny workloads have none
		}
		return row{title, a, b, "value", "us", goal, "cpu", ""}
	}
	const captured, read, ready = "lite, captured", "read", "ready"
	return []group{
		{name: "device-mlp", contestants: []contestant{ours(captured, "mlp", "captured"), ours(oursLite, "mlp", "lite"), peer(fabric, "mlp", "fabric")}, rows: []row{
			compare("MLP step as a CUDA graph", captured, fabric, 0.35), compare("MLP step on the device", oursLite, fabric, 0),
		}},
		{name: "device-gpt2", contestants: []contestant{ours(captured, "gpt2", "captured"), ours(oursLite, "gpt2", "lite"), peer(torch, "gpt2", "torch")}, rows: []row{
			compare("GPT-2-sized step, bf16", oursLite, torch, 1), compare("GPT-2-sized step, bf16, as a CUDA graph", captured, torch, 0),
		}},
		{name: "device-loader", contestants: []contestant{ours(read, "loader", read), ours(ready, "loader", ready)}, rows: []row{
			onTheWall(compare("pass with a loader, against batches that are there", read, ready, 1/0.97)),
		}},
	}
}
