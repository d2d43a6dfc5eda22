package cluster

import (
	"fmt"
	"os"
)

// Base reads the variables that PyTorch itself uses (MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK, LOCAL_RANK, NODE_RANK
// or GROUP_RANK, LOCAL_WORLD_SIZE) and computes what is not set from the number of devices and nodes. An Environment of
// one's own embeds it and overrides what its cluster has under other names:
//
//	type MyCluster struct{ cluster.Base }
//
//	func (MyCluster) Name() string                 { return "my cluster" }
//	func (MyCluster) MainAddress() (string, error) { return os.Getenv("MY_HEAD_NODE"), nil }
//
// The zero Base is ready, and reads the environment of the process.
type Base struct {
	Lookup Lookup // nil: os.LookupEnv

	devices, nodes int
}

func (b *Base) vars() vars {
	if b.Lookup == nil {
		return vars{"the launcher", os.LookupEnv}
	}
	return vars{"the launcher", b.Lookup}
}

// Name is "base"; override it.
func (b *Base) Name() string { return "base" }

// Detect reports false: an environment of one's own is a plugin, and Detect is not called on plugins.
func (b *Base) Detect() bool { return false }

// LaunchesExternally reports true.
func (b *Base) LaunchesExternally() bool { return true }

// SetShape sets the number of devices on a node, and of nodes.
func (b *Base) SetShape(devices, nodes int) { b.devices, b.nodes = devices, nodes }

// MainAddress is MASTER_ADDR, else 127.0.0.1.
func (b *Base) MainAddress() (string, error) { return b.vars().textOr("127.0.0.1", "MASTER_ADDR"), nil }

// MainPort is MASTER_PORT, else 12910.
func (b *Base) MainPort() (int, error) { return b.vars().or(DefaultPort, "MASTER_PORT") }

// WorldSize is WORLD_SIZE, else devices times nodes.
func (b *Base) WorldSize() (int, error) {
	return b.vars().or(max(b.devices, 1)*max(b.nodes, 1), "WORLD_SIZE")
}

// GlobalRank is RANK, else the node's rank times the ranks of a node, plus the local rank.
func (b *Base) GlobalRank() (int, error) {
	if rank, ok, err := b.vars().number("RANK"); ok || err != nil {
		return rank, err
	}
	node, err := b.NodeRank()
	if err != nil {
		return 0, err
	}
	local, err := b.LocalRank()
	if err != nil {
		return 0, err
	}
	return node*max(b.devices, 1) + local, nil
}

// LocalRank is LOCAL_RANK, else RANK modulo LOCAL_WORLD_SIZE, else 0.
func (b *Base) LocalRank() (int, error) {
	v := b.vars()
	if local, ok, err := v.number("LOCAL_RANK"); ok || err != nil {
		return local, err
	}
	rank, err := v.or(0, "RANK")
	if err != nil {
		return 0, err
	}
	size, err := b.LocalWorldSize()
	if err != nil || size < 1 {
		return 0, err
	}
	return rank % size, nil
}

// NodeRank is NODE_RANK, else GROUP_RANK, else 0.
func (b *Base) NodeRank() (int, error) { return b.vars().or(0, "NODE_RANK", "GROUP_RANK") }

// LocalWorldSize is LOCAL_WORLD_SIZE, else the number of devices.
func (b *Base) LocalWorldSize() (int, error) {
	return b.vars().or(max(b.devices, 1), "LOCAL_WORLD_SIZE")
}

// Validate checks that devices times nodes is WORLD_SIZE, where that is set.
func (b *Base) Validate(devices, nodes int) error {
	world, ok, err := b.vars().number("WORLD_SIZE")
	if err != nil || !ok {
		return err
	}
	return checkWorld("WORLD_SIZE", devices, nodes, world)
}

func checkWorld(key string, devices, nodes, world int) error {
	if devices*nodes == world {
		return nil
	}
	return fmt.Errorf("devices=%d and num_nodes=%d make %d ranks, but %s is %d: set devices and num_nodes so that their product is %d",
		devices, nodes, devices*nodes, key, world, world)
}

