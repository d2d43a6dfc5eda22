package lite

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
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
