package lite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	nodes       int
	timeout     time.Duration
	threads     int // intra-op threads of each rank
	debug       bool
	prefix      bool // each line of output begins with its rank
	warnings    []string

	precision       string        // Fabric's name; empty where precisionPlugin is there
	precisionPlugin amp.Precision // nil: by name
	io              CheckpointIO  // nil: golite's own
	environment     cluster.Environment
	variables       string            // with launchExternal: those in the environment that make this process a rank, as "RANK=0, WORLD_SIZE=2"
	place           cluster.Placement // where launch is launchProcesses, that of the node's first rank
}

// localRanks is the number of ranks on this node.
func (p *plan) localRanks() int {
	if _, dp := p.strategy.(DP); dp {
		return 1
	}
	return len(p.devices)
}

// resolveConfig finds what the Config means on this machine. The error is a *ConfigError, or a cluster environment's.
func resolveConfig(c Config) (*plan, error) { return resolve(c, thisMachine{}) }

func resolve(c Config, m machine) (*plan, error) {
	p, err := planFor(c, m)
	if e, ok := errors.AsType[*ConfigError](err); ok && e.Machine == "" && slices.Contains(aboutDevices, e.Setting) {
		e.Machine = describe(m)
	}
	return p, err
}

// aboutDevices are the settings whose errors end in what the machine has.
var aboutDevices = []string{"accelerator", "strategy", "devices", "gpus", "tpu_cores"}

func planFor(c Config, m machine) (*plan, error) {
	for i, callback := range c.Callbacks {
		if callback == nil {
			return nil, &ConfigError{Setting: "callbacks", From: "Config.Callbacks", Problem: fmt.Sprintf("callback %d is nil", i)}
		}
	}
	for i, logger := range c.Loggers {
		if logger == nil {
			return nil, &ConfigError{Setting: "loggers", From: "Config.Loggers", Problem: fmt.Sprintf("logger %d is nil", i)}
		}
	}
	merged, from, err := config.Merge(c, m.lookup, m.readFile)
	if err != nil {
		return nil, err
	}
	r := &resolver{m: m, s: merged, from: from, plan: &plan{config: c, debug: merged.Debug, prefix: merged.PrefixOutput}}
	for _, step := range []func() error{r.sortPlugins, r.findEngine, r.chooseAccelerator, r.listDevices, r.countNodes, r.chooseStrategy, r.choosePrecision, r.findPlace} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.plan, nil
}

// resolver works out a plan, one subject after the other.
type resolver struct {
	*plan
	m        machine
	s        Config            // what all places give
	from     map[string]string // by key, where a setting was given
	external bool
}

// fail makes an error about one setting that ends in what the machine has.
func (r *resolver) fail(name, value, from, problem string, args ...any) error {
	return &ConfigError{Setting: name, Value: value, From: from, Problem: fmt.Sprintf(problem, args...), Machine: describe(r.m)}
}

// sortPlugins sorts Config.Plugins by kind.
func (r *resolver) sortPlugins() error {
	seen := map[string]bool{}
	for i, p := range r.config.Plugins {
		from := fmt.Sprintf("Config.Plugins[%d]", i)
		kind := ""
		switch p := p.(type) {
		case cluster.Environment:
			kind, r.environment = "cluster environment", p
		case amp.Precision:
			kind, r.precisionPlugin = "precision", p
		case CheckpointIO:
			kind, r.io = "checkpoint I/O", p
		case accelerator.Accelerator:
			kind = "accelerator"
			if other := r.from["accelerator"]; other != "" {
				return &ConfigError{Setting: "accelerator", From: from, Problem: "an accelerator is given as well by " + other + ": give one of the two"}
			}
			r.s.Accelerator, r.from["accelerator"] = p, from
		case Strategy:
			kind = "strategy"
			if other := r.from["strategy"]; other != "" {
				return &ConfigError{Setting: "strategy", From: from, Problem: "a strategy is given as well by " + other + ": give one of the two"}
			}
			r.s.Strategy, r.from["strategy"] = p, from
		default:
			return &ConfigError{Setting: "plugins", From: from,
				Problem: fmt.Sprintf("a %T is no plugin: want a cluster.Environment, an amp.Precision, a CheckpointIO, an accelerator or a strategy value", p)}
		}
		if seen[kind] {
			return &ConfigError{Setting: "plugins", From: from, Problem: "this is the second " + kind + ": give one of each kind at most"}
		}
		seen[kind] = true
	}
	if r.precisionPlugin != nil && r.from["precision"] != "" {
		return &ConfigError{Setting: "precision", Value: r.s.Precision, From: r.from["precision"], Problem: "a precision plugin is given as well: give one of the two"}
	}
	return nil
}

