package lite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/config"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/torch"
)

// Run runs f on every rank that the Config asks for, and returns when all have ended: nil, or the error of the rank
// that failed first (*RankError where there are several ranks). A panic of f is an error too.
//
// With one device f runs on the calling goroutine, locked to its thread. With strategy "ddp_spawn" each rank is a
// goroutine. With "ddp" each rank is a process, started by re-executing the program: code before Run runs in every
// process, the ranks end inside Run, and only the first process returns from it. Under torchrun, SLURM, mpirun and the
// like the process is a rank already, and returns from Run as well.
//
// SIGTERM and Ctrl-C are requests to stop, see Stopping: the error is then ErrStopped under every strategy.
func Run(ctx context.Context, cfg Config, f func(ctx context.Context, l *Lite) error) error {
	if f == nil {
		return errNoFunction("lite.Run")
	}
	_, err := RunValue(ctx, cfg, func(ctx context.Context, l *Lite) (struct{}, error) { return struct{}{}, f(ctx, l) })
	return err
}

func errNoFunction(operation string) error { return errors.New(operation + ": the function is nil") }

// RunValue is Run for a function with a result: it returns rank 0's, sent as by Broadcast where ranks are processes. Of several
// nodes the one where rank 0 ran gets it, and of ranks that an engine started rank 0; the others get the zero value.
func RunValue[T any](ctx context.Context, cfg Config, f func(ctx context.Context, l *Lite) (T, error)) (T, error) {
	var value kept[T]
	if f == nil {
		return value.get(), errNoFunction("lite.RunValue")
	}
	if ctx == nil {
		return value.get(), errors.New("lite.Run: the context is nil: give context.Background(), which never ends")
	}
	plan, err := config.Resolve(cfg, config.ThisMachine{})
	if err != nil {
		return value.get(), err
	}
	j := &job{
		plan: plan,
		body: func(ctx context.Context, l *Lite) error {
			v, err := f(ctx, l)
			if l.rank.GlobalRank == 0 {
				value.set(v)
			}
			return err
		},
		encode: func() []byte { return wire.Pack("lite.RunValue", value.get()) },
		decode: func(b []byte) error {
			return torch.Try(func() { value.set(wire.Unpack[T]("lite.RunValue", b)) })
		},
	}
	err = j.run(ctx)
	return value.get(), err
}

// kept is rank 0's result. A goroutine rank that was left behind may still end, and set it, while Run returns.
type kept[T any] struct {
	mu sync.Mutex
	v  T
}

func (k *kept[T]) set(v T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.v = v
}

func (k *kept[T]) get() T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.v
}

// job is one call of Run.
type job struct {
	plan   *config.Plan
	log    *zap.Logger // from run on
	body   func(ctx context.Context, l *Lite) error
	encode func() []byte // rank 0's result
	decode func([]byte) error
}

func (j *job) run(ctx context.Context) error {
	if j.log = j.plan.Config.Logger; j.log == nil {
		j.log = stderrWarnings()
	}
	if err := checkProcess(j.plan.Launcher == "goroutines"); err != nil {
		return err
	}
	j.announce()
	p := j.plan
	start := &launch.Job{
		Ranks: p.Ranks, Nodes: p.Nodes, Placement: p.Placement, Environment: p.Environment, Variables: p.Variables,
		Timeout: p.Timeout, Prefix: p.Prefix, Log: j.log,
		Body: func(ctx context.Context, r *launch.Rank) error {
			return guard(func() error { return j.runRank(ctx, r) })
		},
		Result: func() (encoded []byte, err error) {
			return encoded, guard(func() error { encoded = j.encode(); return nil })
		},
		SetResult: j.decode,
	}
	return startRanks(ctx, p, start)
}

// startRanks runs a job's ranks. Where golite starts them, a Launcher of Config.Plugins takes the place of the plan's. Where
// they were started, it is called only if it is a RankLauncher.
func startRanks(ctx context.Context, p *config.Plan, j *launch.Job) error {
	if p.OwnLauncher != nil && !p.Environment.LaunchesExternally() {
		return p.OwnLauncher.Launch(ctx, j)
	}
	if l, ok := p.OwnLauncher.(launch.RankLauncher); ok {
		return l.LaunchRank(ctx, j)
	}
	l, known := launch.Named(p.Launcher)
	if !known {
		return fmt.Errorf("lite: there is no launcher %q: the names are %q", p.Launcher, launch.Names())
	}
	return l.Launch(ctx, j)
}

