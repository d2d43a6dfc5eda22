package lite

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/lite/cluster"
)

// ExitStopped is the exit code of a rank's process that was asked to stop, and the code that a program should end with
// when Run returns ErrStopped: ExitCode gives it.
const ExitStopped = supervisor.ExitStopped

// ExitCode returns the code that a program should end with after Run: 0 for no error, ExitStopped for ErrStopped, else 1.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrStopped):
		return ExitStopped
	}
	return 1
}

// processRuns counts the runs of this process whose ranks are processes. Each re-executes the program, whose ranks end
// inside their first Run: a second one could never be reached by them.
var processRuns atomic.Int32

// supervise starts this node's ranks as processes and waits for them. This process is no rank.
func (j *job) supervise(ctx context.Context) error {
	if processRuns.Add(1) > 1 {
		return errors.New("lite: a program can have one Run with strategy \"ddp\": its ranks run the program anew and end inside the first Run. Use \"ddp_spawn\", or one Run with all the work in it")
	}
	p := j.plan.place
	port := p.MainPort
	result, err := supervisor.Supervise(ctx, supervisor.Spec{
		LocalRanks: j.plan.localRanks(), Nodes: j.plan.nodes, NodeRank: p.NodeRank,
		MainAddress: p.MainAddress, MainPort: port, Logger: j.log,
		HangTimeout: silence(j.plan.timeout), Prefix: j.plan.prefix,
	})
	switch {
	case errors.Is(err, supervisor.ErrStopped):
		return ErrStopped
	case err != nil:
		return jobFailure(err)
	case p.NodeRank != 0:
		return nil // the result is on rank 0's node
	}
	return j.decode(result)
}

// silence is how long a rank may give no sign of life. A long step is no silence: a rank tells where it is once a second,
// whatever it computes, unless the process is stopped.
func silence(timeout time.Duration) time.Duration {
	return min(max(timeout, 5*time.Second), time.Minute)
}

// jobFailure gives the one error of a job of processes.
func jobFailure(err error) error {
	var je *supervisor.JobError
	if errors.As(err, &je) {
		return &RankError{Rank: je.Rank, Err: err}
	}
	return err
}

// runExternal runs this process as the rank that it was started as: by golite's supervisor, or by an engine.
func (j *job) runExternal(ctx context.Context) error {
	child, attached := supervisor.Attach()
	if !attached {
		ctx, stop := watchSignals(ctx, j.log)
		defer stop.close()
		err := j.explain(j.processRank(ctx, nil, stop))
		j.tellEngine(err)
		return err
	}
	ctx, stop := newStopper(ctx)
	stop.agreed = sync.OnceFunc(child.Stopping)
	ended := make(chan struct{})
	go func() {
		stopping := child.Stop()
		for {
			select {
			case <-stopping:
				stop.ask()
				stopping = nil
			case <-child.Abort():
				stop.cancel(errors.New(child.Cause()))
				return
			case <-ended:
				return
			}
		}
	}()
	err := guard(func() error { return j.processRank(ctx, child, stop) })
	close(ended)
	var result []byte
	if err == nil && j.plan.place.GlobalRank == 0 {
		if encoded := guard(func() error { result = j.encode(); return nil }); encoded != nil {
			err = encoded
		}
	}
	child.Exit(result, report(err, j.plan.place.WorldSize))
	return err
}

// report puts the error of a rank, one of world, into the supervisor's terms.
func report(err error, world int) *supervisor.Report {
	if err == nil {
		return nil
	}
	r := &supervisor.Report{Message: err.Error(), Stopped: errors.Is(err, ErrStopped)}
	var p *panicError
	if errors.As(err, &p) {
		r.Message, r.Stack = fmt.Sprintf("panic: %v", p.value), string(p.stack)
	}
	var re *dist.RankError
	if errors.As(err, &re) {
		r.Secondary, r.Late = true, len(re.Waiting) > 0
		if re.World == world { // a smaller group of the program's own has other numbers
			r.Blames = re.Lost
			if m := failedRank.FindStringSubmatch(re.Reason); m != nil && len(r.Blames) == 0 {
				peer, _ := strconv.Atoi(m[1])
				r.Blames = []int{peer}
			}
		}
	}
	return r
}

// tellEngine leaves a failed rank's reason where torchrun looks for it.
func (j *job) tellEngine(err error) {
	if e, ok := j.plan.environment.(*cluster.TorchElastic); ok && err != nil {
		message, stack, _ := strings.Cut(err.Error(), "\n")
		if lost := e.ReportError(message, stack); lost != nil {
			j.log.Warn("torchrun was not told why the rank failed: " + lost.Error())
		}
	}
}

