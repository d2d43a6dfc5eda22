package lite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func init() { jobs["epochs"] = epochsRank }

// epochsRank walks a training and a validation set for three epochs, from where the checkpoint left off, and saves at
// the end of each epoch, or in the middle of each as well. Its argument is the epoch after whose first save it ends,
// and where it saves.
func epochsRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	var stopAt int
	var where string
	if _, err := fmt.Sscanf(os.Getenv(envArg), "%d %s", &stopAt, &where); err != nil {
		return got, err
	}
	l.SeedEverything(17)
	train, errA := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(24), 2, data.Options{Shuffle: true, Workers: 2}))
	valid, errB := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(7), 2))
	x, errC := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(12), 2, data.Options{Shuffle: true}))
	y, errD := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(12), 2, data.Options{Shuffle: true}))
	stream, errE := lite.SetupDataLoader(l, data.NewIterableLoader[*torch.Tensor](counting{12, 0, 1}, 2))
	if err := errors.Join(errA, errB, errC, errD, errE); err != nil {
		return got, err
	}
	zip := data.Zip(x, y)
	path := filepath.Join(os.Getenv(envDir), "epochs.pt")
	epoch := 0
	state := lite.State{"train": train, "valid": valid, "zip": zip, "stream": stream, "epoch": &epoch}
	if _, err := l.Load(path, state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return got, err
	}
	var mine []float64
	note := func(t *torch.Tensor, err error) error {
		if err != nil {
			return err
		}
		for _, v := range torch.ToSlice[int64](t) {
			mine = append(mine, float64(v))
		}
		mine = append(mine, torch.Rand().Item())
		return nil
	}
	done := func() (result, error) { return result{Losses: lite.AllGather(l, mine)}, nil }
	for ; epoch < 3; epoch++ {
		n := 0
		for b, err := range train.Batches(ctx) {
			if err := note(b, err); err != nil {
				return got, err
			}
			if n++; n == 2 && where == "middle" && epoch == stopAt {
				if err := l.Save(path, state); err != nil {
					return got, err
				}
				return done()
			}
		}
		for b, err := range valid.Batches(ctx) {
			if err := note(b, err); err != nil {
				return got, err
			}
		}
		for p, err := range zip.Batches(ctx) {
			if err := errors.Join(note(p.First, err), note(p.Second, err)); err != nil {
				return got, err
			}
		}
		for b, err := range stream.Batches(ctx) {
			if err := note(b, err); err != nil {
				return got, err
			}
		}
		if where == "end" && epoch == stopAt {
			if err := l.Save(path, lite.State{"train": train, "valid": valid, "zip": zip, "stream": stream, "epoch": epoch + 1}); err != nil {
				return got, err
			}
			return done()
		}
	}
	return done()
}

// TestEpochsAfterAResumeAreWhole: training and validation after a checkpoint at an epoch's end, or in its middle after
// a validation in the epoch before, are those of a run left alone.
func TestEpochsAfterAResumeAreWhole(t *testing.T) {
	for _, strategy := range strategies {
		for _, ranks := range []int{1, 2} {
			if ranks == 1 && strategy == "ddp" {
				continue // one rank is one, whatever the strategy
			}
			for _, where := range []string{"end", "middle"} {
				t.Run(fmt.Sprint(strategy, ranks, where), func(t *testing.T) {
					run := func(dir string, stopAt int) [][]float64 {
						return job{do: "epochs", arg: fmt.Sprint(stopAt, " ", where), strategy: strategy, ranks: ranks, dir: dir}.run(t).Losses
					}
					whole := run(t.TempDir(), -1)
					require.Len(t, whole, ranks)
					dir := t.TempDir()
					parts := make([][]float64, ranks)
					for _, stopAt := range []int{0, 1, -1} {
						for rank, mine := range run(dir, stopAt) {
							parts[rank] = append(parts[rank], mine...)
						}
					}
					require.Equal(t, whole, parts)
				})
			}
		}
	}
}

// TestCheckpointsOfEarlierVersions: what golite wrote before loaders saved how their order is divided.
// testdata/earlier_1.pt and earlier_2.pt are of one rank and of two: a training set of 48 after 4 batches of 2, a
// validation set of 7 at its end, and a Zip of sets of 48 and 40 after 3 pairs. The files beside them have what a run
// left alone went on with.
func TestCheckpointsOfEarlierVersions(t *testing.T) {
	for _, from := range []int{1, 2} {
		var want struct{ Train, Zip [][]int }
		text, err := os.ReadFile(fmt.Sprintf("testdata/earlier_%d.json", from))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &want))
		for _, to := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) {
				var train, valid, first, second [][]int
				cfg := lite.Config{Accelerator: "cpu", Strategy: "ddp_spawn", Devices: lite.Devices(fmt.Sprint(to)), Timeout: time.Minute}
				if to == 1 {
					cfg.Strategy = ""
				}
				require.NoError(t, lite.Run(ctx, cfg, func(ctx context.Context, l *lite.Lite) error {
					l.SeedEverything(99) // the checkpoint's seed counts
					loader := func(n int, shuffle bool) *data.Loader[*torch.Tensor] {
						ld, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(n), 2, data.Options{Shuffle: shuffle}))
						require.NoError(t, err)
						return ld
					}
					a, v := loader(48, true), loader(7, false)
					zip := data.Zip(loader(48, true), loader(40, true))
					if from == to && to > 1 {
						l.SeedEverything(13)
						a = loader(48, true)
						zip = data.Zip(loader(48, true), loader(40, true))
					}
					_, err := l.Load(fmt.Sprintf("testdata/earlier_%d.pt", from), lite.State{"train": a, "valid": v, "zip": zip})
					require.NoError(t, err)
					read := func(mine []int, b *torch.Tensor) []int {
						for _, x := range torch.ToSlice[int64](b) {
							mine = append(mine, int(x))
						}
						return mine
					}
					var mine [4][]int
					for b, err := range a.Batches(ctx) {
						require.NoError(t, err)
						mine[0] = read(mine[0], b)
					}
					for b, err := range v.Batches(ctx) {
						require.NoError(t, err)
						mine[1] = read(mine[1], b)
					}
					for p, err := range zip.Batches(ctx) {
						require.NoError(t, err)
						mine[2], mine[3] = read(mine[2], p.First), read(mine[3], p.Second)
					}
					for i, to := range []*[][]int{&train, &valid, &first, &second} {
						all := lite.AllGather(l, mine[i])
						if l.IsGlobalZero() {
							*to = all
						}
					}
					return nil
				}))
				s := scan{}
				left := s.inOrder(want.Train)
				require.Len(t, left, 48-4*2*from)
				require.Equal(t, left, s.inOrder(train)[:len(left)])
				require.Less(t, len(s.inOrder(train))-len(left), to)
				require.Equal(t, once(7), s.inOrder(valid)[:7])
				require.Less(t, len(s.inOrder(valid))-7, to)
				// A Zip's pairs are written first, first, second, second.
				var a, b [][]int
				for _, mine := range want.Zip {
					var one, two []int
					for i := 0; i < len(mine); i += 4 {
						one, two = append(one, mine[i], mine[i+1]), append(two, mine[i+2], mine[i+3])
					}
					a, b = append(a, one), append(b, two)
				}
				left = s.inOrder(b)
				require.Len(t, left, 40-3*2*from)
				require.Equal(t, left, s.inOrder(second)[:len(left)])
				require.Equal(t, s.inOrder(a), s.inOrder(first)[:len(left)])
			})
		}
	}
}
