package builtin

import (
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// Recorder records CUDA graphs.
func (CUDA) Recorder(d torch.Device) accelerator.Graphs { return &graphs{device: d.Index} }

// graphs are CUDA graphs that share a memory pool: the first one's.
type graphs struct {
	device int
	pool   cuda.GraphPool
}

// Warm runs f in the stream that graphs are recorded in, as libraries that f sets up expect.
func (g *graphs) Warm(f func()) {
	now, side := cuda.CurrentStream(g.device), cuda.CaptureStream(g.device)
	side.WaitStream(now)
	defer now.WaitStream(side)
	cuda.WithStream(side, f)
}

// Record captures f.
func (g *graphs) Record(f func(), generators ...*torch.Generator) (accelerator.Graph, error) {
	graph := cuda.NewGraph(g.device)
	if err := graph.Capture(f, cuda.CaptureOptions{Pool: g.pool, Generators: generators}); err != nil {
		return nil, err
	}
	if g.pool == (cuda.GraphPool{}) {
		g.pool = graph.Pool()
	}
	return graph, nil
}
