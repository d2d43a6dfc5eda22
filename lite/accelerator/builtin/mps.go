package builtin

import (
	"errors"
	"runtime"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// MPS is Apple's GPU (MPSAccelerator). It is untested: no test has run on one.
type MPS struct{}

// Name returns "mps".
func (MPS) Name() string { return "mps" }

// Type returns torch.MPSType.
func (MPS) Type() torch.DeviceType { return torch.MPSType }

// Probe makes a tensor there: only libtorch's builds for macOS have Apple's GPUs.
func (MPS) Probe() ([]string, error) {
	if runtime.GOOS == "darwin" && torch.Try(func() {
		torch.Options{Device: torch.Device{Type: torch.MPSType}}.Zeros(1).Release()
	}) == nil {
		return []string{"Apple GPU"}, nil
	}
	return nil, errors.New("no Apple GPU")
}

// Select returns the one device.
func (MPS) Select(r accelerator.Request) ([]torch.Device, error) {
	return accelerator.Indexed(torch.MPSType, 1, r)
}

// Backend returns the reason why there is none: package dist has no backend for its tensors.
func (MPS) Backend() (name, reason string) {
	return "", `an Apple GPU runs one rank: use strategy "single_device", or accelerator "cpu"`
}

// DefaultStrategy returns "single_device".
func (MPS) DefaultStrategy(devices, nodes int, external bool) string { return "single_device" }

// CheckPrecision refuses "64-true".
func (MPS) CheckPrecision(name string) error {
	if name == "64-true" {
		return errors.New(`an Apple GPU has no 64-bit floating point: use "32-true", or accelerator "cpu"`)
	}
	return nil
}
