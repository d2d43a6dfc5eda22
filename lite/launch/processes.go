package launch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/golite/golite/internal/supervisor"
)

// Processes starts each rank as a process, by running the program anew with the same arguments, and supervises them:
// when a rank fails, dies or hangs, all are ended, and the error has the first cause. The ranks end inside their first
// Run, where External runs them; a program can have one such run. Its name is "processes".
type Processes struct{}

// Name returns "processes".
func (Processes) Name() string { return "processes" }

// processRuns counts the runs of this process whose ranks are processes. Why: each re-executes the program, whose ranks
// end inside their first Run; a second one would never be reached.
var processRuns atomic.Int32

// Launch starts this node's ranks and waits for them. The calling process is no rank.
func (Processes) Launch(ctx context.Context, j *Job) error {
	if processRuns.Add(1) > 1 {
		return errors.New("lite: a program can have one Run with strategy \"ddp\": its ranks run the program anew and " +
			"end inside the first Run. Use \"ddp_spawn\", or one Run with all the work in it")
	}
	result, err := supervisor.Supervise(ctx, supervisor.Spec{
		LocalRanks: len(j.Ranks), Nodes: j.Nodes, NodeRank: j.Placement.NodeRank,
		MainAddress: j.Placement.MainAddress, MainPort: j.Placement.MainPort, Logger: j.Log,
		HangTimeout: hangTimeout(j.Timeout), Prefix: j.Prefix,
	})
	switch {
	case errors.Is(err, supervisor.ErrStopped):
		return ErrStopped
	case err != nil:
		return jobFailure(err)
	case j.Placement.NodeRank != 0:
		return nil // the result is on rank 0's node
	}
	return j.SetResult(result)
}

// hangTimeout returns how long a rank may send no heartbeat. It is independent of the length of a step: a rank sends its
// state once a second, whatever it computes, unless the process is stopped.
func hangTimeout(timeout time.Duration) time.Duration {
	return min(max(timeout, 5*time.Second), time.Minute)
}

// jobFailure returns the one error of a job of processes.
func jobFailure(err error) error {
	var je *supervisor.JobError
	if errors.As(err, &je) {
		return &RankError{Rank: je.Rank, Err: err}
	}
	return err
}
