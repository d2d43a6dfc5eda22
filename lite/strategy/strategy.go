package strategy

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// Strategy is a strategy's settings. The value is read only: goroutine ranks share it.
type Strategy interface {
	// StrategyName is the name in Config.Strategy and in messages.
	StrategyName() string
	// Plan lays out the ranks of this node, or refuses the Request. The error says what is wrong and what to do
	// instead; lite adds the setting, where it was given and what the machine has. Plan is called in each process that
	// resolves the Config, with and without Request.Engine, and must give the same ranks.
	Plan(r Request) (Plan, error)
	// Open starts a Session on a rank, after Env.Group was joined. ctx ends with the run.
	Open(ctx context.Context, e *Env) (Session, error)
}

// Request is what a Config asks of a Strategy.
type Request struct {
	Accelerator accelerator.Accelerator // of the devices
	Devices     []torch.Device          // of this node
	DevicesText string                  // as they were given, for messages
	Nodes       int                     // machines
	Engine      string                  // what has started the ranks, such as "torchrun"; empty: golite starts them
}

// Plan is how a Strategy runs on a node.
type Plan struct {
	Ranks    [][]torch.Device // each local rank's devices, its own first
	Launcher string           // "here" (one rank, which is the caller of Run), "goroutines" or "processes"
	Backend  string           // of package dist for the ranks' tensors; empty: the Accelerator's
	Timeout  time.Duration    // of collectives; 0: Config.Timeout. lite refuses both
	Instead  Strategy         // takes this one's place, as "ddp" does for "dp" on a CPU: its Plan counts
	Warnings []string         // lite logs them when the run starts
}

// OnePerDevice is the layout of most strategies: a rank for each device.
func OnePerDevice(r Request) [][]torch.Device {
	ranks := make([][]torch.Device, len(r.Devices))
	for i, d := range r.Devices {
		ranks[i] = []torch.Device{d}
	}
	return ranks
}

// Env is a rank, as a Session needs it.
type Env struct {
	Rank, World           int                     // among all
	LocalRank, LocalWorld int                     // on its node
	Node                  int                     // from 0
	Devices               []torch.Device          // of Plan.Ranks: the rank's own, and those that it uses beside
	Accelerator           accelerator.Accelerator // of the devices
	Precision             amp.Precision           // of the run
	Group                 *dist.Group             // of all ranks, never nil. lite leaves and closes it
	Threads               int                     // intra-op threads of the rank
	Log                   *zap.Logger             // of the Config, with the rank's number

	// Place makes a module ready on the rank as ModuleOptions say: it converts it to the precision's type, gives it
	// memory where it is on the meta device, and moves it to the rank's device. A Session that places parameters by
	// itself, as shards, does not call it.
	Place func(m nn.Module, o ModuleOptions) error
}

// ModuleOptions are SetupModule's optional arguments.
type ModuleOptions struct {
	// NoMove leaves the module on the devices where it is, also on meta, for models that are placed by hand. It is
	// converted to the precision's type all the same.
	NoMove bool
}

// Session is a Strategy at work on one rank.
type Session interface {
	// SetupModule ties a module to its copies on the other ranks, and returns what surrounds its passes; nil: nothing
	// does, and a pass costs nothing. All ranks call it in the same order. Parameters stay the same *torch.Tensor.
	SetupModule(ctx context.Context, m nn.Module, o ModuleOptions) (Module, error)
	// Close undoes what SetupModule did, at the end of the run. err is the run's error; where there is one, peers may be
	// gone, and Close calls no collective.
	Close(err error) error
}

// Pass is one forward pass.
type Pass struct {
	Grad     bool // autograd records it
	Training bool // the module is in training mode
}

// Module surrounds the passes of one module: Forward, and the methods that lite.Bind was given.
type Module interface {
	// Forward runs f, which calls the module's method in the run's precision and returns the tensors that it made, and
	// returns the tensors that take their place, in the same order. Passes without gradients may come from several
	// goroutines at once.
	Forward(p Pass, f func() []*torch.Tensor) []*torch.Tensor
	// Synced reports whether gradients of such a pass are as the strategy wants them. Step refuses the gradients of a
	// model that has had no such pass. It is asked before a pass.
	Synced(p Pass) bool
}
