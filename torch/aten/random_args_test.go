package aten_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// randomArgs draws the arguments of one call. Its tensors share a few shapes and often a type, so that many calls get
// past the checks that an operator makes first.
type randomArgs struct {
	*rand.Rand
	shapes [][]int
	dtype  torch.DType
	dims   int
	text   []string
}

// newRandomArgs draws alike for the same seed, operator and round.
func newRandomArgs(seed, round uint64, operator string) *randomArgs {
	var h uint64 = 14695981039346656037
	for _, c := range []byte(operator) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	r := &randomArgs{Rand: rand.New(rand.NewPCG(seed, h+round*0x9e3779b97f4a7c15))}
	r.dims = r.IntN(6)
	r.dtype = pick(r, torch.Float32, torch.Float32, torch.Float32, torch.Float64, torch.Int64, torch.BFloat16,
		torch.Complex64)
	for range 3 {
		r.shapes = append(r.shapes, r.shape(r.dims))
	}
	return r
}

func pick[T any](r *randomArgs, list ...T) T { return list[r.IntN(len(list))] }

func (r *randomArgs) odds(n, of int) bool { return r.IntN(of) < n }

func (r *randomArgs) shape(dims int) []int {
	s := make([]int, dims)
	for i := range s {
		s[i] = pick(r, 0, 1, 1, 2, 2, 3, 4, 5, 8)
		if s[i] == 0 && r.odds(2, 3) {
			s[i] = 2
		}
	}
	return s
}

// call draws arguments for the schema and says what they are.
func (r *randomArgs) call(s *schema.Schema) (aten.Kw, string) {
	kw := aten.Kw{}
	for _, a := range s.Args {
		if a.HasDefault && r.odds(2, 5) {
			continue
		}
		kw[a.Name] = r.value(a.Name, a.Type)
	}
	return kw, strings.Join(r.text, " ")
}

func (r *randomArgs) say(name string, v any) {
	r.text = append(r.text, fmt.Sprintf("%s=%v", name, v))
}

func (r *randomArgs) value(name string, of schema.Type) any {
	if of.IsOptional() {
		if r.odds(1, 2) {
			return nil
		}
		of = of.Inner()
	}
	if of.Form == schema.List {
		return r.list(name, of)
	}
	if of.Base() == "Tensor" {
		return r.tensor(name)
	}
	v := r.plain(name, of)
	r.say(name, v)
	return v
}

func (r *randomArgs) plain(name string, of schema.Type) any {
	switch of.Key() {
	case "int":
		return r.integer(name)
	case "float":
		return r.number()
	case "bool":
		return r.odds(1, 2)
	case "Scalar":
		switch r.IntN(6) {
		case 0:
			return r.odds(1, 2)
		case 1:
			return complex(r.number(), r.number())
		case 2, 3:
			return r.integer(name)
		}
		return r.number()
	case "str":
		return pick(r, "mean", "sum", "none", "bilinear", "nearest", "zeros", "border", "reflect", "constant", "replicate",
			"tanh", "L", "U",
			"trunc", "floor", "amax", "prod", "left", "", "gelu", "relu", "fro", "nuc", "ij", "reduced", "complete", "same",
			"valid", "gelsd", "é")
	case "ScalarType":
		return pick(r, dtypes...)
	case "Device":
		return pick(r, torch.CPU, torch.CPU, torch.CPU, torch.Meta)
	case "Layout":
		return pick(r, torch.Strided, torch.Strided, torch.SparseCOO, torch.SparseCSR, torch.SparseCSC, torch.SparseBSR,
			torch.SparseBSC, torch.MKLDNN, torch.Jagged)
	case "MemoryFormat":
		return pick(r, torch.ContiguousFormat, torch.PreserveFormat, torch.ChannelsLast, torch.ChannelsLast3d)
	case "Generator":
		return torch.NewGenerator(r.Uint64())
	}
	panic("no random value of type " + of.String())
}

// dtypes are all of libtorch's that golite names.
var dtypes = []torch.DType{
	torch.UInt8, torch.Int8, torch.Int16, torch.Int32, torch.Int64, torch.Float16, torch.Float32, torch.Float64,
	torch.Complex32,
	torch.Complex64, torch.Complex128, torch.Bool, torch.QInt8, torch.QUInt8, torch.QInt32, torch.BFloat16,
	torch.Float8E5M2,
	torch.Float8E4M3FN, torch.Float8E5M2FNUZ, torch.Float8E4M3FNUZ, torch.UInt16, torch.UInt32, torch.UInt64,
	torch.Float8E8M0FNU, torch.Float4E2M1FNx2,
}

func (r *randomArgs) integer(name string) int {
	switch {
	case strings.Contains(name, "dim") && r.odds(2, 3) && r.dims > 0:
		return r.IntN(2*r.dims) - r.dims
	case name == "reduction" && r.odds(2, 3):
		return r.IntN(3)
	case name == "groups" && r.odds(2, 3):
		return 1
	case r.odds(1, 40) && !strings.Contains(name, "window_length") && name != "n": // which are lengths of loops
		return pick(r, math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32, 1<<31, 1<<40, 1<<62, -1<<40)
	}
	return pick(r, -2, -1, -1, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 8, 16)
}

func (r *randomArgs) number() float64 {
	if r.odds(1, 12) {
		return pick(r, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 5e-324, math.Copysign(0, -1))
	}
	return pick(r, 0, 1, -1, 0.5, 0.1, 2, 1e-5, 3, -2.5, 100)
}

