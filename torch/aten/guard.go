package aten

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// guards are what libtorch's kernels take for granted where no caller of its own gets it wrong, and end the process otherwise. A guard
// returns what is wrong, "" if nothing is. They were found by calling every operator on arguments that its schema allows.
var guards = map[string]func(g asked) string{
	"_stack":        func(g asked) string { return g.atLeast("tensors", 1) },
	"align_tensors": func(g asked) string { return g.atLeast("tensors", 1) },

	"quantized_lstm_cell":             func(g asked) string { return g.atLeast("hx", 2) },
	"_dyn_quant_matmul_4bit":          func(g asked) string { return g.positive("block_size") },
	"_nnpack_spatial_convolution":     func(g asked) string { return first(g.dims("input", 4), g.dims("weight", 4)) },
	"_transform_bias_rescale_qkv":     heads,
	"_reshape_alias_copy":             withinStorage,
	"_weight_norm":                    func(g asked) string { return g.filled("v") },
	"_weight_norm_interface":          func(g asked) string { return g.filled("v") },
	"_weight_norm_interface_backward": func(g asked) string { return first(g.filled("grad_w"), g.filled("saved_v")) },

	"_thnn_differentiable_gru_cell_backward":  func(g asked) string { return gates(g, 3, "hx") },
	"_thnn_differentiable_lstm_cell_backward": func(g asked) string { return gates(g, 4, "cx") },

	"_sobol_engine_initialize_state_": func(g asked) string { return g.sobol("self") },
	"_sobol_engine_scramble_":         func(g asked) string { return first(g.sobol("self"), g.shape("ltm", g.number("dimension"), 30, 30)) },
	"_sobol_engine_ff_":               func(g asked) string { return first(g.sobol("sobolstate"), g.shape("self", g.number("dimension"))) },
	"_sobol_engine_draw":              func(g asked) string { return first(g.sobol("sobolstate"), g.shape("quasi", g.number("dimension"))) },

	"native_batch_norm":               func(g asked) string { return statistics(g, "training") },
	"_native_batch_norm_legit":        func(g asked) string { return statistics(g, "training") },
	"_batch_norm_no_update":           func(g asked) string { return g.all("running_mean", "running_var") },
	"native_batch_norm_backward":      func(g asked) string { return saved(g, "train", "save_mean", "save_invstd") },
	"batch_norm_backward":             func(g asked) string { return saved(g, "update", "save_mean", "save_var") },
	"_batch_norm_impl_index_backward": func(g asked) string { return saved(g, "train", "save_mean", "save_var_transform") },
}

// guard checks a call's arguments, in the schema's order.
func guard(s *schema.Schema, values []any) string {
	if check := guards[s.Name]; check != nil && s.Namespace == "aten" {
		return check(asked{s, values})
	}
	return ""
}

// asked are the arguments of a call, by name. An argument of another type than its schema's is refused elsewhere, and passed over here.
type asked struct {
	schema *schema.Schema
	values []any
}

func (g asked) value(name string) any {
	for i, a := range g.schema.Args {
		if a.Name == name {
			if d, ok := g.values[i].(fallback); ok {
				return d.value
			}
			return g.values[i]
		}
	}
	return nil
}

func (g asked) tensor(name string) *torch.Tensor {
	t, _ := g.value(name).(*torch.Tensor)
	return t
}

func (g asked) number(name string) int {
	n, _ := g.value(name).(int)
	return n
}

func (g asked) ints(name string) []int {
	v, _ := g.value(name).([]int)
	return v
}

func (g asked) atLeast(name string, n int) string {
	if list, ok := g.value(name).([]*torch.Tensor); ok && len(list) < n {
		return fmt.Sprintf("%s has %d tensors: want %d or more", name, len(list), n)
	}
	return ""
}

func (g asked) positive(name string) string {
	if n, ok := g.value(name).(int); ok && n < 1 {
		return fmt.Sprintf("%s is %d: want 1 or more", name, n)
	}
	return ""
}

