package lite

import (
	"slices"
	"time"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/config"
	"github.com/golite/golite/torch"
)

// launchKind is how the ranks of this node come to be.
type launchKind int

const (
	launchHere       launchKind = iota // one rank, the calling goroutine
	launchGoroutines                   // one goroutine a device
	launchProcesses                    // golite supervises one process a device
	launchExternal                     // an engine, or golite's supervisor, has started this process as a rank
)

// plan is a Config that was found good: what Run does.
type plan struct {
	config      Config
	launch      launchKind
	strategy    Strategy
	accelerator accelerator.Accelerator // of the devices
	devices     []torch.Device          // of this node's ranks, by local rank; with DP the replicas', and there is one rank
	ranks       [][]torch.Device        // the same, by rank
	nodes       int
	timeout     time.Duration
	threads     int // intra-op threads of each rank
	debug       bool
	prefix      bool // each line of output begins with its rank
	warnings    []string

	precision   func(d torch.Device) (amp.Precision, error) // makes a rank's
	io          CheckpointIO                                // nil: golite's own
	environment cluster.Environment
	variables   string            // with launchExternal: those that make this process a rank, as "RANK=0, WORLD_SIZE=2"
	place       cluster.Placement // where launch is launchProcesses, that of the node's first rank
}

// localRanks is the number of ranks on this node.
func (p *plan) localRanks() int { return len(p.ranks) }

// resolveConfig finds what the Config means on this machine. The error is a *ConfigError, or a cluster environment's.
func resolveConfig(c Config) (*plan, error) {
	r, err := config.Resolve(c, config.ThisMachine{})
	if err != nil {
		return nil, err
	}
	p := &plan{config: c, strategy: r.Strategy, accelerator: r.Accelerator, devices: slices.Concat(r.Ranks...), ranks: r.Ranks, nodes: r.Nodes,
		timeout: r.Timeout, threads: r.Threads, debug: r.Debug, prefix: r.Prefix, warnings: r.Warnings,
		precision: r.Precision, environment: r.Environment, variables: r.Variables, place: r.Placement}
	p.launch = map[string]launchKind{"here": launchHere, "goroutines": launchGoroutines, "processes": launchProcesses, "external": launchExternal}[r.Launcher]
	p.io, _ = r.IO.(CheckpointIO)
	return p, nil
}
