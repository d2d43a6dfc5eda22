package accelerator

import (
	"context"
	"fmt"

	"github.com/golite/golite/torch"
)

// Accelerator is one kind of hardware (Fabric's Accelerator). The value has no state of a rank: its methods may be
// called from any goroutine, Probe and Select also in the process that supervises ranks.
type Accelerator interface {
	// Name is the name in Config.Accelerator and in messages, such as "cuda", in lower case.
	Name() string
	// Type is the type of its devices.
	Type() torch.DeviceType
	// Probe returns the names of the devices that this process can use, such as "NVIDIA H100", by index. The error says
	// why there are none, such as "no CUDA device (the driver is missing)": messages have "there is" before it.
	Probe() (names []string, err error)
	// Select returns the devices of this node that a Request asks for, or what is wrong with it; Indexed serves devices
	// that are counted from 0. It is called after a Probe that has found devices.
	Select(r Request) ([]torch.Device, error)
}

// Request is what a Config asks of an Accelerator.
type Request struct {
	Devices  Spec   // Config.Devices
	Given    string // the setting that chose the Accelerator, for messages: accelerator="gpu" (from Config.Accelerator)
	External bool   // an engine such as torchrun has started the ranks: each may see the one device that is its own
}

// Indexed is Select for devices of a type that are counted from 0, of which n are visible: Count means the first ones,
// and Unset, Auto and All mean all.
func Indexed(t torch.DeviceType, n int, r Request) ([]torch.Device, error) {
	var devices []torch.Device
	switch s := r.Devices; s.Kind {
	case None:
		return nil, fmt.Errorf(`no device, but %s: leave one of the two out, or set accelerator to "cpu"`, r.Given)
	case List:
		for _, i := range s.List {
			devices = append(devices, torch.Device{Type: t, Index: i})
		}
	case Count:
		for i := range s.Count {
			if r.External && n == 1 {
				i = 0 // the engine shows each rank the one device that is its own
			}
			devices = append(devices, torch.Device{Type: t, Index: i})
		}
	default:
		for i := range n {
			devices = append(devices, torch.Device{Type: t, Index: i})
		}
	}
	for _, d := range devices {
		if d.Index >= n {
			return nil, fmt.Errorf("asks for %s:%d: indices of the %d visible go from 0 to %d", t, d.Index, n, n-1)
		}
	}
	return devices, nil
}

// Optional parts of an Accelerator.
type (
	// Communicator names the backend of package dist that carries the tensors of its devices between ranks: "gloo" or
	// "nccl". Default: none. Where there is none, strategies of several ranks are refused for the reason.
	Communicator interface {
		Backend() (name, reason string) // one of the two is empty
	}

	// Activator runs f with a device as the thread's current one. Default: f().
	Activator interface {
		With(d torch.Device, f func()) // runs f
	}

	// Randomizer seeds the default generators of devices. Default: torch.DefaultGenerator(d).
	Randomizer interface {
		// Seed restarts the generators of devices; without any, of all devices there are, as torch.manual_seed does.
		Seed(seed uint64, devices ...torch.Device)
		// Generator returns a device's default generator, whose state is part of checkpoints; nil: it has none beside
		// that of the CPU.
		Generator(d torch.Device) *torch.Generator
	}

	// Mover returns a copy of a tensor on a device, and may return before it is complete: operations on the device wait
	// for it. t is on another device. Default: t.To(d).
	Mover interface {
		Move(t *torch.Tensor, d torch.Device) *torch.Tensor // the copy
	}

	// Stager copies the batches of loaders to a device beside its computation. Default: a batch is copied when the loop
	// draws it.
	Stager interface {
		Stage(d torch.Device) Stage // one for each loader
	}

	// Brancher lets one rank compute on several devices at once, as strategy "dp" does. Branch is called on the rank's
	// goroutine before each pass; branch(k, f) runs f on another thread, with devices[k] current and behind what the rank
	// has started there. Default: "dp" refuses the accelerator, and "ddp" takes its place.
	Brancher interface {
		Branch(devices []torch.Device) (branch func(k int, f func()))
	}

	// Recorder records steps for lite.Capture. Default: Capture returns the step as it is.
	Recorder interface {
		Recorder(d torch.Device) Graphs // one for each step
	}

	// StepSyncer starts the operations that a device has put off (torch_xla.sync): after each optimizer's step and at the
	// end of the run's function, before peers are left. It panics as operations do. Default: nothing.
	StepSyncer interface {
		SyncStep(d torch.Device) // on the rank's goroutine
	}

	// StrategyChooser names the strategy that "auto" stands for. Default: "single_device" for one rank that no engine
	// has started, else "ddp".
	StrategyChooser interface {
		DefaultStrategy(devices, nodes int, external bool) string // a name of package strategy's registry
	}

	// PrecisionChecker refuses a precision, such as "64-true", with what to use instead. Default: nil.
	PrecisionChecker interface {
		CheckPrecision(name string) error // nil, or what is wrong
	}
)

// Stage calls copied, which copies one batch, beside the computation, and returns a function that makes the batch's
// tensors usable: the loop calls it with them when it draws the batch. ctx ends with the loader's pass.
type Stage func(ctx context.Context, copied func()) (ready func(batch []*torch.Tensor), err error)

// Graphs makes the recordings of one step, which share their memory.
type Graphs interface {
	// Warm runs f as it is where steps are recorded.
	Warm(f func())
	// Record records what f does on the device, without running it there. The generators are those that f may draw from
	// beside the default ones: each replay continues them.
	Record(f func(), generators ...*torch.Generator) (Graph, error)
}

// Graph is a recording.
type Graph interface {
	Replay() // runs it
	Reset()  // frees it
}

// With runs f with d as the thread's current device, if a is an Activator.
func With(a Accelerator, d torch.Device, f func()) {
	if x, ok := a.(Activator); ok {
		x.With(d, f)
		return
	}
	f()
}

// Backend returns the dist backend of a's devices, or the reason why there is none.
func Backend(a Accelerator) (name, reason string) {
	if c, ok := a.(Communicator); ok {
		return c.Backend()
	}
	return "", fmt.Sprintf(`accelerator %q runs one rank: use strategy "single_device", or accelerator "cpu"`, a.Name())
}

// Seed restarts the default generators of devices, which are a's.
func Seed(a Accelerator, seed uint64, devices ...torch.Device) {
	if r, ok := a.(Randomizer); ok {
		r.Seed(seed, devices...)
		return
	}
	for _, d := range devices {
		torch.DefaultGenerator(d).ManualSeed(seed)
	}
}

// Generator returns the default generator of a device, which is a's; nil: it has none beside that of the CPU.
func Generator(a Accelerator, d torch.Device) *torch.Generator {
	if r, ok := a.(Randomizer); ok {
		return r.Generator(d)
	}
	return torch.DefaultGenerator(d)
}

// Move returns t on a device, which is a's: t itself if it is there.
func Move(a Accelerator, t *torch.Tensor, d torch.Device) *torch.Tensor {
	if t.Device() == d {
		return t
	}
	if m, ok := a.(Mover); ok {
		return m.Move(t, d)
	}
	return t.To(d)
}
