package aten

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// guards are what libtorch's kernels take for granted where no caller of its own gets it wrong, and end the process
// otherwise. A guard returns what is wrong, "" if nothing is. They were found by calling every operator on arguments
// that its schema allows.
var guards = map[string]func(g asked) string{
	"_stack":        func(g asked) string { return g.atLeast("tensors", 1) },
	"align_tensors": func(g asked) string { return g.atLeast("tensors", 1) },

	"cat":         func(g asked) string { return g.atLeast("tensors", 1) },
	"concat":      func(g asked) string { return g.atLeast("tensors", 1) },
	"concatenate": func(g asked) string { return g.atLeast("tensors", 1) },
	"copy":        func(g asked) string { return g.strided("self") },
	"view":        func(g asked) string { return g.plain("self") },
	"view_copy":   func(g asked) string { return g.plain("self") },

	"select":                 parts,
	"channel_shuffle":        func(g asked) string { return g.positive("groups") },
	"native_channel_shuffle": func(g asked) string { return g.positive("groups") },
	"cumulative_trapezoid":   func(g asked) string { return g.strided("y") },
	"diff":                   func(g asked) string { return g.strided("self") },
	"index_add": func(g asked) string {
		return first(g.strided("self"), g.strided("index"),
			g.strided("source"))
	},
	"index_add_": func(g asked) string {
		return first(g.strided("self"), g.strided("index"),
			g.strided("source"))
	},
	"index_copy": func(g asked) string {
		return first(g.strided("self"), g.strided("index"),
			g.strided("source"))
	},
	"index_copy_": func(g asked) string {
		return first(g.strided("self"), g.strided("index"),
			g.strided("source"))
	},
	"random":    first53,
	"random_":   first53,
	"range":     wholeStep,
	"arange":    wholeStep,
	"trapezoid": func(g asked) string { return g.strided("y") },
	"trapz":     func(g asked) string { return g.strided("y") },

	"adaptive_max_pool2d_backward": func(g asked) string { return places(g, 2) },
	"adaptive_max_pool3d_backward": func(g asked) string { return places(g, 3) },
	"choose_qparams_optimized":     bins,

	"binomial":      odds,
	"embedding_bag": bags,
	"lstm":          packed,
	"gru":           packed,
	"rnn_tanh":      packed,
	"rnn_relu":      packed,

	"embedding_backward":           rows,
	"embedding_dense_backward":     rows,
	"embedding_sparse_backward":    rows,
	"scaled_dot_product_attention": groups,
	"smooth_l1_loss_backward": func(g asked) string {
		return first(g.inexact("grad_output"), g.inexact("self"),
			g.inexact("target"))
	},

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
	"_sobol_engine_scramble_": func(g asked) string {
		return first(g.sobol("self"),
			g.shape("ltm", g.number("dimension"), 30, 30))
	},
	"_sobol_engine_ff_": func(g asked) string {
		return first(g.sobol("sobolstate"),
			g.shape("self", g.number("dimension")))
	},
	"_sobol_engine_draw": func(g asked) string {
		return first(g.sobol("sobolstate"),
			g.shape("quasi", g.number("dimension")))
	},

	"native_batch_norm":        func(g asked) string { return statistics(g, "training") },
	"_native_batch_norm_legit": func(g asked) string { return statistics(g, "training") },
	"_batch_norm_no_update":    func(g asked) string { return g.all("running_mean", "running_var") },
	"native_batch_norm_backward": func(g asked) string {
		return first(g.filled("input"),
			saved(g, "train", "save_mean", "save_invstd"))
	},
	"batch_norm_backward": func(g asked) string { return saved(g, "update", "save_mean", "save_var") },
	"_batch_norm_impl_index_backward": func(g asked) string {
		return saved(g, "train", "save_mean",
			"save_var_transform")
	},
}

// guard checks a call's arguments, in the schema's order.
func guard(s *schema.Schema, values []any) string {
	if s.Namespace != "aten" {
		return ""
	}
	if strings.HasPrefix(s.Name, "_foreach_") {
		return alike(asked{s, values})
	}
	if check := guards[s.Name]; check != nil {
		return check(asked{s, values})
	}
	return ""
}