// findEngine finds the engine, if there is one, and takes from it the number of devices, where none or "auto" was given.
func (r *resolver) findEngine() error {
	r.environment = cluster.Detect(r.environment, r.m.lookup)
	r.external = r.environment.LaunchesExternally()
	r.nodes = max(1, r.s.NumNodes)
	if !r.external {
		if advice := cluster.NewSLURM(r.m.lookup).Warning(r.m.hasCommand("srun")); advice != "" {
			r.warn(advice)
		}
		return nil
	}
	spec, err := r.s.Devices.Parse()
	if err != nil {
		return nil // chooseAccelerator says so
	}
	name := r.acceleratorName()
	switch spec.Kind {
	case accelerator.Unset, accelerator.None:
		if name == "" || name == "auto" && spec.Kind == accelerator.None {
			r.s.Accelerator, r.from["accelerator"] = "cpu", "the default"
		} else if spec.Kind == accelerator.None && name != "cpu" {
			return nil // listDevices refuses it
		}
	case accelerator.Auto:
	default:
		return nil
	}
	local, err := r.environment.LocalWorldSize()
	if err != nil {
		return fmt.Errorf("lite: cluster environment %s: %w", r.environment.Name(), err)
	}
	r.s.Devices, r.from["devices"] = DeviceCount(local), r.environment.Name()
	return nil
}

// countNodes takes the number of nodes from the engine, where none was given and the devices are its ranks here. What it
// does not know is asked again, and said, in findPlace.
func (r *resolver) countNodes() error {
	if !r.external || r.from["num_nodes"] != "" {
		return nil
	}
	local, err := r.environment.LocalWorldSize()
	if err != nil || local < 1 || local != len(r.plan.devices) {
		return nil
	}
	if world, err := r.environment.WorldSize(); err == nil && world%local == 0 {
		r.nodes = max(1, world/local)
	}
	return nil
}

// chooseStrategy chooses how the ranks are run.
func (r *resolver) chooseStrategy() error {
	from := r.from["strategy"]
	chosen, err := parseStrategy(r.s.Strategy, from)
	if err != nil {
		return err
	}
	name, _ := r.s.Strategy.(string)
	if name == "" && chosen != nil {
		name = chosen.StrategyName()
	}
	n := len(r.plan.devices)
	_, dp := chosen.(DP)
	if _, branches := r.plan.accelerator.(accelerator.Brancher); dp && !branches {
		r.warn(`strategy "dp" is for CUDA devices only: using "ddp" instead`)
		chosen = DDP{}
	}
	if d, spawn := chosen.(DDPSpawn); spawn && r.external {
		r.warn(r.environment.Name() + ` has started the ranks: using strategy "ddp" instead of "ddp_spawn"`)
		chosen = DDP(d)
	}
	if chosen == nil {
		chosen = SingleDevice{}
		if n > 1 || r.nodes > 1 || r.external {
			chosen = DDP{}
		}
		if c, ok := r.plan.accelerator.(accelerator.StrategyChooser); ok {
			name := c.DefaultStrategy(n, r.nodes, r.external)
			if chosen, err = namedStrategy(name, "accelerator "+r.plan.accelerator.Name()); err != nil {
				return err
			}
		}
	}
	r.plan.strategy = chosen
	r.timeout = DefaultTimeout
	if r.s.Timeout > 0 {
		r.timeout = r.s.Timeout
	}
	switch v := chosen.(type) {
	case SingleDevice:
		if n > 1 {
			return r.fail("strategy", name, from, `one device, but devices=%q are %d: use "ddp" or "ddp_spawn", or fewer devices`, r.s.Devices, n)
		}
		if r.nodes > 1 {
			return r.fail("strategy", name, from, `one rank, but num_nodes=%d: use "ddp"`, r.nodes)
		}
		return nil
	case DP:
		if r.nodes > 1 {
			return r.fail("strategy", name, from, `one process, but num_nodes=%d: use "ddp"`, r.nodes)
		}
		return nil
	case DDP:
		return r.ddp(name, v)
	case DDPSpawn:
		if r.nodes > 1 {
			return r.fail("strategy", name, from, `goroutines of one process, but num_nodes=%d: use "ddp"`, r.nodes)
		}
		r.launch = launchGoroutines
		return r.ddp(name, DDP(v))
	}
	return nil
}

