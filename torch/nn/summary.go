package nn

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/golite/golite/torch"
)

// LayerSummary is a row of a ModelSummary: a module that has parameters of its own.
type LayerSummary struct {
	Name       string           // its path in the model, as in the keys of the state dict; "" for the model itself
	Type       string           // its type's name, as Python would print it
	Shapes     []ParameterShape // of its own parameters
	Parameters int              // their elements; those that an earlier layer has too are not counted again
	Trainable  int              // those of them that autograd records
}

// ParameterShape is a parameter of a layer.
type ParameterShape struct {
	Name      string // its key within the layer: weight
	Shape     []int  // its sizes
	Trainable bool   // RequiresGrad
	Shared    bool   // an earlier layer has the same parameter
}

// ModelSummary is what Summary finds. Printed, it is a table.
type ModelSummary struct {
	Layers     []LayerSummary // in the order of Parameters
	Parameters int            // elements of all parameters, a shared one once
	Trainable  int            // those of them that autograd records
	Bytes      int            // the memory of the parameters
}

// Summary counts a model's parameters by layer (Lightning's ModelSummary). What is wrong with the model is a panic, as
// in Parameters.
//
//	fmt.Println(nn.Summary(net))
//	// Name  Type    Shape                          Parameters  Trainable
//	// fc1   Linear  weight [128, 784], bias [128]  100,480     yes
//	// fc2   Linear  weight [10, 128], bias [10]    1,290       yes
//	// 101,770 parameters, 101,770 of them trainable, 0.4 MB
func Summary(m Module) ModelSummary {
	var s ModelSummary
	seen := map[*torch.Tensor]bool{}
	tree("nn.Summary", m).each(func(n *node) bool {
		if len(n.params) == 0 {
			return true
		}
		l := LayerSummary{Name: n.path, Type: n.typeName()}
		for _, e := range n.params {
			p := ParameterShape{Name: e.key, Shape: e.tensor.Shape(), Trainable: e.tensor.RequiresGrad(),
				Shared: seen[e.tensor]}
			l.Shapes = append(l.Shapes, p)
			if p.Shared {
				continue
			}
			seen[e.tensor] = true
			count := e.tensor.Numel()
			l.Parameters += count
			if p.Trainable {
				l.Trainable += count
			}
			s.Bytes += count * e.tensor.DType().Size()
		}
		s.Layers = append(s.Layers, l)
		s.Parameters, s.Trainable = s.Parameters+l.Parameters, s.Trainable+l.Trainable
		return true
	})
	return s
}

// String is the summary as a table: a line a layer, and the totals.
func (s ModelSummary) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "Name\tType\tShape\tParameters\tTrainable")
	for _, l := range s.Layers {
		name := l.Name
		if name == "" {
			name = "(model)"
		}
		shapes := make([]string, len(l.Shapes))
		for i, p := range l.Shapes {
			shapes[i] = p.Name + " " + strings.ReplaceAll(fmt.Sprint(p.Shape), " ", ", ")
			if p.Shared {
				shapes[i] += " (shared)"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, l.Type, strings.Join(shapes, ", "), thousands(l.Parameters),
			l.trainable())
	}
	_ = w.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&b, "%s parameters, %s of them trainable, %.1f MB", thousands(s.Parameters),
		thousands(s.Trainable), float64(s.Bytes)/1e6)
	return b.String()
}

func (l LayerSummary) trainable() string {
	switch l.Trainable {
	case l.Parameters:
		return "yes"
	case 0:
		return "no"
	}
	return thousands(l.Trainable)
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
