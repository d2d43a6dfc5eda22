package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// buildRows measures builds of the demo: after a change of one Go file, from nothing, and the size of the binary. They
// stand alone.
func buildRows(ctx context.Context, o options, r *results) error {
	dir, err := os.MkdirTemp("", "golite-build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "mnist")
	if err := goBuild(ctx, binary, "-ldflags=-s -w"); err != nil {
		return err
	}
	size, err := os.Stat(binary)
	if err != nil {
		return err
	}
	if err := r.alone("binary without libtorch, with MNIST in it", float64(size.Size())/1e6, "MB", 20); err != nil {
		return err
	}
	var times []sample
	for i := range 3 {
		seconds, err := afterChange(ctx, binary, i)
		if err != nil {
			return err
		}
		times = append(times, sample{"value": seconds})
	}
	if err := r.add(row{name: "build after a change of one Go file", ours: ours, field: "value", unit: "s", goal: 5}, map[string][]sample{ours: times}); err != nil {
		return err
	}
	if !o.clean {
		return nil
	}
	start := time.Now()
	if err := goBuild(ctx, binary, "", "GOCACHE="+filepath.Join(dir, "cache")); err != nil {
		return err
	}
	return r.alone("clean build", time.Since(start).Seconds(), "s", 180)
}

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
	err = goBuild(ctx, binary, "-overlay="+overlay)
	return time.Since(start).Seconds(), err
}

func goBuild(ctx context.Context, binary, flag string, env ...string) error {
	args := []string{"build", "-o", binary}
	if flag != "" {
		args = append(args, flag)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./examples/mnist")...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build ./examples/mnist: %w", err)
	}
	return nil
}

// alone writes a figure that has no peer.
func (r *results) alone(name string, value float64, unit string, goal float64) error {
	return r.add(row{name: name, ours: ours, field: "value", unit: unit, goal: goal}, map[string][]sample{ours: {{"value": value}}})
}
