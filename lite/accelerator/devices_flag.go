package accelerator

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Devices is how many devices, or which. The grammar is the same in code, in flags, in the environment and in a file:
//
//	""      none given: see lite.Config           "0"     none: the CPU; so is "none"
//	"2"     the first two                         "-1"    all there are
//	"1,"    the list of device 1 alone            "auto"  all GPUs there are, or one CPU
//	"1, 4"  devices 1 and 4, in this order
//
// Where an engine such as torchrun has started the ranks, "", "0" and "auto" are as many devices as it has started ranks
// on the node.
//
// Indices count the devices that are visible: with CUDA_VISIBLE_DEVICES=2,3 device 0 is the machine's third one. The
// order is CUDA's (CUDA_DEVICE_ORDER). The CPU takes a count of ranks only. A YAML file may also have 2, -1 and [1, 4].
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

// Spec is a parsed Devices.
type Spec struct {
	Kind  Kind  // which of the forms of the grammar it is
	Count int   // of kind Count, 1 or more
	List  []int // of kind List: indices from 0, each once
}

// Kind is how a Devices names devices: Unset, None, Auto, All, Count or List.
type Kind int

const (
	Unset Kind = iota // ""
	None              // "0", "none"
	Auto              // "auto"
	All               // "-1"
	Count             // "2"
	List              // "1, 4"
)

// Parse reads the text. The error states what was found and what the grammar has.
func (d Devices) Parse() (Spec, error) {
	s := strings.ToLower(strings.TrimSpace(string(d)))
	switch s {
	case "":
		return Spec{}, nil
	case "none":
		return Spec{Kind: None}, nil
	case "auto":
		return Spec{Kind: Auto}, nil
	case "-1":
		return Spec{Kind: All}, nil
	}
	if strings.Contains(s, ",") {
		list, err := parseIndices(s)
		return Spec{Kind: List, List: list}, err
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return Spec{}, errors.New(`want a count such as "2", a list of indices such as "1, 4" or "1,", "-1" for all, or "auto"`)
	case n < 0:
		return Spec{}, errors.New(`a count can't be negative; "-1" alone means all devices`)
	case n == 0:
		return Spec{Kind: None}, nil
	}
	return Spec{Kind: Count, Count: n}, nil
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
