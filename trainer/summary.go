package trainer

import (
	"fmt"
	"os"
	"strings"

	"github.com/golite/golite/torch/nn"
)

// ModelSummary writes a table of the module's layers, with their parameters, before training, to the standard error of
// rank 0 (lightning.pytorch.callbacks.ModelSummary).
type ModelSummary struct {
	// MaxDepth is down to which layers the table goes. 0: 1. -1: all.
	MaxDepth int
}

// OnFitStart writes the table.
func (c *ModelSummary) OnFitStart(t *Trainer) error {
	if t.l.IsGlobalZero() && t.model != nil {
		fmt.Fprint(os.Stderr, Summarize(t.model.Module, c.MaxDepth))
	}
	return nil
}

// Summarize returns the table of a module: name, type and number of parameters of its layers down to a depth, and sums.
// maxDepth 0 stands for 1, -1 for all.
func Summarize(m nn.Module, maxDepth int) string {
	if maxDepth == 0 {
		maxDepth = 1
	}
	rows := [][3]string{{"name", "type", "parameters"}}
	for name, layer := range nn.NamedModules(m) {
		if name == "" || maxDepth > 0 && strings.Count(name, ".") >= maxDepth {
			continue
		}
		total, _, _ := sizes(layer)
		rows = append(rows, [3]string{name, typeName(layer), grouped(total)})
	}
	var width [3]int
	for _, r := range rows {
		for i, s := range r {
			width[i] = max(width[i], len(s))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%-*s  %-*s  %*s\n", width[0], r[0], width[1], r[1], width[2], r[2])
	}
	total, trained, bytes := sizes(m)
	fmt.Fprintf(&b, "%s parameters, %s of them trained, %.1f MB\n", grouped(total), grouped(trained), float64(bytes)/1e6)
	return b.String()
}

// sizes counts a module's parameters.
func sizes(m nn.Module) (total, trained, bytes int) {
	for _, p := range nn.Parameters(m) {
		n := p.Numel()
		total += n
		bytes += n * p.DType().Size()
		if p.RequiresGrad() {
			trained += n
		}
	}
	return total, trained, bytes
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
