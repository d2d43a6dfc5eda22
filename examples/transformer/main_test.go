package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
)

func TestTrain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gpt.pt")
	var out strings.Builder
	cfg := lite.Config{Precision: "bf16-mixed", Output: &out}
	err := lite.Run(context.Background(), cfg, func(ctx context.Context, l *lite.Lite) error {
		return train(ctx, l, corpus{}, 3e-4, new(0.1), 2, path)
	})
	require.NoError(t, err)
	require.FileExists(t, path)
	require.Contains(t, out.String(), "[1 128]")
}
