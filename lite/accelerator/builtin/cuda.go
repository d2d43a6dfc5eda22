package builtin

import (
	"fmt"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// CUDA are NVIDIA's GPUs (CUDAAccelerator).
type CUDA struct{}

// Name returns "cuda".
func (CUDA) Name() string { return "cuda" }

// Type returns torch.CUDAType.
func (CUDA) Type() torch.DeviceType { return torch.CUDAType }

// Probe returns the names of the devices that libtorch finds, after CUDA_VISIBLE_DEVICES.
func (CUDA) Probe() ([]string, error) {
	var names []string
	for i := range cuda.DeviceCount() {
		names = append(names, cuda.DeviceName(i))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no CUDA device (%s)", cuda.Why())
	}
	return names, nil
}

// Select returns devices that are counted from 0.
func (CUDA) Select(r accelerator.Request) ([]torch.Device, error) {
	return accelerator.Indexed(torch.CUDAType, cuda.DeviceCount(), r)
}

// Backend returns "nccl".
func (CUDA) Backend() (name, reason string) { return "nccl", "" }

// With makes d the thread's current device: what asks CUDA for it gets the rank's, and rank 3 leaves nothing on device
// 0.
func (CUDA) With(d torch.Device, f func()) { cuda.WithDevice(d.Index, f) }

// Seed restarts the devices' generators.
func (CUDA) Seed(seed uint64, devices ...torch.Device) {
	if len(devices) == 0 {
		cuda.ManualSeedAll(seed)
	}
	for _, d := range devices {
		torch.DefaultGenerator(d).ManualSeed(seed)
	}
}

// Generator returns the device's default generator.
func (CUDA) Generator(d torch.Device) *torch.Generator { return torch.DefaultGenerator(d) }

// Move copies from the CPU by way of page-locked memory without waiting: what uses the result is behind it in the
// stream, and libtorch uses the memory again when it was read.
func (CUDA) Move(t *torch.Tensor, d torch.Device) *torch.Tensor {
	if t.Device().Type != torch.CPUType || t.RequiresGrad() {
		return t.To(d)
	}
	if t.IsPinned() {
		return t.ToNonBlocking(d)
	}
	pinned := t.PinMemory()
	defer pinned.Release()
	return pinned.ToNonBlocking(d)
}

// Branch runs f for a device with the calling thread's current stream of it.
func (CUDA) Branch(devices []torch.Device) func(k int, f func()) {
	streams := make([]cuda.Stream, len(devices))
	for k, d := range devices {
		streams[k] = cuda.CurrentStream(d.Index)
	}
	return func(k int, f func()) { cuda.WithStream(streams[k], f) }
}
