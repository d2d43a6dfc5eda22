package torch

import (
	"runtime"

	"github.com/golite/golite/cgotorch"
)

// Generator is a stream of random numbers on a device (torch.Generator). Operations draw from the device's default
// generator unless they are given another. A Generator is safe for use by several goroutines, which draw in no fixed
// order.
type Generator struct {
	gen    cgotorch.Gen
	device Device
}

func newGenerator(g cgotorch.Gen, d Device) *Generator {
	gen := &Generator{g, d}
	runtime.AddCleanup(gen, cgotorch.FreeGenerator, g)
	return gen
}

// NewGenerator makes a generator on the CPU, with a seed.
func NewGenerator(seed uint64) *Generator { return NewGeneratorOn(CPU, seed) }

// NewGeneratorOn makes a generator on a device, with a seed. It panics if the device isn't there.
func NewGeneratorOn(d Device, seed uint64) *Generator {
	if d == (Device{}) {
		d = CPU
	}
	d.check("torch.NewGeneratorOn")
	kind, _ := d.code()
	g, err := cgotorch.NewGenerator(int32(kind), int32(d.Index), seed)
	if err != nil {
		panic(opError("torch.NewGenerator on "+d.String(), err, nil))
	}
	return newGenerator(g, d)
}

// DefaultGenerator returns the generator that operations on a device draw from: on the CPU the calling rank's
// or worker's own, if it has one, else the process's.
func DefaultGenerator(d Device) *Generator {
	if d == (Device{}) {
		d = CPU
	}
	d.check("torch.DefaultGenerator")
	if d == CPU {
		needDefaults("torch.DefaultGenerator")
	}
	kind, index := d.code()
	g, err := cgotorch.DefaultGenerator(int32(kind), int32(index))
	if err != nil {
		panic(opError("torch.DefaultGenerator of "+d.String(), err, nil))
	}
	return newGenerator(g, d)
}

// Device returns the device whose operations the generator serves.
func (g *Generator) Device() Device { return g.device }

// ManualSeed restarts the stream from a seed and returns g (Generator.manual_seed).
func (g *Generator) ManualSeed(seed uint64) *Generator {
	if err := cgotorch.SeedGenerator(g.gen, seed); err != nil {
		panic(opError("manual_seed", err, nil))
	}
	runtime.KeepAlive(g)
	return g
}

// InitialSeed returns the seed of the stream (Generator.initial_seed).
func (g *Generator) InitialSeed() uint64 {
	s, err := cgotorch.InitialSeed(g.gen)
	if err != nil {
		panic(opError("initial_seed", err, nil))
	}
	runtime.KeepAlive(g)
	return s
}

// State returns the generator's state, a tensor of bytes on the CPU that SetState restores (Generator.get_state).
func (g *Generator) State() *Tensor {
	var out [cgotorch.Room]uint64
	w, err := cgotorch.GeneratorState(g.gen, out[:])
	if err != nil {
		panic(opError("get_state", err, nil))
	}
	runtime.KeepAlive(g)
	return newTensor(cgotorch.Handle(w[2]), int64(w[3]), w[0])
}

// SetState restores a state (Generator.set_state).
func (g *Generator) SetState(state *Tensor) {
	if err := cgotorch.SetGeneratorState(g.gen, state.h()); err != nil {
		panic(opError("set_state", err, nil, state))
	}
	runtime.KeepAlive(g)
	runtime.KeepAlive(state)
}

// ManualSeed restarts the default CPU generator (torch.manual_seed): the calling rank's or worker's own, if it has
// one, else the process's. lite.SeedEverything also seeds the GPU's and Go's own random numbers.
func ManualSeed(seed uint64) { DefaultGenerator(CPU).ManualSeed(seed) }

// WithGenerator runs f with g as the default CPU generator of the calling goroutine: what f draws, it draws from g. The
// goroutine is locked to its thread while f runs. Ranks and workers that share a process use it for their own streams.
// It panics where libtorch does not use golite's function for the default generator (see Process-wide effects).
func WithGenerator(g *Generator, f func()) {
	needOwnDefaults("torch.WithGenerator")
	notNil("torch.WithGenerator", f != nil)
	if g == nil {
		Fail("torch.WithGenerator", "the generator is nil")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cgotorch.UseGenerator(g.gen)
	defer func() {
		now := cgotorch.UseGenerator(before)
		cgotorch.FreeGenerator(now)
		if before != 0 {
			cgotorch.FreeGenerator(before)
		}
		runtime.KeepAlive(g)
	}()
	f()
}