func (g asked) dims(name string, n int) string {
	if t := g.tensor(name); t != nil && t.Dim() != n {
		return fmt.Sprintf("%s has %d dimensions: want %d", name, t.Dim(), n)
	}
	return ""
}

func (g asked) shape(name string, want ...int) string {
	if t := g.tensor(name); t != nil && !slices.Equal(t.Shape(), want) {
		return fmt.Sprintf("%s is %v: want %v", name, t.Shape(), want)
	}
	return ""
}

// sobol wants the state of a Sobol sequence: 30 directions for each dimension, of which there may be 21201.
func (g asked) sobol(name string) string {
	if n := g.number("dimension"); n > 21201 {
		return fmt.Sprintf("dimension is %d: want 21201 or less", n)
	}
	return first(g.positive("dimension"), g.shape(name, g.number("dimension"), 30))
}

func (g asked) filled(name string) string {
	if t := g.tensor(name); t != nil && t.Numel() == 0 {
		return name + " has no elements"
	}
	return ""
}

// all wants every one of some optional tensors.
func (g asked) all(names ...string) string {
	for _, name := range names {
		if g.tensor(name) == nil {
			return "it needs " + strings.Join(names, " and ")
		}
	}
	return ""
}

func first(problems ...string) string {
	for _, p := range problems {
		if p != "" {
			return p
		}
	}
	return ""
}

func heads(g asked) string {
	t, n := g.tensor("qkv"), g.number("num_heads")
	if problem := first(g.positive("num_heads"), g.dims("qkv", 3)); problem != "" || t == nil || n == 0 {
		return problem
	}
	if size := t.Size(2); size%(3*n) != 0 {
		return fmt.Sprintf("the last dimension of qkv, %d, is not 3 times the features of %d heads", size, n)
	}
	return ""
}

// withinStorage wants sizes and strides that stay within the tensor.
func withinStorage(g asked) string {
	t, size, stride := g.tensor("self"), g.ints("size"), g.ints("stride")
	if t == nil {
		return ""
	}
	if len(size) != len(stride) {
		return fmt.Sprintf("%d sizes and %d strides", len(size), len(stride))
	}
	last := 0
	for i, n := range size {
		if n < 0 || stride[i] < 0 {
			return "sizes and strides are 0 or more"
		}
		if n == 0 {
			return ""
		}
		last += (n - 1) * stride[i]
	}
	if last >= t.Numel() {
		return fmt.Sprintf("sizes %v with strides %v end at element %d of %d", size, stride, last+1, t.Numel())
	}
	return ""
}

// gates wants an RNN cell's gates [N, n*H] for a state [N, H].
func gates(g asked, n int, state string) string {
	problem := first(g.dims("input_gates", 2), g.dims("hidden_gates", 2), g.dims(state, 2))
	s := g.tensor(state)
	if problem != "" || s == nil {
		return problem
	}
	for _, name := range []string{"input_gates", "hidden_gates"} {
		if t := g.tensor(name); t != nil && (t.Size(0) != s.Size(0) || t.Size(1) != n*s.Size(1)) {
			return fmt.Sprintf("%s is %v: want [%d, %d] for %s %v", name, t.Shape(), s.Size(0), n*s.Size(1), state, s.Shape())
		}
	}
	for _, name := range []string{"input_bias", "hidden_bias"} {
		if t := g.tensor(name); t != nil && (t.Dim() != 1 || t.Size(0) != n*s.Size(1)) {
			return fmt.Sprintf("%s is %v: want [%d]", name, t.Shape(), n*s.Size(1))
		}
	}
	return ""
}

// statistics wants a batch normalisation's running statistics where the batch's own aren't used.
func statistics(g asked, training string) string {
	if on, ok := g.value(training).(bool); ok && !on {
		return g.all("running_mean", "running_var")
	}
	return ""
}

// saved wants what the backward of a batch normalisation computes with.
func saved(g asked, training string, names ...string) string {
	if on, ok := g.value(training).(bool); ok && !on {
		names = []string{"running_mean", "running_var"}
	}
	return g.all(names...)
}
