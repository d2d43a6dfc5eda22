package lite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// Lite is one rank's view of a run: its device, its precision, its group. Run makes it. Its methods are called on
// the goroutine of the function that Run was given.
type Lite struct {
	ctx         context.Context
	rank        *launch.Rank
	cfg         Config
	accelerator accelerator.Accelerator // of device
	device      torch.Device
	precision   amp.Precision
	group       *dist.Group      // of all ranks: of one where there is one
	session     strategy.Session // the strategy at work on this rank
	parts       parts            // of the session
	strategy    string           // its name
	log         *zap.Logger
	out         io.Writer

	seed      uint64 // of SeedEverything; 0 before
	noWorkers bool   // loaders' workers draw alike on all ranks
	rankGen   *torch.Generator
	pcg       *rand.PCG
	rand      *rand.Rand

	syncStep  func()         // of a lazy device (accelerator.StepSyncer); nil: of any other
	recording bool           // Capture records a step, whose work doesn't run yet
	stepped   func(*stepper) // hears of optimizers' steps
	cast      atomic.Bool    // Autocast ran something to train by

	models   []*handle
	steppers []*stepper               // of the optimizers that are set up
	others   map[*torch.Tensor]*loose // of optimizers that were not set up, by their first tensor
	warned   bool                     // of one of those
	noted    bool                     // of a loader there is a note, which the end of the run deletes
	steps    *atomic.Int64            // the most steps of any optimizer; nil: they are not read
	restore  []*teardown              // undone, last first, when the run ends
	io       CheckpointIO
	tidy     sync.Once
}

// Device returns the device of this rank.
func (l *Lite) Device() torch.Device { return l.device }

// WorldSize returns the number of ranks on all nodes.
func (l *Lite) WorldSize() int { return l.rank.WorldSize }

// GlobalRank returns this rank's number among all, from 0.
func (l *Lite) GlobalRank() int { return l.rank.GlobalRank }

// LocalRank returns this rank's number among those of its node, from 0.
func (l *Lite) LocalRank() int { return l.rank.LocalRank }

// NodeRank returns the number of this rank's node, from 0.
func (l *Lite) NodeRank() int { return l.rank.NodeRank }

// IsGlobalZero tells the one rank, of all nodes, that does what is done once.
func (l *Lite) IsGlobalZero() bool { return l.rank.GlobalRank == 0 }

// Precision returns the precision's name, such as "bf16-mixed".
func (l *Lite) Precision() string { return l.precision.Name() }

// Logger returns the logger of the Config, with the rank's number as a field where there are several ranks. Without one it
// writes warnings to the standard error, and nothing else.
func (l *Lite) Logger() *zap.Logger { return l.log }

// Print prints its operands as fmt.Println does, on the first rank of each node only.
func (l *Lite) Print(args ...any) {
	if l.rank.LocalRank == 0 {
		fmt.Fprintln(l.output(), args...)
	}
}

// Printf prints a line formatted as by fmt.Printf, on the first rank of each node only. The line end is added.
func (l *Lite) Printf(format string, args ...any) {
	if l.rank.LocalRank == 0 {
		fmt.Fprintf(l.output(), format+"\n", args...)
	}
}

func (l *Lite) output() io.Writer {
	if l.out != nil {
		return l.out
	}
	return os.Stdout
}

// Autocast runs f as a model's forward pass runs: with autocast in mixed precision, with the default type of
// "64-true" and the like (Fabric.autocast). It is for operations outside of a model's forward, such as a loss. Inputs are
// not converted, and neither is what comes out.
func (l *Lite) Autocast(f func()) {
	if f == nil {
		torch.Fail("lite.Autocast", "the function is nil")
	}
	if torch.GradEnabled() && !l.cast.Load() {
		l.cast.Store(true)
	}
	l.precision.Forward(l.device.Type, f)
}

// AutocastOf is Autocast for a function with a result.
func AutocastOf[T any](l *Lite, f func() T) (result T) {
	if f == nil {
		torch.Fail("lite.AutocastOf", "the function is nil")
	}
	l.Autocast(func() { result = f() })
	return result
}

