// Package describe puts the values of a checkpoint in words that scripts/checkpoints/describe.py uses too: tensors by
// the hash of their elements, storages by the order in which they are met. Tests compare the two.
package describe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Value describes a value; the result is made of maps, slices and strings, as JSON is.
func Value(v any) (any, error) {
	d := &describer{storages: map[*ptfile.Storage]int{}}
	out := d.value(v)
	return out, d.err
}

// JSON describes a value as compact JSON with sorted keys.
func JSON(v any) (string, error) {
	out, err := Value(v)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(out)
	return string(b), err
}

type object = map[string]any

type describer struct {
	storages map[*ptfile.Storage]int
	err      error
}

func (d *describer) value(v any) any {
	switch v := v.(type) {
	case *ptfile.Tensor:
		return d.tensor(v)
	case nil:
		return object{"py": "NoneType", "v": nil}
	case bool:
		return object{"py": "bool", "v": v}
	case string:
		return object{"py": "str", "v": v}
	case int:
		return object{"py": "int", "v": strconv.Itoa(v)}
	case *big.Int:
		return object{"py": "int", "v": v.String()}
	case float64:
		return object{"py": "float", "v": hexFloat(v)}
	case complex128:
		return object{"py": "complex", "v": []any{hexFloat(real(v)), hexFloat(imag(v))}}
	case pickle.Bytes:
		return object{"py": "bytes", "v": hex.EncodeToString(v)}
	case pickle.ByteArray:
		return object{"py": "bytearray", "v": hex.EncodeToString(v)}
	case ptfile.Size:
		return object{"py": "size", "v": numbers(v)}
	case ptfile.DType:
		return object{"py": "named", "v": v.String()}
	case ptfile.Layout:
		return object{"py": "named", "v": "torch." + string(v)}
	case ptfile.Device:
		return object{"py": "named", "v": v.String()}
	case *ptfile.NumpyDType:
		return object{"py": "named", "v": numpyName(v)}
	case *ptfile.NumpyArray:
		return d.numpy(v)
	case pickle.Tuple:
		return object{"py": "tuple", "v": d.list(v)}
	case []any:
		return object{"py": "list", "v": d.list(v)}
	case *pickle.Set:
		return d.set(v)
	case *pickle.Dict:
		return d.dict(v)
	}
	d.err = fmt.Errorf("no description for a %T", v)
	return nil
}

func (d *describer) list(vs []any) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		out[i] = d.value(v)
	}
	return out
}

func (d *describer) set(s *pickle.Set) any {
	items := d.list(s.Items)
	slices.SortFunc(items, func(a, b any) int {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return strings.Compare(string(x), string(y))
	})
	return object{"py": map[bool]string{true: "frozenset", false: "set"}[s.Frozen], "v": items}
}

func (d *describer) dict(v *pickle.Dict) any {
	items := []any{}
	for k, item := range v.All() {
		items = append(items, []any{d.value(k), d.value(item)})
	}
	out := object{"py": v.Kind.String(), "items": items}
	if v.Kind == pickle.DefaultDict {
		out["factory"] = strings.TrimPrefix(v.Factory, "builtins.")
	}
	return out
}

func (d *describer) numpy(a *ptfile.NumpyArray) any {
	return object{"py": "numpy", "dtype": numpyName(a.DType), "shape": numbers(a.Shape), "scalar": a.Scalar,
		"fortran": a.Fortran, "sha": sha(a.Data)}
}

// numpyName is dtype.str: the byte order spelled out.
func numpyName(t *ptfile.NumpyDType) string {
	s := *t
	if s.Order == '=' {
		s.Order = '<'
	}
	return s.String()
}

func (d *describer) tensor(t *ptfile.Tensor) any {
	out := object{"py": "tensor", "dtype": t.DType.String(), "shape": numbers(t.Shape), "layout": string(t.Layout),
		"requires_grad": t.RequiresGrad, "parameter": t.Parameter}
	if t.Layout != ptfile.Strided {
		parts := []any{}
		for _, p := range t.Parts {
			parts = append(parts, d.tensor(p))
		}
		out["parts"] = parts
		if t.Layout == "sparse_coo" {
			out["coalesced"] = t.Coalesced != nil && *t.Coalesced
		}
		return out
	}
	h := sha256.New()
	if err := t.Dense(func(p []byte) error { h.Write(p); return nil }); err != nil {
		d.err = err
	}
	n, ok := d.storages[t.Storage]
	if !ok {
		n = len(d.storages)
		d.storages[t.Storage] = n
	}
	out["strides"], out["offset"], out["sha"] = numbers(t.Strides), t.Offset, hex.EncodeToString(h.Sum(nil))
	out["conj"], out["neg"], out["storage"], out["nbytes"] = t.Conj, t.Neg, n, t.Storage.Size
	if a, ok := t.Attrs.(*pickle.Dict); ok && a.Len() > 0 {
		out["attrs"] = d.value(a)
	}
	return out
}

func sha(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func numbers(ns []int) []any {
	out := make([]any, len(ns))
	for i, n := range ns {
		out[i] = n
	}
	return out
}

// hexFloat is Python's float.hex.
func hexFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	u := math.Float64bits(f)
	sign, exp, frac := "", int(u>>52&0x7ff), u&(1<<52-1)
	if u>>63 != 0 {
		sign = "-"
	}
	switch {
	case exp == 0 && frac == 0:
		return sign + "0x0.0p+0"
	case exp == 0:
		return fmt.Sprintf("%s0x0.%013xp-1022", sign, frac)
	}
	return fmt.Sprintf("%s0x1.%013xp%+d", sign, frac, exp-1023)
}
