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

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// strategyOf makes the test binary a short training on two ranks, with the strategy that the variable names.
const strategyOf = "TRANSFORMER_TEST_STRATEGY"

func TestMain(m *testing.M) {
	strategy := os.Getenv(strategyOf)
	if strategy == "" {
		os.Exit(m.Run())
	}
	cfg := lite.Config{Accelerator: "cpu", Strategy: strategy, Devices: "2", Precision: "bf16-mixed"}
	if err := short(cfg, os.Getenv("TRANSFORMER_TEST_CHECKPOINT")); err != nil {
		fmt.Println(err)
		os.Exit(lite.ExitCode(err))
	}
}

// short makes two steps of four batches each.
func short(cfg lite.Config, checkpoint string) error {
	return lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, corpus{}, 3e-4, new(0.1), 2, checkpoint)
	})
}

func TestTrain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gpt.pt")
	var out strings.Builder
	require.NoError(t, short(lite.Config{Precision: "bf16-mixed", Output: &out}, path))
	require.Equal(t, "[1 128]\n", out.String())
	looks(t, path)
}

// Two ranks, as goroutines and as processes, come to the same model, through gradients that meet only on each fourth batch.
func TestTwoRanks(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	var models [][]byte
	for _, strategy := range []string{"ddp_spawn", "ddp"} {
		path := filepath.Join(t.TempDir(), "gpt.pt")
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), strategyOf+"="+strategy, "TRANSFORMER_TEST_CHECKPOINT="+path)
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, 1, bytes.Count(out, []byte("[1 128]\n")), "rank 0 alone prints:\n%s", out)
		models = append(models, looks(t, path))
	}
	require.True(t, bytes.Equal(models[0], models[1]), "ddp and ddp_spawn differ")
}

// looks checks what the checkpoint has, and returns the bytes of the model in it.
func looks(t *testing.T, path string) (model []byte) {
	t.Helper()
	torch.Scope(func() {
		all, err := serial.Load(path)
		require.NoError(t, err)
		step, _ := all.(*serial.Dict).Get("step")
		require.Equal(t, 2, step)
		sd, err := serial.LoadStateDict(path, serial.LoadOptions{Key: "model"})
		require.NoError(t, err)
		head, found := sd.Get("lm_head.weight")
		require.True(t, found)
		tok, found := sd.Get("tok.weight")
		require.True(t, found)
		require.True(t, head.Equal(tok), "they are one parameter")
		for _, p := range sd.All() {
			require.Equal(t, torch.Float32, p.DType())
			model = append(model, p.ToBytes()...)
		}
	})
	return model
}

// The rate rises from 0 to its peak, and falls to 0 at the last step.
func TestSchedule(t *testing.T) {
	for step, want := range map[int]float64{0: 0, 100: 0.5, 200: 1, 600: 0.5, 1000: 0} {
		require.InDelta(t, want, schedule(step, 1000), 1e-12, "step %d", step)
	}
}
