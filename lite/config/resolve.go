package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch"
)

// Resolve finds what a Config means on a machine. The error is an *Error, or a cluster environment's.
func Resolve(c Config, m Machine) (*Plan, error) {
	p, err := planFor(c, m)
	if e, ok := errors.AsType[*Error](err); ok && e.Machine == "" && slices.Contains(aboutDevices, e.Setting) {
		e.Machine = describe(m)
	}
	return p, err
}

// aboutDevices are the settings whose errors end in what the machine has.
var aboutDevices = []string{"accelerator", "strategy", "devices", "gpus", "tpu_cores"}

func planFor(c Config, m Machine) (*Plan, error) {
	for i, callback := range c.Callbacks {
		if callback == nil {
			return nil, &Error{Setting: "callbacks", From: "Config.Callbacks",
				Problem: fmt.Sprintf("callback %d is nil", i)}
		}
	}
	for i, logger := range c.Loggers {
		if logger == nil {
			return nil, &Error{Setting: "loggers", From: "Config.Loggers", Problem: fmt.Sprintf("logger %d is nil", i)}
		}
	}
	given, err := mergeSources(c, m)
	if err != nil {
		return nil, err
	}
	r := &resolver{m: m, given: given, plan: &Plan{Config: c, Debug: given.Debug, Prefix: given.PrefixOutput}}
	for _, step := range []func() error{r.sortPlugins, r.findEngine, r.chooseAccelerator, r.selectDevices, r.countNodes,
		r.chooseStrategy, r.chooseLauncher, r.choosePrecision, r.findPlacement} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.plan, nil
}

// resolver works out a Plan, one subject after the other.
type resolver struct {
	m        Machine
	given    layer // what all places give, and the plugins
	plan     *Plan
	external bool           // an engine, or golite's supervisor, has started this process as a rank
	devices  []torch.Device // of this node
}

// fail makes an error about a setting that was given.
func (r *resolver) fail(key, problem string, args ...any) error {
	value := ""
	for _, s := range table {
		if s.key == key {
			value = s.shown(&r.given.Config)
		}
	}
	return &Error{Setting: key, Value: value, From: r.given.from[key], Problem: fmt.Sprintf(problem, args...)}
}

func (r *resolver) warn(text string) { r.plan.Warnings = append(r.plan.Warnings, text) }

// findEngine finds the engine, if there is one, and takes from it the number of devices, where none or "auto" was
// given.
func (r *resolver) findEngine() error {
	env := cluster.Detect(r.plan.Environment, r.m.Lookup)
	r.plan.Environment = env
	r.external = env.LaunchesExternally()
	r.plan.Nodes = max(1, r.given.NumNodes)
	if !r.external {
		if advice := cluster.NewSLURM(r.m.Lookup).Warning(r.m.HasCommand("srun")); advice != "" {
			r.warn(advice)
		}
		return nil
	}
	spec, err := r.given.Devices.Parse()
	if err != nil {
		return r.fail("devices", "%v", err)
	}
	name := nameOf(r.given.Accelerator)
	switch spec.Kind {
	case accelerator.Unset, accelerator.None:
		if name == "" || name == "auto" && spec.Kind == accelerator.None {
			r.given.Accelerator, r.given.from["accelerator"] = fallback, "the default"
		} else if spec.Kind == accelerator.None && name != fallback {
			return nil // selectDevices refuses it
		}
	case accelerator.Auto:
	default:
		return nil
	}
	local, err := env.LocalWorldSize()
	if err != nil {
		return fmt.Errorf("lite: cluster environment %s: %w", env.Name(), err)
	}
	r.given.Devices, r.given.from["devices"] = accelerator.DeviceCount(local), env.Name()
	return nil
}

// countNodes takes the number of nodes from the engine, where none was given and the devices are its ranks here. What
// it does not know is asked again, and is an error, in findPlacement.
func (r *resolver) countNodes() error {
	if !r.external || r.given.has("num_nodes") {
		return nil
	}
	local, err := r.plan.Environment.LocalWorldSize()
	if err != nil || local < 1 || local != len(r.devices) {
		return nil
	}
	if world, err := r.plan.Environment.WorldSize(); err == nil && world%local == 0 {
		r.plan.Nodes = max(1, world/local)
	}
	return nil
}

func (r *resolver) choosePrecision() error {
	if r.plan.Precision != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSpace(r.given.Precision))
	if strings.HasPrefix(name, "transformer-engine") {
		return r.fail("precision", `golite has no Transformer Engine: use "bf16-mixed"`)
	}
	canonical, err := amp.CanonicalName(name)
	if err != nil {
		return &Error{Setting: "precision", From: r.given.from["precision"],
			Problem: "Precision " + strconv.Quote(r.given.Precision) + " is invalid: " +
				"want 32-true, 64-true, 16-mixed, bf16-mixed, 16-true or bf16-true (or Lite's 32, 64, 16, bf16)"}
	}
	if c, ok := r.plan.Accelerator.(accelerator.PrecisionChecker); ok {
		if err := c.CheckPrecision(canonical); err != nil {
			return &Error{Setting: "precision", Value: r.given.Precision, From: r.given.from["precision"],
				Problem: err.Error(), Machine: describe(r.m)}
		}
	}
	r.plan.Precision = func(d torch.Device) (amp.Precision, error) { return amp.New(canonical, d) }
	return nil
}

// findPlacement asks the environment for this process's place, and checks it against devices and nodes.
func (r *resolver) findPlacement() error {
	ranks := len(r.plan.Ranks)
	r.plan.Threads = threadsPerRank(r.m.Cores(), ranks, r.m.Lookup)
	if !r.external && (r.plan.Launcher == "here" || r.plan.Launcher == "goroutines") {
		r.plan.Placement = cluster.Placement{MainAddress: "127.0.0.1", WorldSize: ranks, LocalWorldSize: ranks}
		return nil
	}
	place, err := cluster.Place(r.plan.Environment, ranks, r.plan.Nodes)
	if err != nil {
		return fmt.Errorf("lite: %w", err)
	}
	r.plan.Placement = place
	if r.plan.Launcher == "external" {
		r.explainPlacement()
	}
	return nil
}

// rankVariables are the variables that make a process a rank.
var rankVariables = []string{"LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_PROCID",
	"SLURM_NTASKS", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"}

// explainPlacement notes the variables that make this process a rank, and warns where it is LOCAL_RANK alone: left over
// from another program it makes the rank wait for others that no engine starts.
func (r *resolver) explainPlacement() {
	var set []string
	for _, key := range rankVariables {
		if v, _ := r.m.Lookup(key); v != "" {
			set = append(set, key+"="+v)
		}
	}
	r.plan.Variables = strings.Join(set, ", ")
	_, manual := r.plan.Environment.(*cluster.Manual)
	port, _ := r.m.Lookup("MASTER_PORT")
	place := r.plan.Placement
	if manual && len(set) == 1 && strings.HasPrefix(set[0], "LOCAL_RANK=") && port == "" && place.WorldSize > 1 {
		r.warn(fmt.Sprintf("%s is set: this process is rank %d of %d, and waits for the others, which have to be "+
			"started by hand; unset LOCAL_RANK for golite to start them", set[0], place.GlobalRank, place.WorldSize))
	}
}
