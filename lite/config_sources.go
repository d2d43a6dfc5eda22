package lite

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/golite/golite/lite/cluster"
)

// setting is a value and where it was given. An empty from means that it was not given.
type setting[T any] struct {
	value T
	from  string
}

// settings is one place's, or all places' together.
type settings struct {
	accelerator    setting[string]
	strategy       setting[any]
	devices        setting[Devices]
	gpus, tpuCores setting[Devices]
	numNodes       setting[int]
	precision      setting[string]
	timeout        setting[time.Duration]
	debug, prefix  setting[bool]
}

// keys are the names of the settings as a file has them; flags have - for _, the environment LITE_ and capitals.
var keys = []string{"accelerator", "strategy", "devices", "gpus", "tpu_cores", "num_nodes", "precision", "timeout", "debug", "prefix_output"}

// set parses text for the setting of that key.
func (s *settings) set(key, text, from string) error {
	text = strings.TrimSpace(text)
	wrong := func(err error) error {
		return &ConfigError{Setting: key, Value: text, From: from, Problem: err.Error()}
	}
	switch key {
	case "accelerator":
		s.accelerator = setting[string]{text, from}
	case "strategy":
		s.strategy = setting[any]{text, from}
	case "precision":
		s.precision = setting[string]{text, from}
	case "devices", "gpus", "tpu_cores":
		d := Devices(text)
		if _, err := d.parse(); err != nil {
			return wrong(err)
		}
		*map[string]*setting[Devices]{"devices": &s.devices, "gpus": &s.gpus, "tpu_cores": &s.tpuCores}[key] = setting[Devices]{d, from}
	case "num_nodes":
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return wrong(errors.New("want the number of machines, 1 or more"))
		}
		s.numNodes = setting[int]{n, from}
	case "timeout":
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return wrong(errors.New(`want a duration such as "90s" or "5m", more than 0`))
		}
		s.timeout = setting[time.Duration]{d, from}
	case "debug", "prefix_output":
		on, err := strconv.ParseBool(text)
		if err != nil {
			return wrong(errors.New("want true or false"))
		}
		*map[string]*setting[bool]{"debug": &s.debug, "prefix_output": &s.prefix}[key] = setting[bool]{on, from}
	}
	return nil
}

// over replaces what t gives.
func (s *settings) over(t settings) {
	replace(&s.accelerator, t.accelerator)
	replace(&s.strategy, t.strategy)
	replace(&s.devices, t.devices)
	replace(&s.numNodes, t.numNodes)
	replace(&s.precision, t.precision)
	replace(&s.timeout, t.timeout)
	replace(&s.debug, t.debug)
	replace(&s.prefix, t.prefix)
}

func replace[T any](s *setting[T], t setting[T]) {
	if t.from != "" {
		*s = t
	}
}

// unfold turns gpus and tpu_cores into accelerator and devices, and refuses what contradicts them in the same place.
func (s *settings) unfold() error {
	if s.tpuCores.from != "" && s.tpuCores.value != "" {
		return refuseTPU("tpu_cores", string(s.tpuCores.value), s.tpuCores.from)
	}
	if s.gpus.from == "" || s.gpus.value == "" {
		return nil
	}
	spec, err := s.gpus.value.parse()
	wrong := func(problem string, args ...any) error {
		return &ConfigError{Setting: "gpus", Value: string(s.gpus.value), From: s.gpus.from, Problem: fmt.Sprintf(problem, args...)}
	}
	if err != nil {
		return wrong("%v", err)
	}
	if s.devices.from != "" && s.devices.value != "" {
		return wrong("devices=%q is given as well (from %s), and gpus is short for devices with accelerator \"gpu\": give one of the two", s.devices.value, s.devices.from)
	}
	acc := strings.ToLower(s.accelerator.value)
	none := spec.kind == devicesNone
	if given := s.accelerator.from != "" && acc != "" && acc != "auto"; given && (acc == "cpu") != none {
		return wrong("accelerator=%q is given as well (from %s): leave one of the two out", s.accelerator.value, s.accelerator.from)
	}
	s.devices = s.gpus
	switch {
	case none:
		s.accelerator = setting[string]{"cpu", s.gpus.from}
	case acc == "" || acc == "auto":
		s.accelerator = setting[string]{"gpu", s.gpus.from}
	}
	return nil
}

