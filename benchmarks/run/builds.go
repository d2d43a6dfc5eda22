package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const buildGroup = "build"

// buildRows measures builds of the demo: after a change of one Go file, and from nothing, with an empty cache; and the size of
// binaries, in which libtorch is not. They stand alone.
func buildRows(ctx context.Context, r *results) error {
	dir, err := os.MkdirTemp("", "golite-build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "program")
	for _, b := range []struct {
		name, program, flag string
		goal                float64
	}{
		{"binary of the demo, with the 11.4 MB of MNIST in it, stripped", demoProgram, "-ldflags=-s -w", 20},
		{"binary of the demo, with the 11.4 MB of MNIST in it, unstripped", demoProgram, "", 0},
		{"binary of examples/transformer, stripped", "./examples/transformer", "-ldflags=-s -w", 0},
	} {
		if err := goBuild(ctx, b.program, binary, b.flag); err != nil {
			return err
		}
		size, err := os.Stat(binary)
		if err != nil {
			return err
		}
		if err := r.alone(b.name, []float64{float64(size.Size()) / 1e6}, "MB", b.goal); err != nil {
			return err
		}
	}
	var times []float64
	for i := range 4 {
		seconds, err := afterChange(ctx, binary, i)
		if err != nil {
			return err
		}
		if i > 0 { // the first finds the cache without what the flags before have left out
			times = append(times, seconds)
		}
	}
	if err := r.alone("build after a change of one Go file", times, "s", 5); err != nil {
		return err
	}
	start := time.Now()
	if err := goBuild(ctx, demoProgram, binary, "", "GOCACHE="+filepath.Join(dir, "cache")); err != nil {
		return err
	}
	return r.alone("clean build of the demo", []float64{time.Since(start).Seconds()}, "s", 180)
}

const demoProgram = "./examples/mnist"

// afterChange builds the demo with a torch/scope.go that has one more line. An overlay stands for the changed file, so that the
// checkout stays as it is.
func afterChange(ctx context.Context, binary string, i int) (float64, error) {
	file, err := filepath.Abs("torch/scope.go")
	if err != nil {
		return 0, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	changed, overlay := binary+".go", binary+".json"
	content = fmt.Appendf(content, "\nvar _ = %d // changed\n", time.Now().UnixNano()+int64(i))
	if err := os.WriteFile(changed, content, 0o644); err != nil {
		return 0, err
	}
	if err := os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, file, changed), 0o644); err != nil {
		return 0, err
	}
	start := time.Now()
	err = goBuild(ctx, demoProgram, binary, "-overlay="+overlay)
	return time.Since(start).Seconds(), err
}

func goBuild(ctx context.Context, program, binary, flag string, env ...string) error {
	args := []string{"build", "-o", binary}
	if flag != "" {
		args = append(args, flag)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, program)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w", program, err)
	}
	return nil
}

// alone writes figures that have no peer.
func (r *results) alone(name string, values []float64, unit string, goal float64) error {
	var samples []sample
	for _, v := range values {
		samples = append(samples, sample{"value": v})
	}
	return r.add(row{name: name, ours: ours, field: "value", unit: unit, goal: goal}, map[string][]sample{ours: samples})
}
