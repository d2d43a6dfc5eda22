package config

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/lite/strategy"
)

// layer is the settings of one place, or of all places together.
type layer struct {
	Config
	from map[string]string // by key, where the setting was given; a setting that is not in it was not given
}

func newLayer() layer { return layer{from: map[string]string{}} }

// has reports whether the setting of that key was given.
func (l *layer) has(key string) bool { return l.from[key] != "" }

// overrideWith replaces what t gives.
func (l *layer) overrideWith(t layer) {
	for _, s := range table {
		if t.has(s.key) {
			s.of(&l.Config).Set(s.of(&t.Config))
			l.from[s.key] = t.from[s.key]
		}
	}
}

// mergeSources merges the four places.
func mergeSources(c Config, m Machine) (layer, error) {
	fields, err := fromFields(c)
	if err != nil {
		return layer{}, err
	}
	file, err := fromFile(c, m)
	if err != nil {
		return layer{}, err
	}
	environment, err := fromEnvironment(m.Lookup)
	if err != nil {
		return layer{}, err
	}
	places := []layer{fields, file, environment}
	if c.flags != nil {
		places = append(places, c.flags.clone())
	}
	all := layer{Config: c, from: map[string]string{}}
	for _, place := range places {
		if err := place.expandAliases(); err != nil {
			return layer{}, err
		}
		all.overrideWith(place)
	}
	return all, nil
}

func (l layer) clone() layer { return layer{l.Config, maps.Clone(l.from)} }

// aliases are the settings that stand for devices together with an accelerator. That of gpus is a kind of accelerators:
// another name beside it says which.
var aliases = []struct {
	key, accelerator string
	kind             bool
}{{"gpus", "gpu", true}, {"tpu_cores", "tpu", false}}

// expandAliases turns gpus and tpu_cores into accelerator and devices, and refuses what contradicts them in the same
// place.
func (l *layer) expandAliases() error {
	for _, a := range aliases {
		value := map[string]accelerator.Devices{"gpus": l.GPUs, "tpu_cores": l.TPUCores}[a.key]
		if !l.has(a.key) || value == "" {
			continue
		}
		spec, err := value.Parse()
		if err != nil {
			return l.aliasError(a.key, value, "%v", err)
		}
		if l.has("devices") && l.Devices != "" {
			return l.aliasError(a.key, value, "devices=%q is given as well (from %s), "+
				"and %s is short for devices with accelerator %q: give one of the two",
				l.Devices, l.from["devices"], a.key, a.accelerator)
		}
		name := nameOf(l.Accelerator)
		none := spec.Kind == accelerator.None
		other := l.has("accelerator") && name != "" && name != "auto"
		if other && ((name == fallback) != none || !none && !a.kind && name != a.accelerator) {
			return l.aliasError(a.key, value, "accelerator=%q is given as well (from %s): leave one of the two out",
				textOf(l.Accelerator), l.from["accelerator"])
		}
		l.Devices, l.from["devices"] = value, l.from[a.key]
		switch {
		case none:
			l.Accelerator, l.from["accelerator"] = fallback, l.from[a.key]
		case name == "" || name == "auto":
			l.Accelerator, l.from["accelerator"] = a.accelerator, l.from[a.key]
		}
	}
	return nil
}

func (l *layer) aliasError(key string, value accelerator.Devices, problem string, args ...any) error {
	return &Error{Setting: key, Value: string(value), From: l.from[key], Problem: fmt.Sprintf(problem, args...)}
}

// nameOf is textOf as names are compared.
func nameOf(v any) string { return strings.ToLower(strings.TrimSpace(textOf(v))) }

// textOf is the name that v is, as it was given, or that it has, or the type of a value that is no strategy and no
// accelerator.
func textOf(v any) string {
	if x := reflect.ValueOf(v); x.Kind() == reflect.Pointer && x.IsNil() {
		return fmt.Sprintf("%T", v) // has no name
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case strategy.Strategy:
		return v.StrategyName()
	case accelerator.Accelerator:
		return v.Name()
	}
	return fmt.Sprintf("%T", v)
}

