package builtin

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// CPU is the processor (CPUAccelerator). Devices is its number of ranks, which share it.
type CPU struct{}

// Name returns "cpu".
func (CPU) Name() string { return "cpu" }

// Type returns torch.CPUType.
func (CPU) Type() torch.DeviceType { return torch.CPUType }

// Probe returns the one processor.
func (CPU) Probe() ([]string, error) { return []string{fmt.Sprintf("%d cores", runtime.NumCPU())}, nil }

// maxCPURanks is far beyond what a machine runs: a count of more is a mistake.
const maxCPURanks = 4096

// Select returns the processor as often as there are ranks; without a count there is one.
func (CPU) Select(r accelerator.Request) ([]torch.Device, error) {
	n := 1
	switch r.Devices.Kind {
	case accelerator.Count:
		n = r.Devices.Count
	case accelerator.All, accelerator.List:
		return nil, errors.New(`the accelerator is the CPU, for which devices is the number of ranks, as "2"; ` +
			`lists and -1 are for GPUs`)
	}
	if n > maxCPURanks {
		return nil, fmt.Errorf("%d ranks on one machine: at most %d", n, maxCPURanks)
	}
	devices := make([]torch.Device, n)
	for i := range devices {
		devices[i] = torch.CPU
	}
	return devices, nil
}

// Backend returns "gloo".
func (CPU) Backend() (name, reason string) { return "gloo", "" }

// Seed does nothing: torch.ManualSeed has seeded the CPU's generator.
func (CPU) Seed(uint64, ...torch.Device) {}

// Generator returns nil: the CPU's generator is the only one.
func (CPU) Generator(torch.Device) *torch.Generator { return nil }
