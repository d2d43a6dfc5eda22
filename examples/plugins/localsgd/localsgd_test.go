package localsgd_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.org/localsgd"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// weights trains a weight on each of two ranks towards its own target, from where a checkpoint is, saves it, and
// returns what it was after each step on the two, and the strategy's state.
func weights(t *testing.T, s localsgd.LocalSGD, path string, steps int) (after [][2]float64, state map[string]any) {
	t.Helper()
	s.Spawn = true
	cfg := lite.Config{Devices: "2", Strategy: s}
	err := lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error {
		net := nn.NewLinear(1, 1, nn.LinearOptions{NoBias: true})
		torch.NoGrad(func() { net.Weight.Fill_(0) })
		opt := optim.NewSGD(nn.Parameters(net), 0.25) // each step goes half of the way
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		into := lite.State{"model": model, "opt": opt}
		if path != "" {
			if _, err := l.Load(path, into); err != nil && !strings.Contains(err.Error(), "no such file") {
				return err
			}
		}
		target := float64(16 * l.GlobalRank())
		var mine [][2]float64
		for range steps {
			opt.ZeroGrad()
			l.Backward(model.Forward(torch.Ones(1, 1)).SubScalar(target).Pow(2).Sum())
			opt.Step()
			all := lite.AllGather(l, net.Weight.Item())
			mine = append(mine, [2]float64{all[0], all[1]})
		}
		if path != "" {
			if err := l.Save(path, into); err != nil {
				return err
			}
			content, err := l.Load(path, nil)
			if err != nil {
				return err
			}
			ranks := content["golite"].(map[string]any)["streams"].([]any)
			if l.GlobalRank() == 0 {
				state = ranks[1].(map[string]any)["strategy"].(map[string]any)
			}
		}
		if l.GlobalRank() == 0 {
			after = mine
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return after, state
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// Ranks step alone, and have the mean of their parameters after each second step.
func TestAverages(t *testing.T) {
	got, _ := weights(t, localsgd.LocalSGD{Every: 2}, "", 4)
	equal(t, got, [][2]float64{{0, 8}, {6, 6}, {3, 11}, {7.5, 7.5}})
}

// A run that is resumed between two averages has the next one where the run before would have had it.
func TestResumesItsCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.pt")
	got, state := weights(t, localsgd.LocalSGD{Every: 2}, path, 3)
	equal(t, got[2], [2]float64{3, 11})
	equal(t, state, map[string]any{"every": 2, "steps": []any{3}})
	got, state = weights(t, localsgd.LocalSGD{Every: 2}, path, 1)
	equal(t, got, [][2]float64{{5.5, 5.5}}) // the file has rank 0's weight, 3: 1.5 and 9.5 after a step
	equal(t, state, map[string]any{"every": 2, "steps": []any{4}})
}

// Settings that can't be are refused before anything runs, under the strategy's own name.
func TestRefuses(t *testing.T) {
	for want, cfg := range map[string]lite.Config{
		"Every is -1: want a number of steps": {Devices: "2", Strategy: localsgd.LocalSGD{Every: -1}},
		"goroutines of one process, but num":  {Devices: "2", NumNodes: 2, Strategy: "local_sgd_spawn"},
		"local_sgd, local_sgd_spawn":          {Strategy: "none_such"},
	} {
		err := lite.Run(t.Context(), cfg, func(context.Context, *lite.Lite) error { return fmt.Errorf("it ran") })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Alone there is nothing to average, by name and among the plugins as well.
func TestAlone(t *testing.T) {
	for _, cfg := range []lite.Config{{Strategy: "local_sgd_spawn"}, {Plugins: []any{localsgd.LocalSGD{Spawn: true}}}} {
		err := lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error {
			net := nn.NewLinear(1, 1)
			opt := optim.NewSGD(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return err
			}
			for range 9 {
				l.Backward(model.Forward(torch.Ones(1, 1)).Sum())
				opt.Step()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
