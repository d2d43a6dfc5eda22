package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/data"
)

func TestTrain(t *testing.T) {
	at := make([]int, 512)
	for i := range at {
		at[i] = i
	}
	path := filepath.Join(t.TempDir(), "gan.pt")
	var out strings.Builder
	cfg := lite.Config{Precision: "16-mixed", Output: &out}
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, data.NewSubset[data.Example](mnist.Train(), at), 1, path)
	})
	require.NoError(t, err)
	require.FileExists(t, path)
	require.Contains(t, out.String(), "epoch 0 G")
	require.NotContains(t, out.String(), "NaN")
}
