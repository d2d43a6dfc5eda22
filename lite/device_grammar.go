package lite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Devices says how many devices, or which. The grammar is the same in code, in flags, in the environment and in a file:
//
//	""      none given: see Config.Devices        "0"     none: the CPU; so is "none"
//	"2"     the first two                         "-1"    all there are
//	"1,"    the list of device 1 alone            "auto"  all GPUs there are, or one CPU
//	"1, 4"  devices 1 and 4, in this order
//
// Where an engine such as torchrun has started the ranks, "", "0" and "auto" are as many devices as it has started on the node.
//
// Indices count the devices that are visible: with CUDA_VISIBLE_DEVICES=2,3 device 0 is the machine's third one. The order is
// CUDA's (CUDA_DEVICE_ORDER). The CPU takes a count of ranks only. A YAML file may also say 2, -1 and [1, 4].
// AllDevices is "-1", AutoDevices "auto".
type Devices string

// AllDevices is every device of the accelerator.
const AllDevices Devices = "-1"

// AutoDevices is every GPU there is, or one CPU.
const AutoDevices Devices = "auto"

// DeviceCount returns the first n devices; 0 is the CPU and -1 all devices.
func DeviceCount(n int) Devices { return Devices(strconv.Itoa(n)) }

// DeviceList returns the devices with these indices, in this order. No index at all is the CPU, as in a file.
func DeviceList(indices ...int) Devices {
	if len(indices) == 0 {
		return DeviceCount(0)
	}
	var b strings.Builder
	for i, n := range indices {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(strconv.Itoa(n))
	}
	if len(indices) == 1 {
		b.WriteString(",")
	}
	return Devices(b.String())
}

// deviceSpec is a parsed Devices.
type deviceSpec struct {
	kind  deviceKind
	count int
	list  []int
}

type deviceKind int

const (
	devicesUnset deviceKind = iota
	devicesNone             // "0"
	devicesAuto
	devicesAll
	devicesCount
	devicesList
)

func (d Devices) parse() (deviceSpec, error) {
	s := strings.ToLower(strings.TrimSpace(string(d)))
	switch s {
	case "":
		return deviceSpec{}, nil
	case "none":
		return deviceSpec{kind: devicesNone}, nil
	case "auto":
		return deviceSpec{kind: devicesAuto}, nil
	case "-1":
		return deviceSpec{kind: devicesAll}, nil
	}
	if strings.Contains(s, ",") {
		list, err := parseIndices(s)
		return deviceSpec{kind: devicesList, list: list}, err
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return deviceSpec{}, errors.New(`want a count such as "2", a list of indices such as "1, 4" or "1,", "-1" for all, or "auto"`)
	case n < 0:
		return deviceSpec{}, errors.New(`a count can't be negative; "-1" alone means all devices`)
	case n == 0:
		return deviceSpec{kind: devicesNone}, nil
	}
	return deviceSpec{kind: devicesCount, count: n}, nil
}

func parseIndices(s string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q in the list is not the index of a device", part)
		case n < 0:
			return nil, fmt.Errorf(`%d in the list is not the index of a device: indices start at 0 ("-1" alone means all devices)`, n)
		case slices.Contains(list, n):
			return nil, fmt.Errorf("device %d is in the list twice: each device takes one rank", n)
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		return nil, errors.New("the list of devices is empty")
	}
	return list, nil
}

// yamlDevices converts what a YAML file holds.
func yamlDevices(v any) (Devices, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return Devices(v), nil
	case int:
		return DeviceCount(v), nil
	case []any:
		indices := make([]int, len(v))
		for i, item := range v {
			n, ok := item.(int)
			if !ok {
				return "", fmt.Errorf("a list of devices holds whole numbers, not %v (%T)", item, item)
			}
			indices[i] = n
		}
		return DeviceList(indices...), nil
	}
	return "", fmt.Errorf("want a whole number, a list of them, or a text such as \"1, 4\", not %v (%T)", v, v)
}
