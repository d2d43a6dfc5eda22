package cuda

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/torch"
)

// found is what there is. CUDA's answer doesn't change while the program runs.
var found = sync.OnceValues(func() (count int, why string) {
	path, why := cgotorch.CUDALibrary()
	if path == "" {
		return 0, why
	}
	w, err := cgotorch.CUDA(cgotorch.CUDACount)
	if err != nil {
		return 0, shorter(err.Message)
	}
	if w[0] > 0 {
		return int(w[0]), ""
	}
	if w[1] != 0 {
		return 0, fmt.Sprintf("%s is open, and CUDA says %s", path, cgotorch.CUDAText(w[2:]))
	}
	return 0, path + " is open, and CUDA shows no device"
})

// IsAvailable reports whether there is a GPU that libtorch can use (torch.cuda.is_available).
func IsAvailable() bool { return DeviceCount() > 0 }

// DeviceCount returns the number of GPUs that CUDA_VISIBLE_DEVICES leaves (torch.cuda.device_count).
func DeviceCount() int {
	n, _ := found()
	return n
}

// Why says why there is no GPU: what was looked for, and where. It is empty where there is one.
func Why() string {
	_, why := found()
	return why
}

// call runs a function of the library that needs a device, and panics with a *torch.Error if it fails.
func call(name string, function uint32, in ...uint64) []uint64 {
	if !IsAvailable() {
		torch.Fail("cuda."+name, "there is no CUDA device: %s", Why())
	}
	w, err := cgotorch.CUDA(function, in...)
	if err != nil {
		panic(failed(name, err))
	}
	return w
}

// failed makes the error of a function of this package.
func failed(name string, err *cgotorch.Error) *torch.Error {
	return &torch.Error{Op: "cuda." + name, Message: shorter(err.Message), Origin: callsite.Outside(2),
		OutOfMemory: err.OutOfMemory}
}

// shorter leaves out what CUDA's errors always end in, how to look for others, but for the C++ trace
// (torch.ShowCPPTraces).
func shorter(s string) string {
	line, rest, _ := strings.Cut(s, "\n")
	if i := strings.Index(rest, "Exception raised from"); i >= 0 {
		line += "\n" + rest[i:]
	}
	return line
}

// check refuses a device that isn't there.
func check(name string, device int) uint64 {
	if n := DeviceCount(); n > 0 && (device < 0 || device >= n) {
		torch.Fail("cuda."+name, "there is no device %d: indices of the %d visible go from 0 to %d", device, n, n-1)
	}
	return uint64(device)
}

// Properties are what a GPU is (torch.cuda.get_device_properties).
type Properties struct {
	Name            string // such as "NVIDIA H100 80GB HBM3"
	Major, Minor    int    // the compute capability
	TotalMemory     int64  // bytes
	MultiProcessors int    // how many streaming multiprocessors there are
}

// DeviceProperties returns a device's properties.
func DeviceProperties(device int) Properties {
	w := call("DeviceProperties", cgotorch.CUDAProperties, check("DeviceProperties", device))
	return Properties{cgotorch.CUDAText(w[4:]), int(w[0]), int(w[1]), int64(w[2]), int(w[3])}
}

// DeviceName returns a device's name, such as "NVIDIA H100 80GB HBM3" (torch.cuda.get_device_name).
func DeviceName(device int) string { return DeviceProperties(device).Name }

// DeviceCapability returns a device's compute capability, such as 9 and 0 (torch.cuda.get_device_capability).
func DeviceCapability(device int) (major, minor int) {
	p := DeviceProperties(device)
	return p.Major, p.Minor
}

// IsBF16Supported reports whether a device computes in bfloat16 (torch.cuda.is_bf16_supported): from compute capability
// 8.0 on.
func IsBF16Supported(device int) bool { return DeviceProperties(device).Major >= 8 }

// Versions are those of the libraries in use, as their makers count: 13000 is CUDA 13.0, 22809 NCCL 2.28.9.
type Versions struct{ Runtime, Driver, NCCL int }

// LibraryVersions returns the versions of CUDA's run time, of the driver and of NCCL.
func LibraryVersions() Versions {
	w := call("LibraryVersions", cgotorch.CUDAVersions)
	return Versions{int(w[0]), int(w[1]), int(w[2])}
}

// Synchronize waits until all that was given to a device is done (torch.cuda.synchronize).
func Synchronize(device int) {
	call("Synchronize", cgotorch.CUDASynchronize, check("Synchronize", device))
}

// CurrentDevice returns the index of the calling goroutine's current device (torch.cuda.current_device): 0 outside of
// WithDevice.
func CurrentDevice() int {
	const ask = ^uint64(0)
	return int(int64(call("CurrentDevice", cgotorch.CUDASetDevice, ask, 0)[0]))
}

// WithDevice runs f with a device as the current one (torch.cuda.device): collectives and streams without a device of
// their own use it. The goroutine is locked to its thread while f runs. Tensors are made where their options say, not
// here: torch.WithDevice does that.
func WithDevice(device int, f func()) {
	index := check("WithDevice", device)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := call("WithDevice", cgotorch.CUDASetDevice, index, 0)[0]
	defer call("WithDevice", cgotorch.CUDASetDevice, before, 1)
	f()
}

// ManualSeedAll restarts the default generators of all GPUs (torch.cuda.manual_seed_all); without one it does nothing.
func ManualSeedAll(seed uint64) {
	for i := range DeviceCount() {
		torch.DefaultGenerator(torch.CUDA(i)).ManualSeed(seed)
	}
}