// parts are the optional parts of the run's Session, with what holds without them. What runs at every step is nil
// where the Session has no such part.
type parts struct {
	setupOptimizer func(o optim.Optimizer) error
	initModule     func(build func(), empty bool)
	seed           func(seed uint64)
	capturable     func() error
	backward       strategy.Backwarder
	step           strategy.Stepper
	norm           strategy.GradNormer
	checker        strategy.GradChecker
	state          strategy.Stateful
	checkpoint     strategy.Checkpointer
}

// openSession opens the strategy's Session on this rank.
func (l *Lite) openSession(s Strategy, devices []torch.Device, threads int) error {
	e := &strategy.Env{
		Rank: l.rank.GlobalRank, World: l.rank.WorldSize, LocalRank: l.rank.LocalRank, LocalWorld: l.rank.LocalWorldSize, Node: l.rank.NodeRank,
		Accelerator: l.accelerator, Devices: devices, Precision: l.precision, Group: l.group, Threads: max(1, threads), Log: l.log, Place: l.placeModule,
	}
	session, err := s.Open(l.ctx, e)
	switch {
	case err != nil:
		return fmt.Errorf("lite: strategy %q: %w", s.StrategyName(), err)
	case session == nil:
		return fmt.Errorf("lite: strategy %q: Open of %T returned no Session", s.StrategyName(), s)
	}
	l.session, l.strategy = session, s.StrategyName()
	if err := checkUnwrap[strategy.Session](session); err != nil {
		return errors.Join(fmt.Errorf("lite: strategy %q: %w", s.StrategyName(), err), l.closeSession(err))
	}
	l.parts = l.partsOf(session, s.StrategyName())
	if scaler := l.precision.Scaler(); scaler != nil {
		if x, ok := strategy.As[strategy.FoundInfReducer](session); ok {
			scaler.OnFoundInf(x.ReduceFoundInf)
			l.atEnd(func() { scaler.OnFoundInf(nil) })
		}
	}
	return nil
}

// partsOf finds a Session's parts.
func (l *Lite) partsOf(s strategy.Session, name string) parts {
	p := parts{
		setupOptimizer: func(o optim.Optimizer) error { optim.MoveState(o); return nil },
		initModule:     l.initModule,
		seed:           func(uint64) {},
		capturable:     func() error { return fmt.Errorf("strategy %q has no Capturer", name) },
	}
	if x, ok := strategy.As[strategy.OptimizerSetter](s); ok {
		p.setupOptimizer = x.SetupOptimizer
	}
	if x, ok := strategy.As[strategy.ModuleIniter](s); ok {
		p.initModule = x.InitModule
	}
	if x, ok := strategy.As[strategy.Seeder](s); ok {
		p.seed = x.Seed
	}
	if x, ok := strategy.As[strategy.Capturer](s); ok {
		p.capturable = x.Capturable
	}
	p.backward, _ = strategy.As[strategy.Backwarder](s)
	p.step, _ = strategy.As[strategy.Stepper](s)
	p.norm, _ = strategy.As[strategy.GradNormer](s)
	p.state, _ = strategy.As[strategy.Stateful](s)
	p.checkpoint, _ = strategy.As[strategy.Checkpointer](s)
	if l.rank.WorldSize > 1 {
		p.checker, _ = strategy.As[strategy.GradChecker](s)
	}
	return p
}

// closeSession ends the strategy's part in the run, whose error err is.
func (l *Lite) closeSession(err error) error {
	s := l.session
	if s == nil {
		return nil
	}
	l.session = nil
	return guard(func() error { return s.Close(err) })
}

// checkUnwrap refuses a value that embeds one of type T, a Session or a Module, and hides that one's optional parts:
// without them a run would go on with gradients that are not averaged, say.
func checkUnwrap[T any](v T) error {
	t := reflect.TypeOf(v)
	if _, open := any(v).(interface{ Unwrap() any }); open || t == nil {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Type == reflect.TypeFor[T]() {
			return fmt.Errorf("%T embeds a %s and has no method Unwrap() any, without which the optional parts of what it embeds are lost: "+
				"let it return the field %s", v, f.Type, f.Name)
		}
	}
	return nil
}

// initModule runs build on the rank's device, or on meta's if the module is to be empty, in the precision's type.
func (l *Lite) initModule(build func(), empty bool) {
	device := l.device
	if empty {
		device = torch.Meta
	}
	torch.WithDevice(device, build)
}
