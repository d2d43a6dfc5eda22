package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// asProgram makes the test binary the program itself.
const asProgram = "MLP_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// One epoch on two goroutine ranks: the loss falls, and the weights that it saved know the digits.
func TestProgram(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "-epochs", "1", "-lr", "0.05", "-strategy", "ddp_spawn", "-devices", "2")
	c.Env, c.Dir = append(os.Environ(), asProgram+"=1"), t.TempDir()
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	found := regexp.MustCompile(`\A1/1 \| train loss (\S+)\n\z`).FindSubmatch(out)
	require.NotNil(t, found, string(out))
	loss, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	require.Less(t, loss, 0.5)

	torch.Scope(func() {
		weights, err := serial.LoadStateDict(filepath.Join(c.Dir, "mnist.pt"))
		require.NoError(t, err)
		net := NewMLP()
		require.NoError(t, nn.LoadStateDict(net, weights))
		right := 0
		for i := range 500 {
			sample, err := mnist.Test().Get(t.Context(), i)
			require.NoError(t, err)
			if net.Forward(sample.Input).ArgMax(-1).Item() == sample.Target.Item() {
				right++
			}
		}
		require.Greater(t, right, 450)
	})
}

// Ctrl-C: the program knows nothing of signals. It says once what happens, and ends at the next batch with a code of
// its own.
func TestInterrupt(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "-epochs", "1000", "-batch-size", "1024")
	c.Env, c.Dir = append(os.Environ(), asProgram+"=1"), t.TempDir()
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	_, err = bufio.NewReader(out).ReadString('\n') // an epoch
	require.NoError(t, err)
	require.NoError(t, c.Process.Signal(os.Interrupt))
	start := time.Now()
	require.Error(t, c.Wait())
	require.Less(t, time.Since(start), 5*time.Second)
	require.Equal(t, 75, c.ProcessState.ExitCode(), said.String())
	require.Equal(t, 1, strings.Count(said.String(), "interrupt: the run stops"), said.String())
	require.Contains(t, said.String(), "lite: the run was stopped by a signal")
}
