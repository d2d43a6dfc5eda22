package torch

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The forms of one operation agree: in place and not, with a number and with a tensor, with the reduced dimension kept
// and not. Arguments are found by trying: the first that the plain form takes.

var tensors = reflect.TypeFor[*Tensor]()

// samples are operands of several types and shapes.
func samples() (list []*Tensor) {
	for _, shape := range [][]int{{3, 3}, {3}, {2, 3, 3}, {}} {
		n := 1
		for _, s := range shape {
			n *= s
		}
		values, indices := make([]float32, n), make([]int, n)
		for i := range values {
			values[i], indices[i] = 0.05+0.9*float32(i*7%n)/float32(n), i%3
		}
		list = append(list, From(values, shape...), From(indices, shape...), From(indices, shape...).EqScalar(1))
	}
	return list
}

// try calls m with each choice of samples for its tensors until it takes one, and returns its arguments and results.
func try(t *testing.T, m reflect.Method, accept func(args, results []reflect.Value) bool, ints ...int) (args,
	results []reflect.Value) {
	t.Helper()
	n := m.Type.NumIn()
	if m.Type.IsVariadic() && m.Type.In(n-1) != reflect.TypeFor[[]int]() {
		n--
	}
	args = make([]reflect.Value, n)
	nth := 0
	var open []int // places of tensors
	for i := range args {
		switch in := m.Type.In(i); {
		case in == tensors:
			open = append(open, i)
		case in == reflect.TypeFor[[]int]():
			args[i] = reflect.ValueOf(ints[nth:])
		case in.Kind() == reflect.Int:
			args[i] = reflect.ValueOf(ints[nth])
			nth++
		case in.Kind() == reflect.Float64:
			args[i] = reflect.ValueOf(0.5 + float64(i)/8)
		case in == reflect.TypeFor[Rounding]():
			args[i] = reflect.ValueOf(RoundFloor)
		case in.Kind() == reflect.String:
			args[i] = reflect.ValueOf("sum")
		case in.Kind() == reflect.Bool:
			args[i] = reflect.ValueOf(false)
		default:
			t.Fatalf("%s: no sample of %s", m.Name, in)
		}
	}
	var search func(k int) bool
	search = func(k int) bool {
		if k == len(open) {
			return Try(func() { results = invoke(m, args) }) == nil && (accept == nil || accept(args, results))
		}
		for _, s := range samples() {
			args[open[k]] = reflect.ValueOf(s)
			if search(k + 1) {
				return true
			}
		}
		return false
	}
	require.True(t, search(0), "%s takes none of the samples", m.Name)
	return args, results
}

func invoke(m reflect.Method, args []reflect.Value) []reflect.Value {
	if m.Type.IsVariadic() && len(args) == m.Type.NumIn() {
		return m.Func.CallSlice(args)
	}
	return m.Func.Call(args)
}

func tensor(v reflect.Value) *Tensor { return v.Interface().(*Tensor) }

// same compares what two forms gave; NaN is equal to itself.
func same(t *testing.T, want, got *Tensor, name string) {
	t.Helper()
	require.Equal(t, want.Shape(), got.Shape(), name)
	require.True(t, want.Equal(got) || want.Contiguous().NanToNum(7, 8, 9).Equal(got.Contiguous().NanToNum(7, 8, 9)),
		"%s:\n%s\n%s", name, want, got)
}

func TestInPlaceFormsAgree(t *testing.T) {
	n := 0
	for i := range tensors.NumMethod() {
		inPlace := tensors.Method(i)
		plain, found := tensors.MethodByName(strings.TrimSuffix(inPlace.Name, "_"))
		if !found || plain.Name == inPlace.Name || plain.Type != inPlace.Type {
			continue
		}
		n++
		Scope(func() {
			ints := []int{1}
			if plain.Type.NumIn() == 3 && plain.Type.In(1).Kind() == reflect.Int && plain.Type.In(2).Kind() == reflect.Int {
				ints = []int{0, 1} // two dimensions
			}
			if plain.Type.IsVariadic() {
				ints = nil // the default
			}
			args, results := try(t, plain, func(args, results []reflect.Value) bool {
				views := strings.Contains("Squeeze Unsqueeze Transpose", plain.Name)
				return views || slices.Equal(tensor(args[0]).Shape(), tensor(results[0]).Shape())
			}, ints...)
			x := tensor(args[0]).Clone()
			args[0] = reflect.ValueOf(x)
			got := tensor(invoke(inPlace, args)[0])
			require.Same(t, x, got, "%s returns its receiver", inPlace.Name)
			same(t, tensor(results[0]).To(x.DType()), got, inPlace.Name)
		})
	}
	require.Greater(t, n, 100)
}

func TestScalarFormsAgree(t *testing.T) {
	n := 0
	for i := range tensors.NumMethod() {
		scalar := tensors.Method(i)
		plain, found := tensors.MethodByName(strings.TrimSuffix(scalar.Name, "Scalar"))
		if !found || plain.Name == scalar.Name || scalar.Type.NumIn() != 2 || plain.Type.NumIn() != 2 {
			continue
		}
		n++
		Scope(func() {
			args, results := try(t, scalar, nil, 2)
			x := tensor(args[0])
			full := Zeros(x.Shape()...)
			if v := args[1]; v.Kind() == reflect.Int {
				full = full.AddScalar(float64(v.Int())).To(x.DType())
			} else {
				full = full.AddScalar(v.Float())
			}
			want := tensor(invoke(plain, []reflect.Value{args[0], reflect.ValueOf(full)})[0])
			same(t, want, tensor(results[0]), scalar.Name)
		})
	}
	require.Greater(t, n, 20)
}

func TestKeptDimensionsAgree(t *testing.T) {
	n := 0
	for i := range tensors.NumMethod() {
		kept := tensors.Method(i)
		plain, found := tensors.MethodByName(strings.TrimSuffix(kept.Name, "KeepDim"))
		if !found || plain.Name == kept.Name {
			continue
		}
		n++
		Scope(func() {
			ints := []int{1}
			if kept.Name == "KthValueKeepDim" {
				ints = []int{1, 1}
			}
			args, results := try(t, kept, nil, ints...)
			if last := len(args) - 1; plain.Type.IsVariadic() && !kept.Type.IsVariadic() {
				args[last] = reflect.ValueOf([]int{int(args[last].Int())})
			}
			want := invoke(plain, args)
			require.Len(t, results, len(want), kept.Name)
			for j := range want {
				same(t, tensor(want[j]).Unsqueeze(1), tensor(results[j]), kept.Name)
			}
		})
	}
	require.Greater(t, n, 20)
}
