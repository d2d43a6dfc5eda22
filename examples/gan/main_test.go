package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/serial"
)

// strategyOf makes the test binary a short training on two ranks, with the strategy that the variable names.
const strategyOf = "GAN_TEST_STRATEGY"

func TestMain(m *testing.M) {
	strategy := os.Getenv(strategyOf)
	if strategy == "" {
		os.Exit(m.Run())
	}
	cfg := lite.Config{Accelerator: "cpu", Strategy: strategy, Devices: "2", Precision: "16-mixed"}
	if err := short(cfg, os.Getenv("GAN_TEST_CHECKPOINT")); err != nil {
		fmt.Println(err)
		os.Exit(lite.ExitCode(err))
	}
}

// short trains on 1,024 images once: eight steps on one rank, four on each of two.
func short(cfg lite.Config, checkpoint string) error {
	at := make([]int, 1024)
	for i := range at {
		at[i] = i
	}
	return lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, data.NewSubset[data.Example](mnist.Train(), at), 1, checkpoint)
	})
}

func TestTrain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gan.pt")
	var out strings.Builder
	require.NoError(t, short(lite.Config{Precision: "16-mixed", Output: &out}, path))
	require.Contains(t, out.String(), "epoch 0 G")
	require.NotContains(t, out.String(), "NaN")
	steps(t, path, 8)
}

// Two ranks, as goroutines and as processes, come to the same two models.
func TestTwoRanks(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	var said []string
	var models [][]byte
	for _, strategy := range []string{"ddp_spawn", "ddp"} {
		path := filepath.Join(t.TempDir(), "gan.pt")
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), strategyOf+"="+strategy, "GAN_TEST_CHECKPOINT="+path)
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, 1, bytes.Count(out, []byte("epoch 0 G")), "rank 0 alone prints:\n%s", out)
		require.NotContains(t, string(out), "NaN")
		said = append(said, string(out))
		steps(t, path, 4)
		var state []byte
		torch.Scope(func() {
			for _, model := range []string{"gen", "disc"} {
				sd, err := serial.LoadStateDict(path, serial.LoadOptions{Key: model})
				require.NoError(t, err)
				for _, p := range sd.All() {
					state = append(state, p.ToBytes()...)
				}
			}
		})
		models = append(models, state)
	}
	require.Equal(t, said[0], said[1])
	require.True(t, bytes.Equal(models[0], models[1]), "ddp and ddp_spawn differ")
}

// steps checks how many steps both optimizers have made.
func steps(t *testing.T, path string, want float64) {
	t.Helper()
	torch.Scope(func() {
		all, err := serial.Load(path)
		require.NoError(t, err)
		for _, name := range []string{"opt_g", "opt_d"} {
			opt, _ := all.(*serial.Dict).Get(name)
			state, _ := opt.(*serial.Dict).Get("state")
			require.Equal(t, 4, state.(*serial.Dict).Len(), name)
			first, _ := state.(*serial.Dict).Get(0)
			step, _ := first.(*serial.Dict).Get("step")
			require.Equal(t, want, step.(*torch.Tensor).Item(), name)
		}
	})
}
