package lite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

func init() {
	jobs["patience"] = patienceRank
	configs["patience"] = func(c *lite.Config) { c.Plugins = []any{slowIO{}} }
	jobs["savefails"] = func(_ context.Context, l *lite.Lite) (result, error) { return result{}, saveFails(l) }
	jobs["lostsaver"] = lostSaver
	configs["lostsaver"] = func(c *lite.Config) { c.Plugins = []any{slowIO{}} }
}

// slow is how long rank 0 takes, as the job's argument says.
func slow() time.Duration {
	d, err := time.ParseDuration(os.Getenv(envArg))
	if err != nil {
		panic(err)
	}
	return d
}

// slowIO takes longer to write than a collective may take.
type slowIO struct{}

func (slowIO) Save(path string, _ any) error {
	if strings.HasPrefix(filepath.Base(path), "dies") {
		os.Exit(3)
	}
	time.Sleep(slow())
	return os.WriteFile(path, []byte("x"), 0o644)
}

func (slowIO) Load(string) (any, error) { return map[string]any{}, nil }

// patienceRank waits for rank 0, which takes longer than the timeout of collectives.
func patienceRank(_ context.Context, l *lite.Lite) (got result, err error) {
	made := filepath.Join(os.Getenv(envDir), "made")
	err = l.RankZeroFirst(func() error {
		if l.GlobalRank() == 0 {
			time.Sleep(slow())
			return os.WriteFile(made, nil, 0o644)
		}
		_, err := os.Stat(made)
		return err
	})
	if err != nil {
		return got, err
	}
	saved := filepath.Join(os.Getenv(envDir), "saved")
	if err := l.Save(saved, lite.State{"n": 1}); err != nil {
		return got, err
	}
	if _, err := os.Stat(saved); err != nil {
		return got, err
	}
	return got, same("the ranks are in step", 3, lite.Sum(l, l.GlobalRank()))
}

// TestRanksWaitForASlowRankZero: a download or a write on rank 0 that takes longer than Config.Timeout ends nothing. Processes
// need some of that time to find each other.
func TestRanksWaitForASlowRankZero(t *testing.T) {
	timeout := map[string]time.Duration{"ddp_spawn": time.Second, "ddp": 5 * time.Second}
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			limit := timeout[strategy]
			start := time.Now()
			job{do: "patience", arg: (limit + 2*time.Second).String(), strategy: strategy, ranks: 3, timeout: limit}.run(t)
			require.Greater(t, time.Since(start), 2*limit)
		})
	}
}

// lostSaver saves, and rank 0 dies over it.
func lostSaver(_ context.Context, l *lite.Lite) (got result, err error) {
	return got, l.Save(filepath.Join(os.Getenv(envDir), "dies"), lite.State{"n": 1})
}

// TestPatienceEndsWithALostRank: who waits for a rank that is gone doesn't wait for ever.
func TestPatienceEndsWithALostRank(t *testing.T) {
	if raceDetector {
		t.Skip("the ranks are processes: there is nothing to race")
	}
	o, code := job{do: "lostsaver", strategy: "ddp", ranks: 3, timeout: 20 * time.Second}.start(t).wait(t, 30*time.Second)
	require.NotZero(t, code)
	require.Zero(t, o.Rank, "the rank that was lost: %s", o.Error)
}

// saveFails saves where nothing can be written: every rank hears of it, and goes on.
func saveFails(l *lite.Lite) error {
	file := filepath.Join(os.Getenv(envDir), "file")
	if l.IsGlobalZero() {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return err
		}
	}
	l.Barrier()
	state := lite.State{"t": torch.Ones(3)}
	for _, o := range []lite.SaveOptions{{}, {Filter: map[string]func(string, any) bool{"none": nil}}} {
		err := l.Save(filepath.Join(file, "a.pt"), state, o)
		if err == nil {
			return errors.New("the Save did not fail")
		}
		for rank, text := range lite.AllGather(l, err.Error()) {
			if !strings.Contains(text, "a.pt") {
				return fmt.Errorf("rank %d was told %q", rank, text)
			}
		}
	}
	good := filepath.Join(os.Getenv(envDir), "good.pt")
	if err := l.Save(good, state); err != nil {
		return err
	}
	rest, err := l.Load(good, nil)
	if err != nil {
		return err
	}
	return same("what was saved after it", []float32{1, 1, 1}, torch.ToSlice[float32](rest["t"].(*torch.Tensor)))
}

// TestASaveThatFailsFailsOnAllRanks: case 4 of the faults.
func TestASaveThatFailsFailsOnAllRanks(t *testing.T) { onBoth(t, "savefails", 3) }
