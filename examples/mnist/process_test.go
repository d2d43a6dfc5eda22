package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/lite"
)

// program is the program as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// A run that SIGTERM stops has saved the step it was at, ends with the code that says so, and goes on as if nothing had been.
func TestSignalSaves(t *testing.T) {
	dir := t.TempDir()
	metrics, saved := filepath.Join(dir, "metrics"), filepath.Join(dir, "a.pt")
	c := program(t, "-epochs", "1000", "-batch-size", "600", "-threads", "1", "-metrics", metrics, "-checkpoint", saved)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(metrics)
		return err == nil && bytes.Count(text, []byte("\n")) >= 5
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	err := c.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, out.String())
	require.Equal(t, lite.ExitStopped, exit.ExitCode(), out.String())
	require.Contains(t, out.String(), "stopped by a signal")

	steps, accuracy := readMetrics(t, metrics)
	require.Equal(t, -1.0, accuracy)
	last := *steps[len(steps)-1].Step
	total := fmt.Sprint(last + 5)
	common := []string{"-epochs", "1000", "-batch-size", "600", "-threads", "1", "-max-steps", total, "-metrics"}
	said := trained(t, all, append(common, metrics, "-resume", saved)...)
	require.Contains(t, said, fmt.Sprintf("step %d\n", last))
	whole := filepath.Join(dir, "whole")
	trained(t, all, append(common, whole)...)
	want, err := os.ReadFile(whole)
	require.NoError(t, err)
	got, err := os.ReadFile(metrics)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// Two ranks, as goroutines and as processes, see half the batches each, come to the same parameters, and count each test
// image once.
func TestTwoRanks(t *testing.T) {
	var states [][]byte
	for _, strategy := range []string{"ddp_spawn", "ddp"} {
		dir := t.TempDir()
		metrics, saved := filepath.Join(dir, "metrics"), filepath.Join(dir, "a.pt")
		c := program(t, "-devices", "2", "-strategy", strategy, "-batch-size", "1000", "-epochs", "1", "-threads", "1",
			"-metrics", metrics, "-checkpoint", saved)
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		steps, accuracy := readMetrics(t, metrics)
		perRank := map[int]int{}
		for _, s := range steps {
			perRank[*s.Rank]++
		}
		require.Equal(t, map[int]int{0: 30, 1: 30}, perRank)
		require.Greater(t, accuracy, 0.8)
		require.Contains(t, string(out), fmt.Sprintf("test accuracy %.2f %%\n", 100*accuracy))
		var state []byte
		for _, p := range parameters(t, saved) {
			state = append(state, p.Data...)
		}
		states = append(states, state)
	}
	require.True(t, bytes.Equal(states[0], states[1]), "ddp and ddp_spawn differ")
}

const readCheckpoint = `
import sys, torch
sys.path.insert(0, sys.argv[2])
import mnist
c = torch.load(sys.argv[1], weights_only=True)
assert {"model", "optimizer", "epoch", "step"} <= set(c), list(c)
assert (c["epoch"], c["step"]) == (0, 40), c
net = mnist.MLP(); net.load_state_dict(c["model"])
opt = mnist.optim.SGD(net.parameters(), lr=1.0); opt.load_state_dict(c["optimizer"])
group = opt.param_groups[0]
assert (group["lr"], group["momentum"], len(opt.state)) == (0.25, 0.9, 4), opt.state_dict()
x, y = mnist.images("t10k").tensors
print((net(x).argmax(1) == y).sum().item() / len(y))
`

// PyTorch reads the checkpoint, and its model has the accuracy that the program measured; mnist.py gives the same losses.
func TestPythonTwin(t *testing.T) {
	py := python.Find(t)
	dir := t.TempDir()
	ours, theirs, saved := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs"), filepath.Join(dir, "a.pt")
	args := []string{"-lr", "0.25", "-seed", "7", "-max-steps", "40", "-threads", "1", "-metrics"}
	trained(t, all, append(args, ours, "-checkpoint", saved)...)
	here, err := os.Getwd()
	require.NoError(t, err)

	read, err := exec.CommandContext(t.Context(), py, "-c", readCheckpoint, saved, here).CombinedOutput()
	require.NoError(t, err, string(read))
	_, accuracy := readMetrics(t, ours)
	require.Equal(t, fmt.Sprintln(accuracy), string(read))

	out, err := exec.CommandContext(t.Context(), py, append([]string{"mnist.py"}, append(args, theirs)...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	want, err := os.ReadFile(theirs)
	require.NoError(t, err)
	got, err := os.ReadFile(ours)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}