// code returns the settings of the fields.
func (c Config) code() (settings, error) {
	var s settings
	s.accelerator = given(c.Accelerator, "Config.Accelerator", c.Accelerator != "")
	s.strategy = given(c.Strategy, "Config.Strategy", c.Strategy != nil)
	s.precision = given(c.Precision, "Config.Precision", c.Precision != "")
	s.devices = given(c.Devices, "Config.Devices", c.Devices != "")
	s.gpus = given(c.GPUs, "Config.GPUs", c.GPUs != "")
	s.tpuCores = given(c.TPUCores, "Config.TPUCores", c.TPUCores != "")
	s.numNodes = given(c.NumNodes, "Config.NumNodes", c.NumNodes != 0)
	s.timeout = given(c.Timeout, "Config.Timeout", c.Timeout != 0)
	s.debug = given(c.Debug, "Config.Debug", c.Debug)
	s.prefix = given(c.PrefixOutput, "Config.PrefixOutput", c.PrefixOutput)
	if c.NumNodes < 0 {
		return s, &ConfigError{Setting: "num_nodes", Value: strconv.Itoa(c.NumNodes), From: "Config.NumNodes", Problem: "want the number of machines, 1 or more"}
	}
	if c.Timeout < 0 {
		return s, &ConfigError{Setting: "timeout", Value: c.Timeout.String(), From: "Config.Timeout", Problem: "want a duration of more than 0"}
	}
	return s, nil
}

func given[T any](v T, from string, ok bool) setting[T] {
	if !ok {
		return setting[T]{}
	}
	return setting[T]{v, from}
}

// gather merges the four places.
func (c Config) gather(lookup cluster.Lookup, readFile func(string) ([]byte, error)) (settings, error) {
	code, err := c.code()
	if err != nil {
		return settings{}, err
	}
	places := []settings{code}
	path, from := "", ""
	if p, ok := lookup("LITE_CONFIG"); ok {
		path, from = p, "LITE_CONFIG"
	}
	if c.flags != nil && c.flags.file != "" {
		path, from = c.flags.file, "-config"
	}
	if path != "" {
		raw, err := readFile(path)
		if err != nil {
			return settings{}, &ConfigError{Setting: "config", Value: path, From: from, Problem: err.Error()}
		}
		file, err := parseFile(path, raw)
		if err != nil {
			return settings{}, err
		}
		places = append(places, file)
	}
	env, err := fromEnvironment(lookup)
	if err != nil {
		return settings{}, err
	}
	places = append(places, env)
	if c.flags != nil {
		places = append(places, c.flags.settings)
	}
	var all settings
	for i := range places {
		if err := places[i].unfold(); err != nil {
			return settings{}, err
		}
		all.over(places[i])
	}
	return all, nil
}

