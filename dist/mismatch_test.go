package dist_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

const caseVariable = "GOLITE_DIST_TEST_CASE"

// mismatches are calls that differ between two ranks without being compared beforehand: those over sockets, and one
// through shared memory.
var mismatches = map[string]struct {
	calls [2]func(g *dist.Group)
	said  [2]string
}{
	"sums of integers": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllReduce(filled(1, 2).To(torch.Int64), dist.Sum) },
		func(g *dist.Group) { g.AllReduce(filled(1, 3000).To(torch.Int64), dist.Sum) },
	}, [2]string{"all_reduce(sum) of Long[2]", "all_reduce(sum) of Long[3000]"}},
	"maxima": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllReduce(filled(1, 9), dist.Max) },
		func(g *dist.Group) { g.AllReduce(filled(1, 3), dist.Max) },
	}, [2]string{"all_reduce(max) of Float[9]", "all_reduce(max) of Float[3]"}},
	"broadcasts": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.Broadcast(filled(1, 7), 0) },
		func(g *dist.Group) { g.Broadcast(filled(1, 5), 0); g.Barrier() },
	}, [2]string{"broadcast from rank 0 of Float[7]", "broadcast from rank 0 of Float[5]"}},
	"parts": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllGather(filled(1, 7)) },
		func(g *dist.Group) { g.AllGather(filled(1, 70)) },
	}, [2]string{"all_gather of Float[7]", "all_gather of Float[70]"}},
	"types": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllReduce(filled(1, 4).To(torch.Int64), dist.Max) },
		func(g *dist.Group) { g.AllReduce(filled(1, 8).To(torch.Int32), dist.Max) },
	}, [2]string{"all_reduce(max) of Long[4]", "all_reduce(max) of Int[8]"}},
	"kinds": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllGather(filled(1, 7)) },
		func(g *dist.Group) { g.Barrier() },
	}, [2]string{"all_gather of Float[7]", "barrier"}},
	"sums in shared memory": {[2]func(g *dist.Group){
		func(g *dist.Group) { g.AllReduce(filled(1, 2), dist.Sum) },
		func(g *dist.Group) { g.AllReduce(filled(1, 3000), dist.Sum) },
	}, [2]string{"all_reduce(sum) of Float[2]", "all_reduce(sum) of Float[3000]"}},
}

func init() {
	ranktest.Roles["makes another call"] = func() error {
		port, err := strconv.Atoi(os.Getenv(portVariable))
		if err != nil {
			return err
		}
		s, err := dist.NewTCPStore(context.Background(), "127.0.0.1", port)
		if err != nil {
			return err
		}
		join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, s, r, 2) }
		err = ranktest.Rank(context.Background(), 1, join, disagree(os.Getenv(caseVariable)))
		if problem := describesMismatch(err, os.Getenv(caseVariable)); problem != nil {
			return fmt.Errorf("rank 1: %w", problem)
		}
		return nil
	}
}

// disagree makes a rank's call of a case, after one that fits.
func disagree(name string) func(context.Context, *dist.Group) error {
	return func(_ context.Context, g *dist.Group) error {
		g.Barrier()
		mismatches[name].calls[g.Rank()](g)
		return nil
	}
}

// describesMismatch returns what an error lacks.
func describesMismatch(err error, name string) error {
	re, ok := errors.AsType[*dist.RankError](err)
	if !ok {
		return fmt.Errorf("no *RankError: %w", err)
	}
	for r, said := range mismatches[name].said {
		if !strings.Contains(re.Reason, fmt.Sprintf("rank %d ", r)) || !strings.Contains(re.Reason, said) {
			return fmt.Errorf("the call of rank %d, %s, is not named: %w", r, said, err)
		}
	}
	if strings.Count(re.Reason, " at dist/mismatch_test.go:") != 2 {
		return fmt.Errorf("the call sites of both ranks are not named: %w", err)
	}
	return nil
}

// TestProcessesThatDisagree: collectives of different sizes end with an error on both ranks that names both, and both
// call sites. Gloo would end the process that gets more than it expects.
func TestProcessesThatDisagree(t *testing.T) {
	for name := range mismatches {
		t.Run(name, func(t *testing.T) {
			store, err := dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true})
			require.NoError(t, err)
			defer store.Close()
			other := ranktest.StartRole(t, "makes another call", portVariable+"="+strconv.Itoa(store.Port()),
				caseVariable+"="+name)
			join := func(ctx context.Context, r int) (*dist.Group, error) { return dist.NewGloo(ctx, store, r, 2) }
			start := time.Now()
			err = ranktest.Rank(t.Context(), 0, join, disagree(name))
			require.NoError(t, describesMismatch(err, name))
			require.NoError(t, other.Wait(), "rank 1 has another error")
			require.Less(t, time.Since(start), freedIn)
		})
	}
}