// Local is a job that no engine started (lightning.fabric.plugins.environments.LightningEnvironment): golite starts the
// ranks of this node itself, and the user starts the program once on each node, with NODE_RANK, MASTER_ADDR and
// MASTER_PORT set where there are several.
type Local struct{ Base }

// NewLocal returns the environment of a job that golite launches. A nil lookup reads the environment of the process.
func NewLocal(lookup Lookup) *Local { return &Local{Base{Lookup: lookup}} }

// Name is "local".
func (e *Local) Name() string { return "local" }

// Detect reports true always: Local is what remains.
func (e *Local) Detect() bool { return true }

// LaunchesExternally reports false.
func (e *Local) LaunchesExternally() bool { return false }

// MainPort is MASTER_PORT. Without it, it is 0 on one node: rank 0 takes a free port and publishes it, so that two jobs
// on one host never meet. Several nodes need it set.
func (e *Local) MainPort() (int, error) {
	port, ok, err := e.vars().number("MASTER_PORT")
	if err == nil && !ok && e.nodes > 1 {
		return 0, fmt.Errorf("%d nodes need MASTER_PORT: set it to the same free port of node 0 on every node", e.nodes)
	}
	return port, err
}

// MainAddress is MASTER_ADDR. Without it, it is 127.0.0.1 on one node; several nodes need it set.
func (e *Local) MainAddress() (string, error) {
	addr, ok := e.vars().text("MASTER_ADDR")
	if ok {
		return addr, nil
	}
	if e.nodes > 1 {
		return "", fmt.Errorf("%d nodes need MASTER_ADDR: set it to the address of node 0 on every node", e.nodes)
	}
	return "127.0.0.1", nil
}

// WorldSize is devices times nodes: a WORLD_SIZE left over from elsewhere has no meaning for ranks that golite starts.
func (e *Local) WorldSize() (int, error) { return max(e.devices, 1) * max(e.nodes, 1), nil }

// GlobalRank is that of the node's first rank.
func (e *Local) GlobalRank() (int, error) {
	node, err := e.NodeRank()
	return node * max(e.devices, 1), err
}

// LocalRank is 0.
func (e *Local) LocalRank() (int, error) { return 0, nil }

// LocalWorldSize is the number of devices.
func (e *Local) LocalWorldSize() (int, error) { return max(e.devices, 1), nil }

// Validate checks that there is a device and a node.
func (e *Local) Validate(devices, nodes int) error {
	if devices < 1 || nodes < 1 {
		return fmt.Errorf("devices=%d and num_nodes=%d: both must be 1 or more", devices, nodes)
	}
	return nil
}

// Manual is a job whose processes the user starts, with PyTorch's variables set by hand.
type Manual struct{ Base }

// NewManual returns the environment of ranks started by hand. A nil lookup reads the environment of the process.
func NewManual(lookup Lookup) *Manual { return &Manual{Base{Lookup: lookup}} }

// Name is "variables set by hand".
func (e *Manual) Name() string { return "variables set by hand" }

// Detect reports whether LOCAL_RANK is set, or RANK with WORLD_SIZE and MASTER_ADDR.
func (e *Manual) Detect() bool {
	return e.vars().has("LOCAL_RANK") || e.vars().has("RANK", "WORLD_SIZE", "MASTER_ADDR")
}

// Validate checks the product of devices and nodes against WORLD_SIZE, and that the local rank is known.
func (e *Manual) Validate(devices, nodes int) error {
	v := e.vars()
	if !v.has("LOCAL_RANK") && !v.has("LOCAL_WORLD_SIZE") && devices > 1 {
		return fmt.Errorf("RANK is set, but neither LOCAL_RANK nor LOCAL_WORLD_SIZE: "+
			"set LOCAL_RANK from 0 to %d in each process", devices-1)
	}
	return e.Base.Validate(devices, nodes)
}
