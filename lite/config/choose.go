package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/launch"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
)

// fallback is the accelerator of a Config that asks for no device.
const fallback = "cpu"

// chooseAccelerator finds the kind of device: a value, or the one of a name, an alias or "auto".
func (r *resolver) chooseAccelerator() error {
	spec, err := r.given.Devices.Parse()
	if err != nil {
		return r.fail("devices", "%v", err)
	}
	switch a := r.given.Accelerator.(type) {
	case accelerator.Accelerator:
		if v := reflect.ValueOf(a); v.Kind() == reflect.Pointer && v.IsNil() {
			return r.fail("accelerator", "the %T is nil", a)
		}
		return r.useAccelerator(a)
	case nil, string:
	default:
		return r.fail("accelerator", "a %T is no accelerator: give a name (%s), or a value that implements "+
			"accelerator.Accelerator", a, r.acceleratorNames())
	}
	name := nameOf(r.given.Accelerator)
	switch {
	case name == "" && spec.Kind == accelerator.Unset, spec.Kind == accelerator.None && (name == "" || name == "auto"):
		name = fallback
	case name == "":
		name = "auto"
	}
	return r.findAccelerator(name)
}

// findAccelerator takes the accelerator of a name. Of several that "auto" or an alias stands for it is the one of the
// highest priority that has devices.
func (r *resolver) findAccelerator(name string) error {
	entries := slices.Clone(r.m.Accelerators())
	slices.SortStableFunc(entries, func(a, b accelerator.Entry) int { return cmp.Compare(b.Priority, a.Priority) })
	for _, e := range entries {
		if nameOf(e.Accelerator) == name {
			return r.useAccelerator(e.Accelerator)
		}
	}
	known := false
	for _, e := range entries {
		alias := slices.ContainsFunc(e.Aliases, func(alias string) bool { return nameOf(alias) == name })
		if !alias && (name != "auto" || e.Priority < 0) {
			continue
		}
		known = true
		if findDevices(e.Accelerator) == nil {
			r.plan.Accelerator = e.Accelerator
			return nil
		}
	}
	if known {
		return r.noDevice("no " + strings.ToUpper(name))
	}
	if problem, ok := accelerator.Refused(name); ok {
		return r.fail("accelerator", "%s", problem)
	}
	return r.fail("accelerator", "no such accelerator: the names are %s", r.acceleratorNames())
}

// useAccelerator takes an accelerator that was asked for, if it has devices.
func (r *resolver) useAccelerator(a accelerator.Accelerator) error {
	if err := findDevices(a); err != nil {
		return r.noDevice(err.Error())
	}
	r.plan.Accelerator = a
	return nil
}

// findDevices returns why an accelerator has no devices, nil if it has.
func findDevices(a accelerator.Accelerator) error {
	names, err := a.Probe()
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no device of accelerator %q", a.Name())
	}
	return err
}

func (r *resolver) noDevice(missing string) error {
	return r.fail("accelerator", "there is %s; use accelerator %q or \"auto\"", missing, fallback)
}