func (r *randomArgs) list(name string, of schema.Type) any {
	elem := of.Elem
	if elem.Base() == "Tensor" {
		list := make([]*torch.Tensor, r.IntN(5))
		for i := range list {
			if !elem.IsOptional() || r.odds(2, 3) {
				list[i] = r.tensor(fmt.Sprintf("%s[%d]", name, i))
			} else {
				r.say(name, "None")
			}
		}
		r.say(name, fmt.Sprintf("%d tensors", len(list)))
		return list
	}
	n := r.IntN(5)
	if of.Size > 0 && r.odds(9, 10) {
		n = of.Size
	}
	if elem.Key() == "int" {
		v := make([]int, n)
		for i := range v {
			v[i] = r.integer(name)
			if v[i] < 0 && r.odds(2, 3) {
				v[i] = -v[i]
			}
		}
		if of.Size == 0 && r.odds(1, 2) {
			v = append([]int{}, pick(r, r.shapes...)...)
		}
		r.say(name, v)
		return v
	}
	v := make([]any, n)
	for i := range v {
		v[i] = r.plain(name, *elem)
	}
	r.say(name, v)
	return v
}

// tensor draws a tensor of one of the call's shapes, or of another.
func (r *randomArgs) tensor(name string) *torch.Tensor {
	shape := r.shapes[0]
	switch r.IntN(8) {
	case 0:
		shape = r.shape(r.IntN(6))
	case 1:
		shape = r.shape(1)
	case 2:
		shape = pick(r, r.shapes...)
	case 3:
		if len(shape) > 0 {
			shape = shape[r.IntN(len(shape)):]
		}
	}
	dtype := r.dtype
	index := strings.Contains(name, "ind") || strings.Contains(name, "offset") || strings.Contains(name, "target") ||
		strings.Contains(name, "length")
	if index && r.odds(2, 3) {
		dtype = torch.Int64
	} else if r.odds(1, 5) {
		dtype = pick(r, dtypes...)
	}
	var t *torch.Tensor
	how := "full"
	err := torch.Try(func() { t, how = r.filled(shape, dtype) })
	if err != nil {
		t, how = torch.Ones(shape...), "ones"
	}
	how = r.disguise(&t, how)
	described := t.DType().String()
	if torch.Try(func() { described += fmt.Sprint(t.Shape()) }) != nil {
		described += "[...]"
	}
	r.say(name, described+"/"+how)
	return t
}

// filled makes the tensor, with numbers that are indices often and wild at times.
func (r *randomArgs) filled(shape []int, dtype torch.DType) (*torch.Tensor, string) {
	n := 1
	for _, s := range shape {
		n *= s
	}
	v := make([]float64, n)
	if dtype.IsFloating() || dtype.IsComplex() {
		for i := range v {
			v[i] = r.NormFloat64()
		}
		if r.odds(1, 8) && n > 0 {
			v[r.IntN(n)] = pick(r, math.NaN(), math.Inf(1), math.Inf(-1), 1e30, -1e30)
		}
		return torch.From(v, shape...).To(dtype), "normal"
	}
	low, high := 0, 3
	how := "index"
	switch r.IntN(6) {
	case 0:
		low, high, how = -3, 9, "small"
	case 1:
		low, high, how = -1<<20, 1<<20, "large"
	}
	for i := range v {
		v[i] = float64(low + r.IntN(high-low))
	}
	t := torch.From(v, shape...)
	if dtype == torch.QInt8 || dtype == torch.QUInt8 || dtype == torch.QInt32 {
		return aten.QuantizePerTensor(t.To(torch.Float32), 0.5, 1, dtype), "quantized"
	}
	if r.odds(1, 30) && n > 0 {
		wild := pick(r, math.MaxInt64, math.MinInt64, math.MaxInt32)
		return t.To(dtype).AddScalar(float64(wild)).To(dtype), "wild"
	}
	return t.To(dtype), how
}

// disguise makes a view, another layout, a leaf of autograd or a meta tensor of t, at times.
func (r *randomArgs) disguise(t **torch.Tensor, how string) string {
	try := func(name string, f func() *torch.Tensor) {
		if torch.Try(func() { *t = f() }) == nil {
			how += " " + name
		}
	}
	x := *t
	switch r.IntN(24) {
	case 0:
		if x.Dim() > 1 {
			try("transposed", func() *torch.Tensor { return x.Transpose(0, -1) })
		}
	case 1:
		if x.Dim() > 0 {
			try("strided", func() *torch.Tensor { return aten.SliceTensor(aten.Cat([]*torch.Tensor{x, x}, 0), 0, nil, nil, 2) })
		}
	case 2:
		try("expanded", func() *torch.Tensor { return aten.Expand(x, append([]int{2}, x.Shape()...), false) })
	case 3:
		try("sparse", func() *torch.Tensor { return aten.ToSparse(x, 0, nil, nil) })
	case 4:
		try("csr", func() *torch.Tensor { return aten.ToSparseCsr(x, nil) })
	case 5:
		try("meta", func() *torch.Tensor { return x.To(torch.Meta) })
	case 6:
		try("mkldnn", func() *torch.Tensor { return aten.ToMkldnn(x, 0) })
	case 7:
		try("conj", func() *torch.Tensor { return aten.Conj(x) })
	case 8:
		try("zerotensor", func() *torch.Tensor { return aten.Efficientzerotensor(x.Shape(), x.DType(), 0, torch.CPU, nil) })
	case 9:
		try("nested", func() *torch.Tensor {
			return aten.NestedTensorFromTensorList([]*torch.Tensor{x, x}, 0, 0, torch.Device{}, nil)
		})
	case 10, 11, 12:
		if x.DType().IsFloating() || x.DType().IsComplex() {
			try("leaf", func() *torch.Tensor { return x.RequiresGrad_(true) })
		}
	}
	return how
}
