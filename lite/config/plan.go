package config

import (
	"time"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

// Plan is a Config that was found good: what Run does.
type Plan struct {
	Config      Config                                      // as it was given
	Accelerator accelerator.Accelerator                     // of the ranks' devices
	Strategy    strategy.Strategy                           // what takes part, where another was given
	Launcher    string                                      // "here", "goroutines", "processes" or "external", or one that was registered
	OwnLauncher launch.Launcher                             // among the plugins, in place of Launcher where golite starts the ranks
	Precision   func(d torch.Device) (amp.Precision, error) // makes a rank's
	IO          any                                         // the checkpoint I/O among the plugins; nil: none

	// Ranks are this node's, by local rank: the devices of each, its own first. Backend is that of package dist for
	// their tensors, and Threads the intra-op threads of each.
	Ranks   [][]torch.Device
	Backend string
	Threads int

	// Placement is this process's; where it supervises the ranks it is that of the node's first rank. Variables are
	// those that make this process a rank, as "RANK=0, WORLD_SIZE=2".
	Environment cluster.Environment
	Nodes       int
	Placement   cluster.Placement
	Variables   string

	Timeout  time.Duration // of collectives
	Debug    bool          // processes compare their calls
	Prefix   bool          // each line of output begins with its rank
	Warnings []string      // to be logged when the run starts
}