// fromFields returns the settings of the fields that are set.
func fromFields(c Config) (layer, error) {
	l := newLayer()
	for _, s := range table {
		from := "Config." + s.field
		if text, ok := s.text(&c); ok {
			if err := s.set(&l, text, from); err != nil {
				return l, err
			}
		} else if v := s.of(&c); !v.IsZero() {
			s.of(&l.Config).Set(v)
			l.from[s.key] = from
		}
	}
	return l, nil
}

// fromFile returns the settings of the YAML file that the flag or the environment names, if one does.
func fromFile(c Config, m Machine) (layer, error) {
	path, ok := m.Lookup("LITE_CONFIG")
	from := "LITE_CONFIG"
	if c.flags != nil && c.flags.file != "" {
		path, from, ok = c.flags.file, "-config", true
	}
	if !ok || path == "" {
		return layer{}, nil
	}
	raw, err := m.ReadFile(path)
	if err != nil {
		return layer{}, &Error{Setting: "config", Value: path, From: from, Problem: err.Error()}
	}
	return parseFile(path, raw)
}

// parseFile reads the settings of a YAML file.
func parseFile(path string, raw []byte) (layer, error) {
	l := newLayer()
	var content map[string]any
	if err := yaml.Unmarshal(raw, &content); err != nil {
		return l, &Error{Setting: "config", Value: path, Problem: err.Error()}
	}
	for _, s := range table {
		v := content[s.key]
		if v == nil {
			continue
		}
		textOf := s.yaml
		if textOf == nil {
			textOf = yamlScalar
		}
		text, err := textOf(v)
		if err != nil {
			return l, &Error{Setting: s.key, From: path, Problem: err.Error()}
		}
		if err := s.set(&l, text, path); err != nil {
			return l, err
		}
	}
	known := keys()
	for _, key := range slices.Sorted(maps.Keys(content)) {
		if !slices.Contains(known, key) {
			return l, &Error{Setting: "config", Value: path,
				Problem: fmt.Sprintf("the key %q is not known: the keys are %s", key, strings.Join(known, ", "))}
		}
	}
	return l, nil
}

// fromEnvironment returns the settings of the variables that are not empty.
func fromEnvironment(lookup cluster.Lookup) (layer, error) {
	l := newLayer()
	for _, s := range table {
		if text, ok := lookup(s.variable()); ok && strings.TrimSpace(text) != "" {
			if err := s.set(&l, text, s.variable()); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// commandLine holds what was given on the command line.
type commandLine struct {
	layer
	file string // of -config
}

// flagValue is one flag: a flag.Value that records that it was set.
type flagValue struct {
	line *commandLine
	setting
	text string
}

// String returns what was given, else the default for the help text.
func (v *flagValue) String() string { return v.text }

// IsBoolFlag lets a switch be given without a value.
func (v *flagValue) IsBoolFlag() bool { return v.toggle }

// Set implements flag.Value.
func (v *flagValue) Set(text string) error {
	err := v.set(&v.line.layer, text, "-"+v.flag())
	if e, ok := errors.AsType[*Error](err); ok {
		return errors.New(e.Problem)
	}
	v.text = text
	return err
}

// RegisterFlags registers a flag for each setting (see Config), and -config, on fs. What is given on the command line
// then goes before the environment, the file and the Config's own fields, which are shown as the defaults. Call it
// once, before fs.Parse; copies of the Config use the flags too.
func (c *Config) RegisterFlags(fs *flag.FlagSet) {
	c.flags = &commandLine{layer: newLayer()}
	defaults := *c
	if defaults.Timeout <= 0 {
		defaults.Timeout = dist.DefaultTimeout
	}
	for _, s := range table {
		text, _ := s.text(&defaults)
		fs.Var(&flagValue{line: c.flags, setting: s, text: text}, s.flag(), s.usage)
	}
	fs.StringVar(&c.flags.file, "config", "", "YAML `file` with these settings, named with _ for -")
}
