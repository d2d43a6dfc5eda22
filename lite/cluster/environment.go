package cluster

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// DefaultPort is the rendezvous port where neither MASTER_PORT nor a job id gives one.
const DefaultPort = 12910

// Lookup returns the value of an environment variable and whether it is set, as os.LookupEnv does.
type Lookup func(key string) (string, bool)

// Map returns a Lookup that reads m instead of the process's environment.
func Map(m map[string]string) Lookup {
	return func(key string) (string, bool) {
		v, ok := m[key]
		return v, ok
	}
}

// Environment tells a process its place in a job. It corresponds to Lightning's ClusterEnvironment.
//
// All methods but Name, Detect and LaunchesExternally may be called only where Detect reports true, or where the user
// named the environment as a plugin; they return an error that names the variable that is missing or malformed.
type Environment interface {
	// Name is what messages call it, as "SLURM".
	Name() string
	// Detect reports whether this process was started by the engine.
	Detect() bool
	// LaunchesExternally reports whether the engine has started every rank already. Where it is false, golite starts them.
	LaunchesExternally() bool
	// MainAddress is the host name or IP address where rank 0 listens.
	MainAddress() (string, error)
	// MainPort is the TCP port where rank 0 listens. 0 means that rank 0 takes any free port and publishes it.
	MainPort() (int, error)
	// WorldSize is the number of ranks on all nodes.
	WorldSize() (int, error)
	// GlobalRank is this process's rank, from 0 to WorldSize-1.
	GlobalRank() (int, error)
	// LocalRank is this process's rank on its node, from 0 to LocalWorldSize-1.
	LocalRank() (int, error)
	// NodeRank is the index of this process's node.
	NodeRank() (int, error)
	// LocalWorldSize is the number of ranks on this node.
	LocalWorldSize() (int, error)
	// Validate checks the number of devices on a node and of nodes that the user asked for against what the engine started.
	Validate(devices, nodes int) error
}

// ErrorReporter is an Environment whose engine collects the error of a failed rank, such as torchrun.
type ErrorReporter interface {
	// ReportError gives the engine the error of this process's rank, and the stack of a panic.
	ReportError(message, stack string) error
}

// StoreHost is an Environment whose engine may itself serve the TCPStore at MainAddress and MainPort, such as torchrun.
type StoreHost interface {
	// AgentStore reports whether it does: rank 0 then connects to it as the others do, and binds nothing.
	AgentStore() bool
	// StorePrefix begins the keys of this start of the ranks.
	StorePrefix() (string, error)
}

// Shaped is an Environment that can't know the size of the job itself and is told: Local, Manual, and what embeds Base.
type Shaped interface {
	// SetShape tells the number of devices (ranks) on a node, and of nodes.
	SetShape(devices, nodes int)
}

// All returns the environments that golite knows, in the order in which Detect tries them. A nil lookup reads the
// environment of the process.
func All(lookup Lookup) []Environment {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	return []Environment{
		NewTorchElastic(lookup), NewHorovod(lookup), NewSLURM(lookup), NewLSF(lookup), NewMPI(lookup), NewKubeflow(lookup),
		NewManual(lookup), NewLocal(lookup),
	}
}

// Detect returns plugin where it is not nil, and else the first environment of All whose Detect reports true. The last
// one, Local, always does. A nil lookup reads the environment of the process.
func Detect(plugin Environment, lookup Lookup) Environment {
	if plugin != nil {
		return plugin
	}
	all := All(lookup)
	for _, e := range all {
		if e.Detect() {
			return e
		}
	}
	return all[len(all)-1]
}

// Placement is everything that an Environment knows: where a process stands in its job. Place gives it, checked.
type Placement struct {
	MainAddress    string // the host of rank 0, where the ranks meet
	MainPort       int    // 0: rank 0 takes a free port and publishes it
	WorldSize      int    // how many ranks the job has
	GlobalRank     int    // this process among all, from 0
	LocalRank      int    // this process among those of its node, from 0
	NodeRank       int    // this node among all, from 0
	LocalWorldSize int    // how many ranks this node has
}