func (r *resolver) ddp(name string, d DDP) error {
	backend, reason := accelerator.Backend(r.plan.accelerator)
	if backend == "" {
		return r.fail("strategy", name, r.from["strategy"], "%s", reason)
	}
	if d.Backend == "nccl" && backend != "nccl" {
		return r.fail("strategy", name, r.from["strategy"], `Backend "nccl" is for CUDA devices: leave it empty, or use "gloo"`)
	}
	if d.Backend == "gloo" && backend == "nccl" {
		return r.fail("strategy", name, r.from["strategy"], `Backend "gloo" carries no tensors of CUDA devices: leave it empty, or use "nccl"`)
	}
	if d.Timeout > 0 {
		if from := r.from["timeout"]; from != "" {
			return r.fail("strategy", name, r.from["strategy"], "its Timeout is %v, and timeout=%v is given as well (from %s): give one of the two", d.Timeout, r.s.Timeout, from)
		}
		r.timeout = d.Timeout
	}
	if r.launch != launchGoroutines {
		r.launch = launchProcesses
	}
	return nil
}

func (r *resolver) choosePrecision() error {
	if r.precisionPlugin != nil {
		return nil
	}
	given, from := r.s.Precision, r.from["precision"]
	name := strings.ToLower(strings.TrimSpace(given))
	if strings.HasPrefix(name, "transformer-engine") {
		return r.fail("precision", given, from, `golite has no Transformer Engine: use "bf16-mixed"`)
	}
	canonical, err := amp.CanonicalName(name)
	if err != nil {
		return &ConfigError{Setting: "precision", From: from, Problem: "Precision " + strconv.Quote(given) + " is invalid: want 32-true, 64-true, 16-mixed, bf16-mixed, 16-true or bf16-true (or Lite's 32, 64, 16, bf16)"}
	}
	if c, ok := r.plan.accelerator.(accelerator.PrecisionChecker); ok {
		if err := c.CheckPrecision(canonical); err != nil {
			return r.fail("precision", given, from, "%v", err)
		}
	}
	r.plan.precision = canonical
	return nil
}

// findPlace asks the environment where this process stands, and checks it against devices and nodes.
func (r *resolver) findPlace() error {
	ranks := r.localRanks()
	r.threads = threadsPerRank(r.m.cores(), ranks, r.m.lookup)
	if r.launch != launchProcesses && !r.external {
		r.place = cluster.Placement{MainAddress: "127.0.0.1", WorldSize: ranks, LocalWorldSize: ranks}
		return nil
	}
	place, err := cluster.Place(r.environment, ranks, r.nodes)
	if err != nil {
		return fmt.Errorf("lite: %w", err)
	}
	r.place = place
	if r.external && r.launch == launchProcesses {
		r.launch = launchExternal
		r.explainPlace()
	}
	return nil
}

// explainPlace notes the variables that make this process a rank, and warns where it is LOCAL_RANK alone: left over
// from another program it has the ranks wait for others that no engine starts.
func (r *resolver) explainPlace() {
	var set []string
	for _, key := range []string{"LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS",
		"JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"} {
		if v, _ := r.m.lookup(key); v != "" {
			set = append(set, key+"="+v)
		}
	}
	r.variables = strings.Join(set, ", ")
	_, manual := r.environment.(*cluster.Manual)
	port, _ := r.m.lookup("MASTER_PORT")
	if manual && len(set) == 1 && strings.HasPrefix(set[0], "LOCAL_RANK=") && port == "" && r.place.WorldSize > 1 {
		r.warn(fmt.Sprintf("%s is set: this process is rank %d of %d, and waits for the others, which have to be started by hand; "+
			"unset LOCAL_RANK for golite to start them", set[0], r.place.GlobalRank, r.place.WorldSize))
	}
}

func (r *resolver) warn(text string) { r.warnings = append(r.warnings, text) }
