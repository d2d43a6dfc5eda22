package lite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golite/golite/lite/accelerator"
	_ "github.com/golite/golite/lite/accelerator/builtin" // registers golite's own
)

// defaultAccelerator runs what asks for no accelerator, or for no device.
const defaultAccelerator = "cpu"

// acceleratorName is the name of the accelerator that was given, in lower case; "" if none was.
func (r *resolver) acceleratorName() string {
	return strings.ToLower(strings.TrimSpace(r.acceleratorText()))
}

// acceleratorText is the name of the accelerator as it was given.
func (r *resolver) acceleratorText() string {
	switch v := r.s.Accelerator.(type) {
	case string:
		return v
	case accelerator.Accelerator:
		return v.Name()
	}
	return ""
}

// chooseAccelerator chooses the kind of device.
func (r *resolver) chooseAccelerator() error {
	given, from := r.acceleratorText(), r.from["accelerator"]
	spec, err := r.s.Devices.Parse()
	if err != nil {
		return r.fail("devices", string(r.s.Devices), r.from["devices"], "%v", err)
	}
	value, isValue := r.s.Accelerator.(accelerator.Accelerator)
	_, isName := r.s.Accelerator.(string)
	name := r.acceleratorName()
	switch {
	case isValue:
		return r.use(value)
	case !isName && r.s.Accelerator != nil:
		return r.fail("accelerator", "", from,
			"a %T is no accelerator: give a name, or a value that implements accelerator.Accelerator", r.s.Accelerator)
	case name == "" && spec.Kind == accelerator.Unset, spec.Kind == accelerator.None && (name == "" || name == "auto"):
		name = defaultAccelerator
	case name == "":
		name = "auto"
	}
	entries := r.m.accelerators()
	for _, e := range entries {
		if strings.ToLower(e.Accelerator.Name()) == name {
			return r.use(e.Accelerator)
		}
	}
	if a, known := best(entries, name); a != nil {
		r.plan.accelerator = a
		return nil
	} else if known {
		return r.fail("accelerator", given, from, `there is no %s; use accelerator "cpu" or "auto"`, strings.ToUpper(name))
	}
	if problem, ok := accelerator.Refused(name); ok {
		return r.fail("accelerator", given, from, "%s", problem)
	}
	return r.fail("accelerator", given, from, "no such accelerator: the names are %s",
		strings.Join(acceleratorNames(entries), ", "))
}

// use takes an accelerator that was asked for, if it has a device.
func (r *resolver) use(a accelerator.Accelerator) error {
	names, err := a.Probe()
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no device of accelerator %q", a.Name())
	}
	if err != nil {
		return r.fail("accelerator", r.acceleratorText(), r.from["accelerator"],
			`there is %v; use accelerator "cpu" or "auto"`, err)
	}
	r.plan.accelerator = a
	return nil
}

// best returns the accelerator that "auto" or an alias stands for: of those with devices the one with the highest
// priority. known reports whether the name stands for any.
func best(entries []accelerator.Entry, name string) (a accelerator.Accelerator, known bool) {
	priority := 0
	for _, e := range entries {
		alias := slices.ContainsFunc(e.Aliases, func(alias string) bool { return strings.ToLower(alias) == name })
		if !alias && (name != "auto" || e.Priority < 0) {
			continue
		}
		known = true
		if a != nil && e.Priority <= priority {
			continue
		}
		if names, err := e.Accelerator.Probe(); err == nil && len(names) > 0 {
			a, priority = e.Accelerator, e.Priority
		}
	}
	return a, known
}

// acceleratorNames lists what Config.Accelerator may be.
func acceleratorNames(entries []accelerator.Entry) []string {
	list := []string{"auto"}
	for _, e := range entries {
		for _, name := range append(slices.Clone(e.Aliases), e.Accelerator.Name()) {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// listDevices makes the list of this node's devices.
func (r *resolver) listDevices() error {
	spec, err := r.s.Devices.Parse()
	if err != nil {
		return err
	}
	request := accelerator.Request{Devices: spec, External: r.external,
		Given: fmt.Sprintf("accelerator=%q (from %s)", r.acceleratorText(), r.from["accelerator"])}
	devices, err := r.plan.accelerator.Select(request)
	if err == nil && len(devices) == 0 {
		err = fmt.Errorf("accelerator %q has selected no device", r.plan.accelerator.Name())
	}
	if err != nil {
		return r.fail("devices", string(r.s.Devices), r.from["devices"], "%v", err)
	}
	r.plan.devices = devices
	return nil
}

// describe lists what a machine has, for messages.
func describe(m machine) string {
	parts := []string{fmt.Sprintf("%d CPU cores", m.cores())}
	for _, e := range m.accelerators() {
		name := e.Accelerator.Name()
		if name == defaultAccelerator {
			continue
		}
		names, err := e.Accelerator.Probe()
		for i, device := range names {
			parts = append(parts, fmt.Sprintf("%s:%d (%s)", name, i, device))
		}
		if err != nil {
			parts = append(parts, err.Error())
		}
		for _, key := range e.Variables {
			if v, ok := m.lookup(key); ok {
				parts = append(parts, fmt.Sprintf("%s=%q", key, v))
			}
		}
	}
	return strings.Join(parts, ", ")
}