// acceleratorNames lists the names that can be asked for.
func (r *resolver) acceleratorNames() string {
	names := []string{"auto"}
	for _, e := range r.m.Accelerators() {
		for _, name := range append(slices.Clone(e.Aliases), e.Accelerator.Name()) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// selectDevices lists this node's devices.
func (r *resolver) selectDevices() error {
	spec, err := r.given.Devices.Parse()
	if err != nil {
		return r.fail("devices", "%v", err)
	}
	const most = 4096 // each is a rank, with a thread or a process of its own
	if spec.Count > most {
		return r.fail("devices", "%d ranks on one machine: at most %d", spec.Count, most)
	}
	a := r.plan.Accelerator
	r.devices, err = a.Select(accelerator.Request{
		Devices: spec, External: r.external,
		Given: fmt.Sprintf("accelerator=%q (from %s)", textOf(r.given.Accelerator), r.given.from["accelerator"]),
	})
	switch {
	case err != nil:
		return r.fail("devices", "%v", err)
	case len(r.devices) == 0:
		return r.fail("devices", "accelerator %q selects no device", a.Name())
	}
	return nil
}

// chooseStrategy finds the strategy and has it lay out the ranks of this node.
func (r *resolver) chooseStrategy() error {
	s, err := r.findStrategy()
	if err != nil {
		return err
	}
	request := strategy.Request{Accelerator: r.plan.Accelerator, Devices: r.devices,
		DevicesText: string(r.given.Devices), Nodes: r.plan.Nodes}
	if r.external {
		request.Engine = r.plan.Environment.Name()
	}
	const most = 4 // strategies that take each other's place
	for range most {
		p, err := s.Plan(request)
		if err != nil {
			return r.fail("strategy", "%v", err)
		}
		r.plan.Warnings = append(r.plan.Warnings, p.Warnings...)
		if p.Instead == nil {
			r.plan.Strategy = s
			return r.usePlan(p)
		}
		s = p.Instead
	}
	return r.fail("strategy", "%d strategies in a row ask for another in their place, the last for %q",
		most, s.StrategyName())
}

// findStrategy returns the strategy of a value, a name or "auto".
func (r *resolver) findStrategy() (strategy.Strategy, error) {
	switch v := r.given.Strategy.(type) {
	case strategy.Strategy:
		return r.strategyValue(v)
	case nil, string:
	default:
		return nil, r.fail("strategy", "a %T is no strategy: give a name (%s), or a value that implements "+
			"strategy.Strategy, such as DDP{}", v, strategyNames())
	}
	name := nameOf(r.given.Strategy)
	if name == "" || name == "auto" {
		name = r.defaultStrategy()
	}
	if problem, known := strategy.Refused(name); known {
		return nil, r.fail("strategy", "%s", problem)
	}
	s, ok := strategy.New(name)
	if !ok {
		return nil, r.fail("strategy", "no such strategy; the names are %s", strategyNames())
	}
	return s, nil
}

// strategyNames lists the names that can be asked for.
func strategyNames() string { return strings.Join(append([]string{"auto"}, strategy.Names()...), ", ") }

// strategyValue returns a value that was given, and what a pointer points at, if that is a strategy by itself: Plans
// then compare by their settings, and the program's own variable is not shared with the ranks.
func (r *resolver) strategyValue(s strategy.Strategy) (strategy.Strategy, error) {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer {
		return s, nil
	}
	if v.IsNil() {
		name := v.Type().Elem().Name()
		return nil, r.fail("strategy", "the *%s is nil: give a %s{...}", name, name)
	}
	if pointee, ok := v.Elem().Interface().(strategy.Strategy); ok {
		return pointee, nil
	}
	return s, nil
}

// defaultStrategy is the name that "auto" stands for.
func (r *resolver) defaultStrategy() string {
	n := len(r.devices)
	if c, ok := r.plan.Accelerator.(accelerator.StrategyChooser); ok {
		return c.DefaultStrategy(n, r.plan.Nodes, r.external)
	}
	if n > 1 || r.plan.Nodes > 1 || r.external {
		return "ddp"
	}
	return "single_device"
}

// usePlan takes over what the strategy has laid out.
func (r *resolver) usePlan(p strategy.Plan) error {
	r.plan.Ranks, r.plan.Launcher, r.plan.Backend = p.Ranks, p.Launcher, p.Backend
	empty := func(devices []torch.Device) bool { return len(devices) == 0 }
	if len(p.Ranks) == 0 || slices.ContainsFunc(p.Ranks, empty) {
		return r.fail("strategy", "its Plan has ranks without a device: %v", p.Ranks)
	}
	if r.plan.Backend == "" {
		r.plan.Backend, _ = accelerator.Backend(r.plan.Accelerator)
	}
	switch {
	case p.Timeout > 0 && r.given.has("timeout"):
		return r.fail("strategy", "its Timeout is %v, and timeout=%v is given as well (from %s): give one of the two",
			p.Timeout, r.given.Timeout, r.given.from["timeout"])
	case p.Timeout > 0:
		r.plan.Timeout = p.Timeout
	default:
		r.plan.Timeout = cmp.Or(r.given.Timeout, dist.DefaultTimeout)
	}
	return nil
}

// chooseLauncher finds how the ranks are started.
func (r *resolver) chooseLauncher() error {
	n := len(r.plan.Ranks)
	switch name := r.plan.Launcher; {
	case name == "" && n == 1:
		r.plan.Launcher = "here"
	case name == "here" && n > 1:
		return r.fail("strategy", `its Plan has %d ranks and launcher "here", which runs one`, n)
	case name != "here" && name != "goroutines" && r.external:
		r.plan.Launcher = "external"
	default:
		if _, known := launch.Named(name); !known || name == "external" {
			return r.fail("strategy", `its Plan has launcher %q: want "here", "goroutines", "processes" or one that was registered`, name)
		}
	}
	return nil
}
