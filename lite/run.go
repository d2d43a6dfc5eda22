package lite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// RankError is what ended a rank.
type RankError struct {
	Rank  int    // the global rank
	Err   error  // the cause
	Stack []byte // of the panic, if it was one
}

// Error names the rank and the cause.
func (e *RankError) Error() string {
	if _, named := errors.AsType[*supervisor.JobError](e.Err); named {
		return e.Err.Error() // it begins with the rank
	}
	s := fmt.Sprintf("rank %d: %v", e.Rank, e.Err)
	if len(e.Stack) > 0 {
		s += "\n" + string(e.Stack)
	}
	return s
}

// Unwrap returns the cause.
func (e *RankError) Unwrap() error { return e.Err }

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
	plan, err := resolveConfig(cfg)
	if err != nil {
		return value.get(), err
	}
	j := &job{
		plan: plan,
		body: func(ctx context.Context, l *Lite) error {
			v, err := f(ctx, l)
			if l.place.global == 0 {
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
	plan   *plan
	log    *zap.Logger // from run on
	met    atomic.Bool // this process's rank has met the others
	body   func(ctx context.Context, l *Lite) error
	encode func() []byte // rank 0's result
	decode func([]byte) error
}

func (j *job) run(ctx context.Context) error {
	if j.log = j.plan.config.Logger; j.log == nil {
		j.log = stderrWarnings()
	}
	if err := checkProcess(j.plan.launch == launchGoroutines); err != nil {
		return err
	}
	j.announce()
	switch j.plan.launch {
	case launchHere:
		ctx, stop := watchSignals(ctx, j.log)
		defer stop.close()
		return j.rank(ctx, rankSpec{place: place{world: 1, localWorld: 1}, device: j.plan.devices[0], beside: j.plan.devices[1:], stop: stop})
	case launchGoroutines:
		return j.runGoroutines(ctx)
	case launchExternal:
		return j.runExternal(ctx)
	default:
		return j.supervise(ctx)
	}
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
	for _, w := range j.plan.warnings {
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

// rankSpec is what makes a rank: its place, its device, its group and the way to a signal.
type rankSpec struct {
	place  place
	device torch.Device
	beside []torch.Device // those that the rank uses beside its own
	group  *dist.Group    // nil: the rank is alone
	stop   *stopper
	steps  *atomic.Int64 // counts the optimizers' steps, where somebody looks at it
}

// rank runs the body as one rank, on the calling goroutine, which is locked to its thread meanwhile.
func (j *job) rank(ctx context.Context, s rankSpec) (err error) {
	if s.group == nil {
		s.group = dist.Alone(ctx, j.groupOptions())
		defer s.group.Close()
		if err := attach(s.group, j.plan.accelerator); err != nil {
			return err
		}
	}
	torch.Root(func() {
		torch.WithNumThreads(max(1, j.plan.threads), func() {
			accelerator.With(j.plan.accelerator, s.device, func() {
				var l *Lite
				if l, err = j.newLite(ctx, s); err != nil {
					return
				}
				defer l.close()
				defer func() { err = errors.Join(err, l.closeSession(err)) }()
				s.stop.begin()
				body := func() { err = s.stop.outcome(guard(func() error { return j.runBody(ctx, l) })) }
				if s.place.world > 1 {
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
	case "nccl":
		return g.AttachNCCL()
	case "", "gloo":
		return nil
	default:
		return fmt.Errorf("lite: accelerator %q asks for the backend %q: want gloo or nccl", a.Name(), name)
	}
}

func (j *job) newLite(ctx context.Context, s rankSpec) (l *Lite, err error) {
	cfg := j.plan.config
	l = &Lite{ctx: ctx, cfg: cfg, accelerator: j.plan.accelerator, device: s.device, place: s.place, group: s.group, stop: s.stop, steps: s.steps, out: cfg.Output, io: j.plan.io, log: j.log}
	if x, ok := l.accelerator.(accelerator.StepSyncer); ok {
		l.syncStep = func() { x.SyncStep(l.device) }
	}
	if l.io == nil {
		l.io = &fileIO{}
	}
	if s.place.world > 1 {
		l.log = l.log.With(zap.Int("rank", s.place.global))
	}
	err = guard(func() error {
		l.initRandom()
		var err error
		if l.precision, err = j.plan.precision(s.device); err != nil {
			return err
		}
		return l.openSession(j.plan.strategy, append([]torch.Device{s.device}, s.beside...), j.plan.threads)
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

// guard turns a panic into an error: an operation's or a collective's own, or one with its stack.
func guard(f func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			var te *torch.Error
			var re *dist.RankError
			if errors.As(v, &te) || errors.As(v, &re) {
				err = v
				return
			}
			err = &panicError{v, debug.Stack()}
		default:
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// panicError is a panic of the user's function that is no operation's.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// try is guard for a function without a result.
func try(f func()) error { return guard(func() error { f(); return nil }) }