// Place validates devices and nodes against env, asks env for everything, and checks that the answers agree. All that is
// wrong is reported in one error.
func Place(env Environment, devices, nodes int) (Placement, error) {
	if err := env.Validate(devices, nodes); err != nil {
		return Placement{}, err
	}
	if s, ok := env.(Shaped); ok {
		s.SetShape(devices, nodes)
	}
	var p Placement
	var errs []error
	var err error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	p.MainAddress, err = env.MainAddress()
	keep(err)
	for _, f := range []struct {
		into *int
		from func() (int, error)
	}{
		{&p.MainPort, env.MainPort}, {&p.WorldSize, env.WorldSize}, {&p.GlobalRank, env.GlobalRank},
		{&p.LocalRank, env.LocalRank}, {&p.NodeRank, env.NodeRank}, {&p.LocalWorldSize, env.LocalWorldSize},
	} {
		*f.into, err = f.from()
		keep(err)
	}
	if len(errs) > 0 {
		return Placement{}, fmt.Errorf("cluster environment %s: %w", env.Name(), errors.Join(errs...))
	}
	if err := p.check(nodes); err != nil {
		return Placement{}, fmt.Errorf("cluster environment %s: %w", env.Name(), err)
	}
	return p, nil
}

func (p Placement) check(nodes int) error {
	switch {
	case p.WorldSize < 1:
		return fmt.Errorf("a world of %d ranks", p.WorldSize)
	case p.NodeRank < 0 || p.NodeRank >= max(nodes, 1):
		return fmt.Errorf("node rank %d, but %d nodes: set the number of nodes (-num-nodes), or NODE_RANK", p.NodeRank, nodes)
	case p.GlobalRank < 0 || p.GlobalRank >= p.WorldSize:
		return fmt.Errorf("global rank %d is not in a world of %d ranks", p.GlobalRank, p.WorldSize)
	case p.LocalRank < 0 || p.LocalRank >= p.LocalWorldSize:
		return fmt.Errorf("local rank %d is not among the %d ranks of its node", p.LocalRank, p.LocalWorldSize)
	case p.LocalWorldSize > p.WorldSize:
		return fmt.Errorf("%d ranks on one node, but %d in all", p.LocalWorldSize, p.WorldSize)
	case p.MainPort < 0 || p.MainPort > 65535:
		return fmt.Errorf("port %d is not from 1 to 65535 (0: any)", p.MainPort)
	case p.MainAddress == "":
		return errors.New("no address of rank 0: set MASTER_ADDR to its host")
	}
	return nil
}

// vars reads variables with errors that name them.
type vars struct {
	engine string
	lookup Lookup
}

func (v vars) text(key string) (string, bool) {
	s, ok := v.lookup(key)
	s = strings.TrimSpace(s)
	return s, ok && s != ""
}

func (v vars) has(keys ...string) bool {
	for _, k := range keys {
		if _, ok := v.text(k); !ok {
			return false
		}
	}
	return true
}

// number returns the first of the variables that is set.
func (v vars) number(keys ...string) (n int, ok bool, err error) {
	for _, key := range keys {
		s, set := v.text(key)
		if !set {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, true, fmt.Errorf("%s=%q is not a whole number", key, s)
		}
		return n, true, nil
	}
	return 0, false, nil
}

// need is number for variables that must be set.
func (v vars) need(keys ...string) (int, error) {
	n, ok, err := v.number(keys...)
	if err == nil && !ok {
		return 0, fmt.Errorf("%s is not set, though %s sets it: was the program started by it?", strings.Join(keys, " or "), v.engine)
	}
	return n, err
}

// or is number with a default.
func (v vars) or(def int, keys ...string) (int, error) {
	n, ok, err := v.number(keys...)
	if err == nil && !ok {
		return def, nil
	}
	return n, err
}

func (v vars) textOr(def string, keys ...string) string {
	for _, key := range keys {
		if s, ok := v.text(key); ok {
			return s
		}
	}
	return def
}

func newVars(engine string, lookup Lookup) vars {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	return vars{engine, lookup}
}
