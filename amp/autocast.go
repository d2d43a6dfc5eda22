package amp

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// Autocast runs f with autocast on for a kind of device (torch.autocast): matrix products, convolutions and the like
// run in dtype (torch.Float16 or torch.BFloat16), what needs the range runs in float32. Parameters stay as they are;
// their casts are cached until the outermost Autocast ends. The goroutine is locked to its thread while f runs, and no
// other goroutine sees any of it. Backward belongs outside.
func Autocast(device torch.DeviceType, dtype torch.DType, f func()) {
	check(device, f != nil)
	if !dtype.IsFloating() {
		torch.Fail("amp.Autocast", "want a floating type, torch.Float16 or torch.BFloat16, got %s", dtype)
	}
	with(device, cgotorch.AutocastState{Enabled: true, DType: int32(dtype) - 1, Cache: true}, f)
}

// AutocastOf is Autocast for a function with a result.
func AutocastOf[T any](device torch.DeviceType, dtype torch.DType, f func() T) (result T) {
	check(device, f != nil)
	Autocast(device, dtype, func() { result = f() })
	return result
}

// NoAutocast runs f with autocast off, also inside Autocast (torch.autocast with enabled=False).
func NoAutocast(device torch.DeviceType, f func()) {
	check(device, f != nil)
	s, _ := cgotorch.Autocast(code(device))
	s.Enabled = false
	with(device, s, f)
}

// Enabled tells whether autocast is on for a kind of device on the calling goroutine, and with which type.
func Enabled(device torch.DeviceType) (dtype torch.DType, on bool) {
	s, _ := cgotorch.Autocast(code(device))
	return torch.DType(s.DType + 1), s.Enabled
}

// check panics for what is no type of device, and where there is no function.
func check(device torch.DeviceType, function bool) {
	if !function {
		torch.Fail("amp.Autocast", "the function is nil")
	}
	if device > torch.MetaType {
		torch.Fail("amp.Autocast", "%s has no autocast", device)
	}
}

func code(device torch.DeviceType) int32 {
	if device == 0 {
		device = torch.CPUType
	}
	return int32(device) - 1
}

func with(device torch.DeviceType, s cgotorch.AutocastState, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, ok := cgotorch.SetAutocast(code(device), s)
	if !ok {
		torch.Fail("amp.Autocast", "%s has no autocast", device)
	}
	cgotorch.EnterAutocast()
	defer func() {
		cgotorch.LeaveAutocast()
		cgotorch.SetAutocast(code(device), before)
	}()
	f()
}