// processRank meets the other processes and runs the rank.
func (j *job) processRank(ctx context.Context, child *supervisor.Child, stop *stopper) error {
	p := j.plan.place
	at := place{global: p.GlobalRank, local: p.LocalRank, node: p.NodeRank, world: p.WorldSize, localWorld: p.LocalWorldSize}
	device := j.plan.devices[min(p.LocalRank, len(j.plan.devices)-1)]
	if at.world == 1 {
		return j.rank(ctx, rankSpec{place: at, device: device, stop: stop})
	}
	store, err := j.openStore(ctx, child)
	if err != nil {
		return j.apart(err)
	}
	defer store.Close()
	g, err := dist.NewGloo(ctx, store, at.global, at.world, j.groupOptions())
	if err != nil {
		return j.apart(err)
	}
	defer g.Close()
	j.met.Store(true)
	if err := attach(g, j.plan.accelerator); err != nil {
		return err
	}
	spec := rankSpec{place: at, device: device, group: g, stop: stop, steps: new(atomic.Int64)}
	if child != nil {
		child.SetState(func() supervisor.State { return whereabouts(g, spec.steps.Load()) })
	}
	return leave(g, j.rank(ctx, spec))
}

// groupOptions are the group's settings.
func (j *job) groupOptions() dist.Options {
	return dist.Options{Timeout: j.plan.timeout, Debug: j.plan.debug}
}

// whereabouts is what the supervisor is told once a second, and when a rank has failed.
func whereabouts(g *dist.Group, step int64) supervisor.State {
	s := supervisor.State{Step: step}
	if p := g.Pending(); len(p) > 0 {
		s.Waiting, s.Seq = p[0].What, uint64(p[0].Number)
		s.Since = time.Now().Add(p[0].Start - p[0].End)
	}
	return s
}

// failedText is why a rank that failed ends the group, and failedRank finds it where that is another rank's reason.
const failedText = "rank %d failed: %v"

var failedRank = regexp.MustCompile(`aborted the group: rank (\d+) failed: `)

// leave ends a rank's part in the group. Ranks that did well, or were asked to stop, leave together: a connection that
// closes early would look like a lost peer to a slower one. A rank that failed frees the others at once.
func leave(g *dist.Group, err error) error {
	if err != nil && !errors.Is(err, ErrStopped) {
		g.Abort(fmt.Sprintf(failedText, g.Rank(), text.FirstLine(err.Error())))
		return err
	}
	if lost := g.Leave(); err == nil {
		return lost
	}
	return err
}

// lateError is the cause of a wait for rank 0 that took too long. It is a context.DeadlineExceeded.
type lateError struct{ after time.Duration }

func (e lateError) Error() string { return fmt.Sprintf("time is up after %v", e.after) }

// Is makes it a context.DeadlineExceeded.
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// apart is the error of a rank that has not met the others. Where time was up, or the store was lost, and no other rank
// is known to be missing, it is rank 0, which keeps the store, unless torchrun's agent does.
func (j *job) apart(err error) error {
	p := j.plan.place
	if e, ok := j.plan.environment.(*cluster.TorchElastic); ok && e.AgentStore() || p.GlobalRank == 0 {
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

// explain adds to the error of a rank that has not met the others, and that golite did not start, why it is one.
func (j *job) explain(err error) error {
	re, ok := errors.AsType[*dist.RankError](err)
	if !ok || j.met.Load() || re.Cause == nil || j.plan.variables == "" {
		return err
	}
	return fmt.Errorf("%w\nThis process is rank %d of %d because of %s (cluster environment: %s). "+
		"Start the missing ranks as well, or unset what was left over from another program: golite then starts the ranks itself",
		err, j.plan.place.GlobalRank, j.plan.place.WorldSize, j.plan.variables, j.plan.environment.Name())
}

// openStore opens the store through which the ranks find each other: rank 0 keeps it, unless torchrun's agent does.
func (j *job) openStore(ctx context.Context, child *supervisor.Child) (*dist.Store, error) {
	p := j.plan.place
	if e, ok := j.plan.environment.(*cluster.TorchElastic); ok && e.AgentStore() {
		s, err := dist.NewTCPStore(ctx, p.MainAddress, p.MainPort, dist.TCPStoreOptions{Timeout: j.plan.timeout})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		n, err := e.Restarts()
		if err != nil {
			return nil, err
		}
		return s.Prefix(fmt.Sprintf("/worker/attempt_%d", n))
	}
	port := p.MainPort
	ctx, cancel := context.WithTimeoutCause(ctx, j.plan.timeout, lateError{j.plan.timeout})
	defer cancel()
	if p.GlobalRank == 0 {
		s, err := dist.NewTCPStore(ctx, p.MainAddress, port, dist.TCPStoreOptions{Server: true, Timeout: j.plan.timeout})
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
	return dist.NewTCPStore(ctx, p.MainAddress, port, dist.TCPStoreOptions{Timeout: j.plan.timeout})
}
