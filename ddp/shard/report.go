package shard

import (
	"fmt"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// Report is how many bytes this rank holds.
type Report struct {
	Parameters int // rows of parameters, with padding; whole parameters with Never
	Gradients  int // rows of gradients
	Optimizers int // state of the optimizers that Report was given
	Gathered   int // whole units, now
	Peak       int // the most that whole units have taken at one time
	Whole      int // what the parameters take that are not cut, on one rank
}

// Report counts bytes of this rank, and of the state of optimizers. It has no collectives.
func (e *Engine) Report(optimizers ...optim.Optimizer) Report {
	r := Report{Gathered: e.gathered, Peak: e.peak}
	torch.Scope(func() {
		for _, m := range e.modules {
			for i, g := range torch.Grads(m.tensors()) {
				p := m.params[i]
				r.Whole += p.bytes()
				if e.o.Reshard == Never {
					r.Parameters += p.rawBytes
				}
				if p.separate() {
					r.Parameters += p.chunk.Numel() * p.chunk.DType().Size()
				}
				if g != nil {
					r.Gradients += g.StorageBytes()
				}
			}
		}
		for _, o := range optimizers {
			r.Optimizers += stateBytes(o.StateDict()["state"])
		}
	})
	return r
}

func stateBytes(v any) (n int) {
	switch v := v.(type) {
	case *torch.Tensor:
		return v.StorageBytes()
	case map[int]any:
		for _, x := range v {
			n += stateBytes(x)
		}
	case map[string]any:
		for _, x := range v {
			n += stateBytes(x)
		}
	}
	return n
}

// Total is what a rank holds between passes.
func (r Report) Total() int { return r.Parameters + r.Gradients + r.Optimizers }

// String lists the bytes in mebibytes.
func (r Report) String() string {
	var b strings.Builder
	for _, row := range []struct {
		name string
		n    int
	}{
		{"parameters", r.Parameters}, {"gradients", r.Gradients}, {"optimizers", r.Optimizers}, {"gathered now", r.Gathered},
		{"gathered at most", r.Peak}, {"all parameters", r.Whole},
	} {
		fmt.Fprintf(&b, "%-17s %9.2f MiB\n", row.name, float64(row.n)/(1<<20))
	}
	return b.String()
}
