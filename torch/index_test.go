package torch

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/op"
)

var (
	opToSparse = op.Op{Name: "aten::to_sparse"}
	opToCSR    = op.Op{Name: "aten::to_sparse_csr"}
)

func sparseOf(o *op.Op, t *Tensor) *Tensor {
	var a op.Args
	put(&a, o, t)
	a.None() // layout, or dense_dim
	if o == &opToSparse {
		a.None()
		a.None()
	}
	return result(o, &a)
}

// item reads an index as the recording script writes it.
func item(t *testing.T, raw json.RawMessage) any {
	var v any
	require.NoError(t, json.Unmarshal(raw, &v))
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		return map[string]any{"None": None, "...": Ellipsis}[v]
	case map[string]any:
		if b, ok := v["b"]; ok {
			return b
		}
		if r, ok := v["r"].([]any); ok {
			return rangeOf(r)
		}
		if l, ok := v["long"]; ok {
			return nested(l, Int64)
		}
		return nested(v["mask"], Bool)
	}
	t.Fatalf("no index: %s", raw)
	return nil
}

func rangeOf(r []any) Range {
	bound := func(i, missing int) int {
		if i < len(r) && r[i] != nil {
			return int(r[i].(float64))
		}
		return missing
	}
	return R(bound(0, 0), bound(1, End), bound(2, 1))
}

// nested makes a tensor of nested lists.
func nested(v any, dtype DType) *Tensor {
	switch v := v.(type) {
	case float64:
		return Options{DType: dtype}.Scalar(v)
	case bool:
		return Options{DType: dtype}.Scalar(map[bool]float64{true: 1}[v])
	}
	list := v.([]any)
	if len(list) == 0 {
		return Options{DType: dtype}.Zeros(0)
	}
	var parts []*Tensor
	for _, x := range list {
		parts = append(parts, nested(x, dtype))
	}
	return Stack(parts, 0)
}

func arange(shape []int, start int) *Tensor {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return Options{DType: Float32}.Arange(float64(start), float64(start+n)).View(shape...)
}

func TestIndexAndSetAsPyTorch(t *testing.T) {
	for _, c := range recorded[struct {
		Name          string
		Shape, Result []int
		Items         []json.RawMessage
		Value         json.RawMessage
		Elements      []float32
		Error         bool
	}](t, "index.json") {
		t.Run(c.Name, func(t *testing.T) {
			var got *Tensor
			err := Try(func() {
				var items []any
				for _, raw := range c.Items {
					items = append(items, item(t, raw))
				}
				x := arange(c.Shape, 0)
				if c.Value == nil {
					got = x.Index(items...)
					return
				}
				var number float64
				var of struct{ Shape []int }
				if json.Unmarshal(c.Value, &number) == nil {
					got = x.Set(number, items...)
				} else {
					require.NoError(t, json.Unmarshal(c.Value, &of))
					got = x.Set(arange(of.Shape, 100), items...)
				}
				require.Same(t, x, got)
			})
			if c.Error {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.Result, got.Shape())
			assert.Equal(t, c.Elements, append([]float32{}, ToSlice[float32](got)...))
		})
	}
}

func TestIndexSharesMemoryUnlessItGathers(t *testing.T) {
	x := Zeros(3, 4)
	x.Index(1, R(0, 2)).Fill_(7)
	require.Equal(t, 14.0, x.Sum().Item())
	x.Index([]int{0, 1}).Fill_(9)
	require.Equal(t, 14.0, x.Sum().Item())
	x.Index().Fill_(1)
	require.Equal(t, 12.0, x.Sum().Item())
}

func TestIndexPutAccumulates(t *testing.T) {
	x := Zeros(3)
	x.IndexPut_([]*Tensor{From([]int{0, 0, 2})}, Ones(3), true)
	require.Equal(t, []float32{2, 0, 1}, ToSlice[float32](x))
}

func TestGradientsThroughIndexAndSet(t *testing.T) {
	x := Ones(3, 2).RequiresGrad_(true)
	y := x.MulScalar(2)
	y.Set(0, 1)
	y.Index([]int{0, 1, 1}).Sum().Backward()
	require.Equal(t, []float32{2, 2, 0, 0, 0, 0}, ToSlice[float32](x.Grad()))
}

func TestWhatIsNoIndex(t *testing.T) {
	x := Zeros(3, 4)
	for message, f := range map[string]func(){
		"string is no index":                        func() { x.Index("a") },
		"float64 is no index":                       func() { x.Index(1.5) },
		"too many indices (3) for a tensor of":      func() { x.Index(0, 0, 0) },
		"index 3 is out of bounds for dimension 0 ": func() { x.Index(3) },
		"step must be greater than zero":            func() { R(0, 3, -1) },
		"is no value":                               func() { x.Set("a", 0) },
		"*torch.Tensor is no index":                 func() { x.Index((*Tensor)(nil)) },
	} {
		require.ErrorContains(t, Try(f), message)
	}
}