// settle gives ZeroTensors memory: many kernels go past libtorch's own handling of them and read at address 0. One that
// the operator writes is refused, as by libtorch.
func settle(s *schema.Schema, values []any) (problem string) {
	if s.Name == "_is_zerotensor" {
		return ""
	}
	zeroes := strings.Contains(s.Name, "zero") || strings.HasSuffix(s.Name, "_backward")
	settled := func(i int, t *torch.Tensor) *torch.Tensor {
		if t == nil {
			return nil
		}
		if zeroes && t.Layout() == torch.MKLDNN && t.DType().Size() < 4 {
			problem = fmt.Sprintf("argument %s is %s in oneDNN's layout, where libtorch's zeros are four bytes each and go "+
				"beyond the tensor's end",
				s.Args[i].Name, t.DType())
		}
		if !abi.IsZeroTensor(t) {
			return t
		}
		if a := s.Args[i]; a.Alias.Write {
			problem = fmt.Sprintf("argument %s (%s) is written, and a ZeroTensor has no memory: Clone gives it some", a.Name,
				a.Type)
			return t
		}
		return t.Clone()
	}
	for i, v := range values {
		switch v := v.(type) {
		case *torch.Tensor:
			values[i] = settled(i, v)
		case []*torch.Tensor:
			list := slices.Clone(v)
			for k, t := range list {
				list[k] = settled(i, t)
			}
			values[i] = list
		}
	}
	return problem
}

// asked are the arguments of a call, by name. An argument of another type than its schema's is refused elsewhere, and
// passed over here.
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
			return deref(g.values[i])
		}
	}
	return nil
}

func (g asked) tensor(name string) *torch.Tensor {
	t, _ := g.value(name).(*torch.Tensor)
	return t
}

func (g asked) number(name string) int {
	v := g.value(name)
	if v == nil {
		return 0
	}
	n, _ := integer(v)
	return int(n)
}

func (g asked) ints(name string) []int {
	r := reflect.ValueOf(g.value(name))
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		return nil
	}
	v := make([]int, r.Len())
	for i := range v {
		n, _ := integer(r.Index(i).Interface())
		v[i] = int(n)
	}
	return v
}

func (g asked) atLeast(name string, n int) string {
	if r := reflect.ValueOf(g.value(name)); (r.Kind() == reflect.Slice || r.Kind() == reflect.Array) && r.Len() < n {
		return fmt.Sprintf("%s has %d tensors: want %d or more", name, r.Len(), n)
	}
	return ""
}