func fromEnvironment(lookup cluster.Lookup) (settings, error) {
	var s settings
	for _, key := range keys {
		name := "LITE_" + strings.ToUpper(key)
		if text, ok := lookup(name); ok && strings.TrimSpace(text) != "" {
			if err := s.set(key, text, name); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// parseFile reads the YAML file's settings.
func parseFile(path string, raw []byte) (settings, error) {
	var s settings
	var content map[string]any
	if err := yaml.Unmarshal(raw, &content); err != nil {
		return s, &ConfigError{Setting: "config", Value: path, Problem: err.Error()}
	}
	for _, key := range keys {
		v, ok := content[key]
		if !ok || v == nil {
			continue
		}
		var text string
		switch key {
		case "devices", "gpus", "tpu_cores":
			d, err := yamlDevices(v)
			if err != nil {
				return s, &ConfigError{Setting: key, From: path, Problem: err.Error()}
			}
			text = string(d)
		default:
			switch v.(type) {
			case string, int, bool: // set refuses what does not fit the key
				text = fmt.Sprint(v)
			default:
				return s, &ConfigError{Setting: key, From: path, Problem: fmt.Sprintf("want a text, a whole number, true or false, not %v (%T)", v, v)}
			}
		}
		if err := s.set(key, text, path); err != nil {
			return s, err
		}
	}
	for key := range content {
		if !slices.Contains(keys, key) {
			return s, &ConfigError{Setting: "config", Value: path, Problem: fmt.Sprintf("the key %q is not known: the keys are %s", key, strings.Join(keys, ", "))}
		}
	}
	return s, nil
}

// flagLayer holds what was given on the command line.
type flagLayer struct {
	settings
	file string
}

// flagValue is one flag: a flag.Value that remembers that it was set.
type flagValue struct {
	layer *flagLayer
	key   string
	text  string
}

// String returns what was given, else the default for the help text.
func (v *flagValue) String() string { return v.text }

// IsBoolFlag lets a switch be given without a value.
func (v *flagValue) IsBoolFlag() bool { return v.key == "debug" || v.key == "prefix_output" }

// Set implements flag.Value.
func (v *flagValue) Set(text string) error {
	if v.key == "config" {
		v.layer.file, v.text = text, text
		return nil
	}
	err := v.layer.set(v.key, text, "-"+strings.ReplaceAll(v.key, "_", "-"))
	if e, ok := errors.AsType[*ConfigError](err); ok {
		return errors.New(e.Problem)
	}
	v.text = text
	return err
}

// RegisterFlags registers -accelerator, -strategy, -devices, -gpus, -tpu-cores, -num-nodes, -precision, -timeout,
// -debug, -prefix-output and -config on fs. What is given on the command line then goes before the environment, the file and the Config's own
// fields, which are shown as the defaults. Call it once, before fs.Parse; copies of the Config see the flags too.
func (c *Config) RegisterFlags(fs *flag.FlagSet) {
	c.flags = &flagLayer{}
	add := func(key, value, usage string) {
		fs.Var(&flagValue{c.flags, key, value}, strings.ReplaceAll(key, "_", "-"), usage)
	}
	strategy, _ := c.Strategy.(string)
	nodes := ""
	if c.NumNodes > 0 {
		nodes = strconv.Itoa(c.NumNodes)
	}
	timeout := DefaultTimeout
	if c.Timeout > 0 {
		timeout = c.Timeout
	}
	add("accelerator", c.Accelerator, "`name` of the kind of device: cpu, gpu, cuda, mps or auto")
	add("strategy", strategy, "`name` of how ranks are run: auto, single_device, dp, ddp, ddp_spawn, ddp_find_unused_parameters")
	add("devices", string(c.Devices), "`devices` of each machine: a count as 2, a list as 1,4 or 1, (with the comma), -1 for all, or auto")
	add("gpus", string(c.GPUs), "`devices`, with -accelerator gpu")
	add("tpu_cores", string(c.TPUCores), "`devices`, with -accelerator tpu (refused: libtorch has no TPU backend)")
	add("num_nodes", nodes, "`number` of machines")
	add("precision", c.Precision, "`name` of the number format: 32-true, 64-true, 16-mixed, bf16-mixed, 16-true, bf16-true")
	add("timeout", timeout.String(), "`duration` that a rank waits for its peers in a collective")
	add("debug", onlyTrue(c.Debug), "let ranks that are processes compare their collectives before they make them")
	add("prefix_output", onlyTrue(c.PrefixOutput), "begin each line of a rank's output with its number")
	add("config", "", "YAML `file` with these settings, named with _ for -")
}

// onlyTrue is a switch's default for the help text, which leaves out false.
func onlyTrue(on bool) string {
	if on {
		return "true"
	}
	return ""
}
