package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch/data"
)

var errKilled = errors.New("killed")

// A run that is killed between two saves goes on from the last one, and its losses are those of a run left alone.
func TestKilledAndResumed(t *testing.T) {
	at := make([]int, 640)
	for i := range at {
		at[i] = i
	}
	digits := data.NewSubset[data.Example](mnist.Train(), at)
	run := func(killAt int, into map[int]float64) error {
		return lite.Run(context.Background(), lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
			return train(ctx, l, digits, func(step int, loss float64) error {
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
	for _, killAt := range []int{8, 17} {
		require.ErrorIs(t, run(killAt, parts), errKilled)
	}
	require.NoError(t, run(0, parts))
	require.Equal(t, whole, parts)
}