// checkProcess returns what is wrong with what golite changes in the process, and is needed here.
func checkProcess(goroutineRanks bool) error {
	if err := cgotorch.CheckOverrides(); err != nil {
		return fmt.Errorf("lite: %w", err)
	}
	if wrong, err := cgotorch.Interposed(); err != nil && (wrong || goroutineRanks) {
		return fmt.Errorf("lite: %w", err)
	}
	return nil
}

// announce says what the Config's resolution found worth saying.
func (j *job) announce() {
	for _, w := range j.plan.Warnings {
		j.log.Warn(w)
	}
	if torch.MKLAVX512() {
		saidMKL.Do(func() {
			j.log.Info("matrix products use MKL's kernels for AVX-512, whose last bits differ from PyTorch's on this processor: " +
				"GOLITE_OVERRIDES=-mkl or torch.SetMKLAVX512(false) gives PyTorch's")
		})
	}
}

// saidMKL keeps what holds for the whole process from being logged by each Run.
var saidMKL sync.Once

// stderrWarnings is a logger that says what must not be missed, where the Config has none.
func stderrWarnings() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder, ConsoleSeparator: ": ",
	}), zapcore.Lock(os.Stderr), zapcore.WarnLevel))
}

// runRank runs a rank: it joins the group of all ranks, runs the body, and leaves the group.
func (j *job) runRank(ctx context.Context, r *launch.Rank) error {
	g, err := r.Join(ctx, dist.Options{Timeout: j.plan.Timeout, Debug: j.plan.Debug})
	if err != nil {
		return err
	}
	defer g.Close()
	if err := attach(g, j.plan.Accelerator); err != nil {
		return err
	}
	var steps *atomic.Int64
	if r.OnState != nil {
		steps = new(atomic.Int64)
		r.OnState(func() launch.State { return rankState(g, steps.Load()) })
	}
	return leaveGroup(g, j.rank(ctx, r, g, steps))
}

// rankState returns a rank's progress.
func rankState(g *dist.Group, step int64) launch.State {
	s := launch.State{Step: step}
	if p := g.Pending(); len(p) > 0 {
		s.Waiting, s.Seq = p[0].What, uint64(p[0].Number)
		s.Since = time.Now().Add(p[0].Start - p[0].End)
	}
	return s
}

// leaveGroup ends a rank's part in the group. Ranks that succeeded, or were asked to stop, leave together: a connection
// that closes early would look like a lost peer to a slower one. A rank that failed frees the others at once.
func leaveGroup(g *dist.Group, err error) error {
	switch {
	case g.Size() == 1:
		return err
	case err != nil && !errors.Is(err, ErrStopped):
		g.Fail(err)
		return err
	}
	if lost := g.Leave(); err == nil {
		return lost
	}
	return err
}

// rank runs the body as one rank, on the calling goroutine, which is locked to its thread meanwhile. steps, where it is
// not nil, counts the optimizers' steps.
func (j *job) rank(ctx context.Context, r *launch.Rank, g *dist.Group, steps *atomic.Int64) (err error) {
	torch.RunRank(func() {
		torch.WithNumThreads(max(1, j.plan.Threads), func() {
			accelerator.With(j.plan.Accelerator, r.Devices[0], func() {
				var l *Lite
				if l, err = j.newLite(ctx, r, g, steps); err != nil {
					return
				}
				defer l.close()
				defer func() { err = errors.Join(err, l.closeSession(err)) }()
				r.Stop.Begin()
				body := func() { err = r.Stop.Outcome(guard(func() error { return j.runBody(ctx, l) })) }
				if r.WorldSize > 1 {
					torch.WithOwner((*watcher)(l), body)
				} else {
					body()
				}
				err = errors.Join(err, l.closeIO())
				err = errors.Join(err, l.closeLoggers(err))
			})
		})
	})
	return err
}

