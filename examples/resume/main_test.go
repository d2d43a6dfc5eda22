package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/data"
)

// asRun makes the test binary one training, on the strategy that the variable names, which prints each step and its loss on rank 0.
const asRun = "RESUME_TEST_STRATEGY"

func TestMain(m *testing.M) {
	strategy := os.Getenv(asRun)
	if strategy == "" {
		os.Exit(m.Run())
	}
	*path, *every = os.Getenv("RESUME_TEST_CHECKPOINT"), 3
	cfg := lite.Config{Accelerator: "cpu", Strategy: strategy, Devices: "2"}
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, digits(), func(step int, loss float64) error {
			l.Print(step, loss)
			return nil
		})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(lite.ExitCode(err))
}

// digits are 640 images: ten batches of 64 an epoch on one rank, five on each of two.
func digits() data.Dataset[data.Example] {
	at := make([]int, 640)
	for i := range at {
		at[i] = i
	}
	return data.NewSubset[data.Example](mnist.Train(), at)
}

var errKilled = errors.New("killed")

// A run that is killed between two saves goes on from the last one, and its losses are those of a run left alone.
func TestKilledAndResumed(t *testing.T) {
	run := func(killAt int, into map[int]float64) error {
		return lite.Run(context.Background(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
			return train(ctx, l, digits(), func(step int, loss float64) error {
				if step == killAt {
					return errKilled
				}
				into[step] = loss
				return nil
			})
		})
	}
	*every = 3
	whole, parts := map[int]float64{}, map[int]float64{}
	*path = filepath.Join(t.TempDir(), "run", "whole.pt")
	require.NoError(t, run(0, whole))
	require.Len(t, whole, 30)
	*path = filepath.Join(t.TempDir(), "run", "parts.pt")
	for _, killAt := range []int{8, 11, 17} { // 11: after the save at an epoch's end
		require.ErrorIs(t, run(killAt, parts), errKilled)
	}
	require.NoError(t, run(0, parts))
	require.Equal(t, whole, parts)
}

// Two ranks, killed with SIGKILL and stopped with SIGTERM on their way, print the losses of a run left alone.
func TestTwoRanksKilledAndStopped(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, strategy := range []string{"ddp_spawn", "ddp"} {
		t.Run(strategy, func(t *testing.T) {
			// run sends sig to the first process when it has printed that many losses, and returns its exit code; -1 where a signal ended it.
			run := func(checkpoint string, after int, sig syscall.Signal, into map[int]string) int {
				c := exec.CommandContext(t.Context(), self)
				c.Env = append(os.Environ(), asRun+"="+strategy, "RESUME_TEST_CHECKPOINT="+checkpoint)
				out, err := c.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, c.Start())
				seen := 0
				for lines := bufio.NewScanner(out); lines.Scan(); {
					var step int
					var loss string
					if n, _ := fmt.Sscan(lines.Text(), &step, &loss); n != 2 {
						continue
					}
					into[step] = loss
					if seen++; seen == after {
						require.NoError(t, c.Process.Signal(sig))
					}
				}
				_ = c.Wait() // the exit code says it
				return c.ProcessState.ExitCode()
			}
			whole, parts := map[int]string{}, map[int]string{}
			require.Zero(t, run(filepath.Join(t.TempDir(), "whole.pt"), 0, 0, whole))
			require.Len(t, whole, 15)
			checkpoint := filepath.Join(t.TempDir(), "parts.pt")
			require.Equal(t, -1, run(checkpoint, 5, syscall.SIGKILL, parts))
			require.Equal(t, lite.ExitCode(lite.ErrStopped), run(checkpoint, 2, syscall.SIGTERM, parts))
			require.Zero(t, run(checkpoint, 0, 0, parts))
			require.Equal(t, whole, parts)
		})
	}
}
