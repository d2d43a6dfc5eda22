// Package standin is an accelerator in a module of its own: a stand-in for hardware that golite does not know. It has as
// many devices as it is told, which are the CPU, and counts what it is asked for. A program that imports it has the name
// "standin":
//
//	lite.Config{Accelerator: "standin", Devices: "2"}
//	lite.Config{Accelerator: standin.Accelerator{Visible: 2, Calls: &standin.Calls{}}}
//
// Hardware with tensors of its own has another Type, which libtorch must have kernels for, and devices of that type.
package standin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

func init() {
	// A negative priority keeps it out of "auto", which would prefer it to the CPU.
	accelerator.Register(accelerator.Entry{Accelerator: Accelerator{Visible: 4}, Aliases: []string{"toy"}, Priority: -1})
}

// Calls counts calls by method. Goroutine ranks share it.
type Calls struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *Calls) add(method string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[method]++
}

// Count returns the counts so far.
func (c *Calls) Count() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// Accelerator is the stand-in. Its methods are those of accelerator.Accelerator, and of the optional parts below.
type Accelerator struct {
	Visible int    // devices that it finds
	Calls   *Calls // nil: calls are not counted
}

var (
	_ accelerator.Communicator     = Accelerator{}
	_ accelerator.Activator        = Accelerator{}
	_ accelerator.Randomizer       = Accelerator{}
	_ accelerator.Stager           = Accelerator{}
	_ accelerator.Brancher         = Accelerator{}
	_ accelerator.StepSyncer       = Accelerator{}
	_ accelerator.StrategyChooser  = Accelerator{}
	_ accelerator.PrecisionChecker = Accelerator{}
)

// Name returns "standin".
func (Accelerator) Name() string { return "standin" }

// Type returns the CPU's: the stand-in has no kernels of its own.
func (Accelerator) Type() torch.DeviceType { return torch.CPUType }

// Probe returns a name for each device.
func (a Accelerator) Probe() ([]string, error) {
	a.Calls.add("Probe")
	if a.Visible == 0 {
		return nil, errors.New("no stand-in (Visible is 0)")
	}
	names := make([]string, a.Visible)
	for i := range names {
		names[i] = "stand-in"
	}
	return names, nil
}

// Select chooses devices by index, each of which is the CPU.
func (a Accelerator) Select(r accelerator.Request) ([]torch.Device, error) {
	a.Calls.add("Select")
	devices, err := accelerator.Indexed(a.Type(), a.Visible, r)
	for i := range devices {
		devices[i] = torch.CPU
	}
	return devices, err
}

// Backend returns Gloo, which carries the CPU's tensors.
func (a Accelerator) Backend() (name, reason string) {
	a.Calls.add("Backend")
	return "gloo", ""
}

// With would make d the thread's current device.
func (a Accelerator) With(_ torch.Device, f func()) {
	a.Calls.add("With")
	f()
}

// generator is that of the stand-in's devices, beside the CPU's own.
var generator = sync.OnceValue(func() *torch.Generator { return torch.NewGenerator(0) })

// Seed restarts the generator.
func (a Accelerator) Seed(seed uint64, _ ...torch.Device) {
	a.Calls.add("Seed")
	generator().ManualSeed(seed)
}

// Generator returns the generator: checkpoints keep its state.
func (a Accelerator) Generator(torch.Device) *torch.Generator {
	a.Calls.add("Generator")
	return generator()
}

// Stage copies a batch at once, and counts those that are drawn.
func (a Accelerator) Stage(torch.Device) accelerator.Stage {
	a.Calls.add("Stage")
	return func(_ context.Context, copied func()) (ready func([]*torch.Tensor), err error) {
		err = torch.Try(copied)
		return func([]*torch.Tensor) { a.Calls.add("ready") }, err
	}
}

// Branch runs f as it is: the threads of strategy "dp" share the CPU.
func (a Accelerator) Branch([]torch.Device) func(k int, f func()) {
	a.Calls.add("Branch")
	return func(_ int, f func()) { f() }
}

// SyncStep would start what a lazy device has put off.
func (a Accelerator) SyncStep(torch.Device) { a.Calls.add("SyncStep") }

// DefaultStrategy returns "ddp_spawn" for several devices of one machine.
func (a Accelerator) DefaultStrategy(devices, nodes int, external bool) string {
	a.Calls.add("DefaultStrategy")
	switch {
	case devices == 1 && nodes == 1 && !external:
		return "single_device"
	case nodes == 1 && !external:
		return "ddp_spawn"
	}
	return "ddp"
}

// CheckPrecision refuses 64 bits.
func (a Accelerator) CheckPrecision(name string) error {
	a.Calls.add("CheckPrecision")
	if name == "64-true" {
		return fmt.Errorf(`a stand-in has no 64-bit floating point: use "32-true", or accelerator "cpu"`)
	}
	return nil
}
