package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
	"github.com/golite/golite/lite/cluster"
)

// External runs this process as the rank that it was started as: by Processes, by an engine such as torchrun or SLURM,
// by a Launcher of the program's own, or by hand. Its name is "external".
type External struct{}

// Name returns "external".
func (External) Name() string { return "external" }

// Launch runs the rank. The ranks find each other at Placement's MainAddress and MainPort. In a process that Processes
// has started it does not return: it ends the process, after it has passed on the rank's result or error. An engine that
// collects errors (cluster.ErrorReporter) gets the rank's.
func (External) Launch(ctx context.Context, j *Job) error {
	if child, attached := supervisor.Attach(); attached {
		return runChild(ctx, j, child)
	}
	ctx, stop := WatchSignals(ctx, j.Log)
	defer stop.Close()
	r := j.thisRank(stop)
	join := r.Join
	r.Join = func(ctx context.Context, o dist.Options) (*dist.Group, error) {
		g, err := join(ctx, o)
		return g, explainJoin(j, err)
	}
	err := j.Body(ctx, r)
	reportToEngine(j, err)
	return err
}

// runChild runs the rank of a process that a supervisor has started.
func runChild(ctx context.Context, j *Job, child *supervisor.Child) error {
	ctx, stop := NewStop(ctx, child.Stopping)
	ended := make(chan struct{})
	go func() {
		stopping := child.Stop()
		for {
			select {
			case <-stopping:
				stop.Ask()
				stopping = nil
			case <-child.Abort():
				stop.Cancel(errors.New(child.Cause()))
				return
			case <-ended:
				return
			}
		}
	}()
	r := j.thisRank(stop)
	r.Join = func(ctx context.Context, o dist.Options) (*dist.Group, error) { return joinRanks(ctx, j, child, o) }
	r.OnState = func(progress func() State) {
		child.SetState(func() supervisor.State { return supervisor.State(progress()) })
	}
	err := Try(func() error { return j.Body(ctx, r) })
	close(ended)
	var result []byte
	if err == nil && j.Placement.GlobalRank == 0 {
		result, err = j.Result()
	}
	child.Exit(result, failureReport(err, j.Placement.WorldSize))
	return err
}

// thisRank is the rank of a process that was started as one.
func (j *Job) thisRank(stop *Stop) *Rank {
	local := min(j.Placement.LocalRank, len(j.Ranks)-1)
	return &Rank{Placement: j.Placement, Devices: j.Ranks[local], Stop: stop,
		Join: func(ctx context.Context, o dist.Options) (*dist.Group, error) { return joinRanks(ctx, j, nil, o) }}
}

// joinRanks joins the group of all ranks. child is nil where no supervisor of golite's has started this process.
func joinRanks(ctx context.Context, j *Job, child *supervisor.Child, o dist.Options) (*dist.Group, error) {
	p := j.Placement
	if p.WorldSize == 1 {
		return joinAlone(ctx, o)
	}
	store, err := openStore(ctx, j, child)
	if err != nil {
		return nil, blameRankZero(j, err)
	}
	defer store.Close()
	g, err := dist.NewGloo(ctx, store, p.GlobalRank, p.WorldSize, o)
	if err != nil {
		return nil, blameRankZero(j, err)
	}
	return g, nil
}

// openStore opens the store through which the ranks find each other: rank 0 serves it, unless the engine does.
func openStore(ctx context.Context, j *Job, child *supervisor.Child) (*dist.Store, error) {
	p := j.Placement
	if e, ok := engineStore(j); ok {
		s, err := dist.NewTCPStore(ctx, p.MainAddress, p.MainPort, dist.TCPStoreOptions{Timeout: j.Timeout})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		prefix, err := e.StorePrefix()
		if err != nil {
			return nil, err
		}
		return s.Prefix(prefix)
	}
	port := p.MainPort
	ctx, cancel := context.WithTimeoutCause(ctx, j.Timeout, timeoutError{j.Timeout})
	defer cancel()
	if p.GlobalRank == 0 {
		s, err := dist.NewTCPStore(ctx, p.MainAddress, port, dist.TCPStoreOptions{Server: true, Timeout: j.Timeout})
		if err == nil && child != nil {
			err = child.PublishPort(s.Port())
		}
		return s, err
	}
	if child != nil {
		var err error
		if port, err = child.AwaitPort(ctx); err != nil {
			return nil, err
		}
	}
	return dist.NewTCPStore(ctx, p.MainAddress, port, dist.TCPStoreOptions{Timeout: j.Timeout})
}

// engineStore returns the environment as a StoreHost, if its engine serves the store.
func engineStore(j *Job) (cluster.StoreHost, bool) {
	e, ok := j.Environment.(cluster.StoreHost)
	return e, ok && e.AgentStore()
}

// timeoutError is the cause of a wait for rank 0 that took too long. It is a context.DeadlineExceeded.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("time is up after %v", e.after) }

// Is makes it a context.DeadlineExceeded.
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// blameRankZero returns the error of a rank that could not join the others. Where the time was up, or the store was
// lost, and no other rank is known to be missing, the missing one is rank 0, which serves the store, unless the engine
// does.
func blameRankZero(j *Job, err error) error {
	p := j.Placement
	if _, ok := engineStore(j); ok || p.GlobalRank == 0 {
		return err
	}
	if re, ok := errors.AsType[*dist.RankError](err); ok {
		if len(re.Lost) == 0 && re.Cause == nil {
			re.Lost = []int{0}
		}
		return err
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &dist.RankError{Rank: p.GlobalRank, World: p.WorldSize, Op: "lite.Run", Reason: err.Error(), Lost: []int{0},
		Waiting: []string{"missing: rank 0"}, Cause: err}
}

// explainJoin adds to the error of a rank that could not join the others, and that golite did not start, why the process
// is a rank.
func explainJoin(j *Job, err error) error {
	re, ok := errors.AsType[*dist.RankError](err)
	if !ok || re.Cause == nil || j.Variables == "" {
		return err
	}
	return fmt.Errorf("%w\nThis process is rank %d of %d because of %s (cluster environment: %s). "+
		"Start the missing ranks as well, or unset what was left over from another program: golite then starts the ranks itself",
		err, j.Placement.GlobalRank, j.Placement.WorldSize, j.Variables, j.Environment.Name())
}

// reportToEngine gives a failed rank's error to an engine that collects them.
func reportToEngine(j *Job, err error) {
	e, ok := j.Environment.(cluster.ErrorReporter)
	if !ok || err == nil {
		return
	}
	message, stack, _ := strings.Cut(err.Error(), "\n")
	if lost := e.ReportError(message, stack); lost != nil {
		j.Log.Warn(j.Environment.Name() + " has no report of why the rank failed: " + lost.Error())
	}
}