// runBody runs the function, and what a lazy device has put off.
func (j *job) runBody(ctx context.Context, l *Lite) error {
	if err := j.body(ctx, l); err != nil {
		return err
	}
	if l.syncStep != nil {
		l.syncStep()
	}
	return nil
}

// attach has a group carry tensors of an accelerator's devices. Every group has Gloo for those of the CPU.
func attach(g *dist.Group, a accelerator.Accelerator) error {
	switch name, _ := accelerator.Backend(a); name {
	case "", "gloo":
		return nil
	default:
		if err := g.Attach(name, torch.Device{Type: a.Type()}); err != nil {
			return fmt.Errorf("lite: accelerator %q: %w", a.Name(), err)
		}
		return nil
	}
}

func (j *job) newLite(ctx context.Context, r *launch.Rank, g *dist.Group, steps *atomic.Int64) (l *Lite, err error) {
	cfg := j.plan.Config
	l = &Lite{ctx: ctx, cfg: cfg, accelerator: j.plan.Accelerator, device: r.Devices[0], rank: r, group: g, steps: steps,
		out: cfg.Output, log: j.log}
	if x, ok := l.accelerator.(accelerator.StepSyncer); ok {
		l.syncStep = func() { x.SyncStep(l.device) }
	}
	if l.io, _ = j.plan.IO.(CheckpointIO); l.io == nil {
		l.io = &fileIO{}
	}
	if r.WorldSize > 1 {
		l.log = l.log.With(zap.Int("rank", r.GlobalRank))
	}
	err = guard(func() error {
		l.initRandom()
		var err error
		if l.precision, err = j.plan.Precision(l.device); err != nil {
			return err
		}
		return l.openSession(j.plan.Strategy, r.Devices, j.plan.Threads)
	})
	if err != nil {
		l.close()
		return l, err
	}
	if err = l.openLoggers(); err != nil {
		err = errors.Join(err, l.closeLoggers(err))
		err = errors.Join(err, l.closeSession(err))
		l.close()
	}
	return l, err
}

// guard turns a panic into an error.
func guard(f func() error) error { return launch.Try(f) }

// try is guard for a function without a result.
func try(f func()) error { return guard(func() error { f(); return nil }) }

// RankError is what ended a rank.
//
//	type RankError struct {
//		Rank  int    // the global rank
//		Err   error  // the cause
//		Stack []byte // of the panic, if it was one
//	}
type RankError = launch.RankError

// ErrStopped is what a run returns that ended early because it was asked to, by SIGTERM or Ctrl-C: on one device as on
// several. A process that golite started ends with exit code 75 then; see ExitCode.
var ErrStopped = launch.ErrStopped

// ExitStopped is the exit code of a rank's process that was asked to stop, and the code that a program should end with
// when Run returns ErrStopped: ExitCode gives it.
const ExitStopped = launch.ExitStopped

// ExitCode returns the code that a program should end with after Run: 0 for no error, ExitStopped for ErrStopped, else 1.
func ExitCode(err error) int { return launch.ExitCode(err) }

// Stopping reports whether the run was asked to end, by SIGTERM or Ctrl-C. It turns true at the same call on every
// rank: on several ranks it is a collective, to be called by all of them once a step. The context is cancelled only
// when the grace period of 30 s ends, or at a second signal, so that a last Save still works; the function then returns
// ErrStopped.
//
// In a run that has not called Stopping yet the passes of the loaders that were set up end at the next batch, with
// ErrStopped, and Run returns ErrStopped.
func (l *Lite) Stopping() bool {
	stopping := l.rank.Stop.Poll()
	if l.rank.WorldSize > 1 {
		stopping = l.anyRank(stopping)
	}
	if stopping {
		l.rank.Stop.Agree()
	}
	return stopping
}

// anyRank reports whether a condition holds on any rank, with one collective.
func (l *Lite) anyRank(here bool) bool {
	n := int64(0)
	if here {
		n = 1
	}
	t := torch.From([]int64{n}, 1)
	defer t.Release()
	l.group.AllReduce(t, dist.Max)
	return t.Item() > 0
}
