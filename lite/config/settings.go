package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/lite/accelerator"
)

// setting is one setting that may be given outside of the program's code.
type setting struct {
	field  string                          // of Config
	key    string                          // in a YAML file; the variable and the flag are named after it
	usage  string                          // of the flag
	parse  func(text string) (any, error)  // a value for the field
	yaml   func(value any) (string, error) // the text of a value in a YAML file; nil: of a scalar
	toggle bool                            // the flag needs no value
}

// table has all settings. The file's keys, the variables, the flags and the merging of places follow from it, and tests
// compare the tables of the documentation with it.
var table = []setting{
	{field: "Accelerator", key: "accelerator", parse: asIs,
		usage: "`name` of the kind of device: cpu, gpu, cuda, mps or auto"},
	{field: "Strategy", key: "strategy", parse: asIs,
		usage: "`name` of how ranks are run: auto, single_device, dp, ddp, ddp_spawn, ddp_find_unused_parameters"},
	{field: "Devices", key: "devices", parse: parseDevices, yaml: yamlDevices,
		usage: "`devices` of each machine: a count as 2, a list as 1,4 or 1, (with the comma), -1 for all, or auto"},
	{field: "GPUs", key: "gpus", parse: parseDevices, yaml: yamlDevices,
		usage: "`devices`, with -accelerator gpu"},
	{field: "TPUCores", key: "tpu_cores", parse: parseDevices, yaml: yamlDevices,
		usage: "`devices`, with -accelerator tpu (refused: libtorch has no TPU backend)"},
	{field: "NumNodes", key: "num_nodes", parse: parseNumNodes,
		usage: "`number` of machines"},
	{field: "Precision", key: "precision", parse: asIs,
		usage: "`name` of the number format: 32-true, 64-true, 16-mixed, bf16-mixed, 16-true, bf16-true"},
	{field: "Timeout", key: "timeout", parse: parseTimeout,
		usage: "`duration` that a rank waits for its peers in a collective"},
	{field: "Debug", key: "debug", parse: parseSwitch, toggle: true,
		usage: "let ranks that are processes compare their collectives before they make them"},
	{field: "PrefixOutput", key: "prefix_output", parse: parseSwitch, toggle: true,
		usage: "begin each line of a rank's output with its number"},
}

// keys lists the keys of the settings.
func keys() []string {
	list := make([]string, len(table))
	for i, s := range table {
		list[i] = s.key
	}
	return list
}

// variable is the setting's environment variable.
func (s setting) variable() string { return "LITE_" + strings.ToUpper(s.key) }

// flag is the setting's flag, without the dash.
func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// of is the setting's field of c.
func (s setting) of(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByName(s.field) }

// set sets the setting to what a text stands for.
func (s setting) set(l *layer, text, from string) error {
	text = strings.TrimSpace(text)
	v, err := s.parse(text)
	if err != nil {
		return &Error{Setting: s.key, Value: text, From: from, Problem: err.Error()}
	}
	s.of(&l.Config).Set(reflect.ValueOf(v))
	l.from[s.key] = from
	return nil
}

// text is a field's value as a text: of a name, not of a value that stands for itself.
func (s setting) text(c *Config) (text string, ok bool) {
	v := s.of(c)
	if v.IsZero() {
		return "", false
	}
	if v.Kind() == reflect.Interface {
		name, isName := v.Interface().(string)
		return name, isName
	}
	return fmt.Sprint(v.Interface()), true
}

// shown is the field's value in an error, empty where it is not set.
func (s setting) shown(c *Config) string {
	v := s.of(c)
	switch {
	case v.IsZero():
		return ""
	case v.Kind() == reflect.Interface:
		return textOf(v.Interface())
	}
	return fmt.Sprint(v.Interface())
}

func asIs(text string) (any, error) { return text, nil }

func parseDevices(text string) (any, error) {
	d := accelerator.Devices(text)
	_, err := d.Parse()
	return d, err
}

func parseNumNodes(text string) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return nil, errors.New("want the number of machines, 1 or more")
	}
	return n, nil
}

func parseTimeout(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, errors.New(`want a duration of more than 0, such as "90s" or "5m"`)
	}
	return d, nil
}

func parseSwitch(text string) (any, error) {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return nil, errors.New("want true or false")
	}
	return on, nil
}

// yamlDevices returns the text of a number, a list of numbers or a text.
func yamlDevices(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return string(accelerator.DeviceCount(v)), nil
	case []any:
		indices := make([]int, len(v))
		for i, item := range v {
			n, ok := item.(int)
			if !ok {
				return "", fmt.Errorf("a list of devices holds whole numbers, not %v (%T)", item, item)
			}
			indices[i] = n
		}
		return string(accelerator.DeviceList(indices...)), nil
	}
	return "", fmt.Errorf("want a whole number, a list of them, or a text such as \"1, 4\", not %v (%T)", v, v)
}

// yamlScalar returns the text of a scalar. The setting's parser refuses one that does not fit it.
func yamlScalar(v any) (string, error) {
	switch v.(type) {
	case string, int, bool:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("want a text, a whole number, true or false, not %v (%T)", v, v)
}
