package cuda

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// Graph is work on a device that was recorded once and is replayed as a whole (torch.cuda.CUDAGraph): one call starts
// what took a thousand.
//
//	g := cuda.NewGraph(0)
//	err := g.Capture(func() { y = model.Forward(x).Keep() })
//	...
//	x.Copy_(next)
//	g.Replay() // y has the new result
//
// The recorded work reads and writes the very memory that it had when it was recorded: inputs are copied into the same
// tensors, outputs come in the same tensors. lite.Capture does that for a training step.
type Graph struct {
	address uint64
	device  int
	done    bool
}

// GraphPool is the memory of a graph, for graphs that never run at once and need nothing of each other's results to
// share. It keeps that graph.
type GraphPool struct {
	first, second uint64
	of            *Graph
}

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
	index := check("NewGraph", device)
	if !IsAvailable() {
		call("NewGraph", cgotorch.CUDAGraphNew) // it says why there is no device
	}
	WithDevice(int(index), func() { g.address = call("NewGraph", cgotorch.CUDAGraphNew)[0] })
	runtime.AddCleanup(g, func(address uint64) { _, _ = cgotorch.CUDA(cgotorch.CUDAGraphFree, address) }, g.address)
	return g
}

// captures is the stream of each device that graphs are recorded in. One graph is recorded at a time, as libtorch wants
// it.
var captures struct {
	sync.Mutex
	streams   map[int]Stream
	recording sync.Mutex
}

// CaptureStream returns the stream of a device that its graphs are recorded in: one and the same, that NewStream never
// gives to anybody. What is to be recorded runs there first (WithStream), as libraries keep memory for each stream.
func CaptureStream(device int) Stream {
	captures.Lock()
	defer captures.Unlock()
	s, ok := captures.streams[device]
	if !ok {
		s = streamOf(call("CaptureStream", cgotorch.CUDAStreamOwn, check("CaptureStream", device)))
		if captures.streams == nil {
			captures.streams = map[int]Stream{}
		}
		captures.streams[device] = s
	}
	return s
}

// Capture records what f gives to the device (torch.cuda.graph). Nothing of it runs: tensors made in f hold nothing
// before the first Replay. f must have run before as it is, outside of a capture, for libraries to set themselves up.
// The goroutine is locked to its thread meanwhile; f runs in the device's CaptureStream. A graph is recorded once, and
// anew after Reset. In the whole process one graph is recorded at a time; the next one waits.
//
// What waits for the device, such as Item, can't be recorded. The error says what happened, an *Error of f as it is;
// then nothing was recorded, and libtorch goes on as if nothing had been tried.
func (g *Graph) Capture(f func(), opts ...CaptureOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return fmt.Errorf("cuda.Graph.Capture: %w", err)
	}
	if g.done {
		return fmt.Errorf("cuda.Graph.Capture: the graph has been recorded already: Reset it, or make another")
	}
	if of := o.Pool.of; of != nil && !of.done {
		return fmt.Errorf("cuda.Graph.Capture: the graph whose Pool this is was reset: there is nothing to share")
	}
	for _, gen := range o.Generators {
		if d := gen.Device(); d != torch.CUDA(g.device) {
			return fmt.Errorf("cuda.Graph.Capture: a generator is one of %s: a graph of %s records numbers drawn there", d,
				torch.CUDA(g.device))
		}
	}
	s := CaptureStream(g.device)
	if now := CurrentStream(g.device); now == s && g.recordingNow() {
		return fmt.Errorf("cuda.Graph.Capture: another graph is being recorded here")
	}
	captures.recording.Lock()
	defer captures.recording.Unlock()
	// Memory of dead tensors is given back first: what is freed while a graph is recorded can't be used by it.
	runtime.GC()
	Synchronize(g.device)
	EmptyCache()
	s.WaitStream(CurrentStream(g.device))
	WithStream(s, func() { err = g.record(f, o) })
	CurrentStream(g.device).WaitStream(s)
	runtime.KeepAlive(g)
	runtime.KeepAlive(o.Pool.of) // the collection above would free its memory
	return err
}

// record is Capture in the stream and on the device of the graph.
func (g *Graph) record(f func(), o CaptureOptions) (err error) {
	for _, gen := range o.Generators {
		_, failure := cgotorch.CUDA(cgotorch.CUDAGraphGenerator, g.address, uint64(torch.ABI{}.GeneratorHandle(gen)))
		runtime.KeepAlive(gen)
		if failure != nil {
			return failed("Graph.Capture", failure)
		}
	}
	if _, failure := cgotorch.CUDA(cgotorch.CUDAGraphBegin, g.address, o.Pool.first, o.Pool.second); failure != nil {
		return failed("Graph.Capture", failure)
	}
	g.done = true
	ran := false
	defer func() { // after a panic, too: the stream must not go on recording
		_, failure := cgotorch.CUDA(cgotorch.CUDAGraphEnd, g.address)
		if failure != nil && err == nil {
			err = failed("Graph.Capture", failure)
		}
		if err != nil || !ran { // what was recorded up to there is of no use
			_, _ = cgotorch.CUDA(cgotorch.CUDAGraphReset, g.address)
			g.done = false
		}
	}()
	err = torch.Try(f)
	ran = true
	return err
}

// recordingNow reports whether the calling thread's stream is being recorded.
func (g *Graph) recordingNow() bool {
	return call("Graph.Capture", cgotorch.CUDAGraphRecording)[0] != 0
}

// Reset drops what was recorded, and gives its memory back once the tensors made in it are released (CUDAGraph.reset):
// the graph can be recorded anew.
func (g *Graph) Reset() {
	Synchronize(g.device) // a replay may be under way
	g.call("Graph.Reset", cgotorch.CUDAGraphReset)
	g.done = false
}

// Replay runs the recorded work in the current stream (CUDAGraph.replay). The caller doesn't wait.
func (g *Graph) Replay() { g.call("Graph.Replay", cgotorch.CUDAGraphReplay) }

// Pool returns the graph's memory, to be shared (CUDAGraph.pool).
func (g *Graph) Pool() GraphPool {
	w := g.call("Graph.Pool", cgotorch.CUDAGraphPool)
	return GraphPool{w[0], w[1], g}
}

func (g *Graph) call(name string, function uint32, in ...uint64) []uint64 {
	defer runtime.KeepAlive(g)
	return call(name, function, append([]uint64{g.address}, in...)...)
}
