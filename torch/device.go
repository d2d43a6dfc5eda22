package torch

import (
	"fmt"
	"strconv"
	"strings"
)

// DeviceType is a kind of device. The zero value means the default, which is the CPU.
//
// The kinds are CPUType, CUDAType, XPUType, MPSType and MetaType.
type DeviceType uint8

// Kinds of devices. Meta tensors have a shape and no memory.
const (
	CPUType  DeviceType = 1
	CUDAType DeviceType = 2
	XPUType  DeviceType = 13
	MPSType  DeviceType = 14
	MetaType DeviceType = 15
)

var deviceNames = map[DeviceType]string{CPUType: "cpu", CUDAType: "cuda", XPUType: "xpu", MPSType: "mps",
	MetaType: "meta"}

// String returns PyTorch's name: "cpu", "cuda".
func (d DeviceType) String() string {
	if d == 0 {
		return "cpu"
	}
	if n, ok := deviceNames[d]; ok {
		return n
	}
	return fmt.Sprintf("device type %d", int(d)-1)
}

// Device is where a tensor lives (torch.device). The zero value means the default: the CPU for what makes
// tensors, the input's device for what converts them. Devices compare with ==.
type Device struct {
	Type  DeviceType // CPU, CUDA or another kind
	Index int        // counts from 0; always 0 for the CPU
}

// CPU is the processor, and Meta the device whose tensors have no memory.
var (
	CPU  = Device{Type: CPUType}
	Meta = Device{Type: MetaType}
)

// CUDA returns the GPU of that index, counted from 0 among those that CUDA_VISIBLE_DEVICES leaves.
func CUDA(index int) Device { return Device{CUDAType, index} }

// String returns PyTorch's name: "cpu", "cuda:0".
func (d Device) String() string {
	if d.Type == CUDAType || d.Type == XPUType || d.Type == MPSType {
		return d.Type.String() + ":" + strconv.Itoa(d.Index)
	}
	return d.Type.String()
}

// ParseDevice reads "cpu", "cuda", "cuda:1", "meta" or "mps".
func ParseDevice(s string) (Device, error) {
	name, index, found := strings.Cut(s, ":")
	for t, n := range deviceNames {
		if n != name {
			continue
		}
		i := 0
		if found {
			var err error
			if i, err = strconv.Atoi(index); err != nil || i < 0 {
				return Device{}, fmt.Errorf("device %q: the index %q is no number from 0 on", s, index)
			}
		}
		return Device{t, i}, nil
	}
	return Device{}, fmt.Errorf("no device is called %q: want cpu, cuda, cuda:N, mps or meta", s)
}

// problem says what is wrong with a device that can't be one, "" else. libtorch keeps an index in eight bits.
func (d Device) problem() string {
	switch last := DeviceType(21); {
	case d.Type == 0 && d.Index == 0:
		return ""
	case d.Type == 0 || d.Type > last:
		return fmt.Sprintf("torch.Device{%d, %d} has no type of device: want one of package torch's constants, such as "+
			"torch.CPUType", d.Type, d.Index)
	case (d.Type == CPUType || d.Type == MetaType) && d.Index != 0 && d.Index != -1:
		return fmt.Sprintf("device index %d: there is one %s, of index 0", d.Index, d.Type)
	case d.Type != CPUType && d.Type != MetaType && (d.Index < 0 || d.Index > 127):
		return fmt.Sprintf("device index %d of %s: want one from 0 to 127", d.Index, d.Type)
	}
	return ""
}

// check panics where d can't be a device.
func (d Device) check(operation string) {
	if problem := d.problem(); problem != "" {
		Fail(operation, "%s", problem)
	}
}

// code is libtorch's number of the type; index is libtorch's index, -1 where it has none.
func (d Device) code() (kind, index int) {
	if d.Type == CPUType || d.Type == MetaType {
		return int(d.Type) - 1, -1
	}
	return int(d.Type) - 1, d.Index
}

func deviceOf(kind, index int64) Device { return Device{DeviceType(kind + 1), int(max(index, 0))} }

// place makes Device a Target of Tensor.To.
func (d Device) place(_ *DType, dev *Device) { *dev = d }
