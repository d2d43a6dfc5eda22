package ddp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
)

func init() { ranktest.Roles["trains as recorded"] = recordedRank }

// recordedJob is what recordedRank is told, in a file. It writes what it has to show beside it, a file for each rank.
type recordedJob struct {
	Port, World int
	Cases       map[string]training
}

const (
	jobVariable   = "GOLITE_DDP_TEST_JOB"
	placeVariable = "GOLITE_DDP_TEST_PLACE"
)

// recordedRank is a rank in a process of its own, which trains all recorded cases for its number of ranks one after the
// other. Rank 0 keeps the store.
func recordedRank() error {
	path := os.Getenv(jobVariable)
	r, err := strconv.Atoi(os.Getenv(placeVariable))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var job recordedJob
	if err := json.Unmarshal(text, &job); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		s, err := dist.NewTCPStore(ctx, "127.0.0.1", job.Port, dist.TCPStoreOptions{Server: r == 0})
		if err != nil {
			return nil, err
		}
		return dist.NewGloo(ctx, s, r, job.World)
	}
	got := map[string]trained{}
	err = ranktest.Rank(ctx, r, join, func(ctx context.Context, g *dist.Group) (err error) {
		if g.InProcess() {
			return fmt.Errorf("rank %d is no process of its own", r)
		}
		for _, name := range slices.Sorted(maps.Keys(job.Cases)) {
			if got[name], err = job.Cases[name].train(ctx, g); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		g.Barrier()
		return nil
	})
	if err != nil {
		return err
	}
	if text, err = json.Marshal(got); err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("%s.%d", path, r), text, 0o644)
}

// TestTrainingInProcessesIsPyTorchs is TestTrainingIsPyTorchs with processes for ranks, two and three, over Gloo and a
// TCPStore: bit for bit what as many processes of PyTorch were recorded to come to.
func TestTrainingInProcessesIsPyTorchs(t *testing.T) {
	file, all := recorded(t)
	for _, world := range []int{2, 3} {
		t.Run(fmt.Sprint(world), func(t *testing.T) {
			job := recordedJob{Port: ranktest.FreePort(t), World: world, Cases: map[string]training{}}
			for name, r := range all {
				if r.World == world {
					r.Losses = nil
					job.Cases[name] = r
				}
			}
			require.Len(t, job.Cases, 33)
			path := filepath.Join(t.TempDir(), "job")
			text, err := json.Marshal(job)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, text, 0o644))
			ranks := make([]*exec.Cmd, world)
			for r := range ranks {
				ranks[r] = ranktest.StartRole(t, "trains as recorded", jobVariable+"="+path, placeVariable+"="+strconv.Itoa(r))
			}
			for r, cmd := range ranks {
				require.NoError(t, cmd.Wait(), "rank %d", r)
			}
			for r := range ranks {
				var got map[string]trained
				text, err := os.ReadFile(fmt.Sprintf("%s.%d", path, r))
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(text, &got))
				require.Len(t, got, len(job.Cases))
				for name, one := range got {
					all[name].compare(t, file.Case(t, name), r, one)
				}
			}
		})
	}
}
