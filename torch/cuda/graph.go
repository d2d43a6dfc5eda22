package cuda

import (
	"fmt"
	"runtime"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
)

// Graph is work on a device that was recorded once and is replayed as a whole (torch.cuda.CUDAGraph): one call starts what took a thousand.
//
//	g := cuda.NewGraph(0)
//	err := g.Capture(func() { y = model.Forward(x).Keep() })
//	...
//	x.Copy_(next)
//	g.Replay() // y has the new result
//
// The recorded work reads and writes the very memory that it had when it was recorded: inputs are copied into the same tensors, outputs come in the
// same tensors. lite.Capture does that for a training step.
type Graph struct {
	address uint64
	device  int
	done    bool
}

// GraphPool is the memory of a graph, for graphs that are replayed in the order in which they were recorded to share.
type GraphPool struct{ first, second uint64 }

// CaptureOptions are Capture's optional arguments.
type CaptureOptions struct {
	// Pool is another graph's memory; the zero value is memory of the graph's own.
	Pool GraphPool
	// Generators are those that the work draws from besides the default one: each replay draws anew.
	Generators []*torch.Generator
}

// NewGraph makes a graph for a device, with nothing in it.
func NewGraph(device int) *Graph {
	g := &Graph{device: device}
	check("NewGraph", device)
	g.address = call("NewGraph", cgotorch.CUDAGraphNew)[0]
	runtime.AddCleanup(g, func(address uint64) { _, _ = cgotorch.CUDA(cgotorch.CUDAGraphFree, address) }, g.address)
	return g
}

// Capture records what f gives to the device (torch.cuda.graph). Nothing of it runs: tensors made in f hold nothing before the first Replay. f must have
// run before as it is, outside of a capture, for libraries to set themselves up. What waits for the device, such as Item, can't be recorded: the error
// names it. A graph is recorded once. The goroutine is locked to its thread meanwhile; f runs in a stream of its own.
func (g *Graph) Capture(f func(), opts ...CaptureOptions) error {
	var o CaptureOptions
	if len(opts) > 0 {
		o = opts[0]
	}
	if g.done {
		return fmt.Errorf("cuda.Graph.Capture: the graph has been recorded already: make another")
	}
	g.done = true
	for _, gen := range o.Generators {
		g.call("Graph.Capture", cgotorch.CUDAGraphGenerator, uint64(torch.ABI{}.GeneratorHandle(gen)))
		runtime.KeepAlive(gen)
	}
	// Memory of dead tensors is given back first: what is freed while a graph is recorded can't be used by it.
	runtime.GC()
	Synchronize(g.device)
	EmptyCache()
	s := NewStream(g.device)
	s.WaitStream(CurrentStream(g.device))
	var failed error
	WithStream(s, func() {
		g.call("Graph.Capture", cgotorch.CUDAGraphBegin, o.Pool.first, o.Pool.second)
		ended := false
		defer func() {
			if !ended { // a panic: the stream must not go on recording
				_, _ = cgotorch.CUDA(cgotorch.CUDAGraphEnd, g.address)
			}
		}()
		failed = torch.Try(f)
		ended = true
		if _, err := cgotorch.CUDA(cgotorch.CUDAGraphEnd, g.address); err != nil && failed == nil {
			failed = fmt.Errorf("cuda.Graph.Capture: %s", firstLine(err.Message))
		}
	})
	CurrentStream(g.device).WaitStream(s)
	runtime.KeepAlive(g)
	return failed
}

// Replay runs the recorded work in the current stream (CUDAGraph.replay). The caller doesn't wait.
func (g *Graph) Replay() { g.call("Graph.Replay", cgotorch.CUDAGraphReplay) }

// Pool returns the graph's memory, to be shared (CUDAGraph.pool).
func (g *Graph) Pool() GraphPool {
	w := g.call("Graph.Pool", cgotorch.CUDAGraphPool)
	return GraphPool{w[0], w[1]}
}

func (g *Graph) call(name string, function uint32, in ...uint64) []uint64 {
	defer runtime.KeepAlive(g)
	return call(name, function, append([]uint64{g.address}, in...)...)
}