func (g asked) positive(name string) string {
	if n := g.number(name); n < 1 {
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

// strided wants a tensor that has a place in memory for each element.
func (g asked) strided(name string) string {
	t := g.tensor(name)
	if t != nil && abi.IsNested(t) {
		return name + " is a nested tensor: want a strided one"
	}
	if t != nil && t.Layout() != torch.Strided {
		return fmt.Sprintf("%s is %s: want a strided tensor", name, t.Layout())
	}
	return ""
}

// plain wants a tensor that is not quantized.
func (g asked) plain(name string) string {
	if t := g.tensor(name); t != nil && (t.DType() == torch.QInt8 || t.DType() == torch.QUInt8 ||
		t.DType() == torch.QInt32) {
		return fmt.Sprintf("%s is %s: want a tensor that is not quantized", name, t.DType())
	}
	return ""
}

// inexact wants a floating or complex tensor: the kernel divides by what is 0 in integers, and a processor does not go
// on after that.
func (g asked) inexact(name string) string {
	if t := g.tensor(name); t != nil && !t.DType().IsFloating() && !t.DType().IsComplex() {
		return fmt.Sprintf("%s is %s: want a floating type", name, t.DType())
	}
	return ""
}

// within wants the elements of a tensor of integers from 0 to n-1.
func (g asked) within(name string, n int) string {
	t := g.tensor(name)
	if t == nil || t.Numel() == 0 || t.Layout() != torch.Strided || t.Device().Type != torch.CPUType ||
		t.DType().IsFloating() || t.DType().IsComplex() {
		return ""
	}
	if low, high := t.To(torch.Int64).Min().Item(), t.To(torch.Int64).Max().Item(); low < 0 || int(high) >= n {
		return fmt.Sprintf("%s go from %d to %d: want 0 to %d", name, int(low), int(high), n-1)
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

// first53 wants a lowest number from which a floating type can count on: the search for the next one does not end
// otherwise.
func first53(g asked) string {
	t, n := g.tensor("self"), g.number("from")
	if t != nil && t.DType().IsFloating() && (n > 1<<53 || n < -1<<53) {
		return fmt.Sprintf("from is %d: want one from -2^53 to 2^53 for %s", n, t.DType())
	}
	return ""
}

// parts wants an index within every part of a nested tensor.
func parts(g asked) string {
	t, dim, index := g.tensor("self"), g.number("dim"), g.number("index")
	if t == nil || !abi.IsNested(t) {
		return ""
	}
	if dim < 0 {
		dim += t.Dim()
	}
	if dim < 1 || dim >= t.Dim() {
		return ""
	}
	for i, part := range UnbindInt(t, 0) {
		if n := part.Size(dim - 1); index < 0 || index >= n {
			return fmt.Sprintf("index %d is beyond part %d of self, %v", index, i, part.Shape())
		}
	}
	return ""
}

// alike wants lists of one length: a foreach operator takes the first's for granted.
func alike(g asked) string {
	n := -1
	for i, a := range g.schema.Args {
		r := reflect.ValueOf(g.values[i])
		if a.Type.Form != schema.List || r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
			continue
		}
		if n < 0 {
			n = r.Len()
		}
		if r.Len() != n {
			return fmt.Sprintf("argument %s has %d elements, and %s %d: want as many", a.Name, r.Len(), g.schema.Args[0].Name, n)
		}
	}
	return ""
}

// places wants a pooling's indices within the last dimensions of self.
func places(g asked, dims int) string {
	t := g.tensor("self")
	if t == nil || t.Dim() < dims || t.Layout() != torch.Strided {
		return ""
	}
	n := 1
	for d := range dims {
		n *= t.Size(-1 - d)
	}
	return g.within("indices", n)
}

// bins wants a histogram that the search for a quantization ends with.
func bins(g asked) string {
	if t := g.tensor("input"); t != nil && g.number("numel") > t.Numel() {
		return fmt.Sprintf("numel is %d, and input has %d elements", g.number("numel"), t.Numel())
	}
	if w := g.number("bit_width"); w < 1 || w > 8 {
		return fmt.Sprintf("bit_width is %d: want 1 to 8", w)
	}
	if n := g.number("n_bins"); n > 1<<20 {
		return fmt.Sprintf("n_bins is %d: want 2^20 or fewer, each of which is tried", n)
	}
	return first(g.positive("numel"), g.positive("n_bins"))
}

// wholeStep wants a step that is not 0 in the integers of the result, by which the kernel divides.
func wholeStep(g asked) string {
	dtype, _ := g.value("dtype").(torch.DType)
	if out := g.tensor("out"); out != nil {
		dtype = out.DType()
	}
	if step, ok := scalar(g.value("step")); ok && dtype != 0 && !dtype.IsFloating() && !dtype.IsComplex() &&
		step.Int64() == 0 {
		return fmt.Sprintf("step is %s, which is 0 in %s", step, dtype)
	}
	return ""
}

// rows wants an embedding's indices within its rows.
func rows(g asked) string { return g.within("indices", g.number("num_weights")) }

// groups wants heads of queries that those of keys divide.
func groups(g asked) string {
	q, k, v := g.tensor("query"), g.tensor("key"), g.tensor("value")
	if on, _ := g.value("enable_gqa").(bool); !on || q == nil || k == nil || v == nil || q.Dim() < 3 || k.Dim() < 3 ||
		v.Dim() < 3 {
		return ""
	}
	for _, t := range []*torch.Tensor{k, v} {
		if n := t.Size(-3); n == 0 || q.Size(-3)%n != 0 {
			return fmt.Sprintf("%d heads of query can't be shared by %d of key or value", q.Size(-3), n)
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
