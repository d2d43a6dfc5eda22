package aten

import (
	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
)

// decode reads the results of Call. values are the arguments that it was called with.
func decode(s *schema.Schema, values []any, r *op.Results) []any {
	out := make([]any, len(s.Returns))
	for i, ret := range s.Returns {
		if k := s.Written(i); k >= 0 {
			own, _ := values[k].(*torch.Tensor) // an optional out that was not given is a nil tensor
			out[i] = own
			continue
		}
		out[i] = decodeOne(ret.Type.Key(), r)
	}
	return out
}

func decodeOne(key string, r *op.Results) any {
	if key != "Tensor" && r.Tag() == cgotorch.TagNone {
		r.Word()
		return nil
	}
	switch key {
	case "Tensor":
		return abi.Result(r)
	case "Tensor[]":
		return abi.ResultList(r)
	case "int", "QScheme":
		return int(r.Int())
	case "float":
		return r.Float()
	case "bool":
		return r.Int() != 0
	case "Scalar":
		return abi.ResultScalar(r)
	case "ScalarType":
		return abi.ResultDType(r)
	case "int[]":
		return r.Ints()
	case "float[]":
		return r.Floats()
	case "bool[]":
		return r.Bools()
	case "str":
		return r.String()
	}
	torch.Fail("aten.Call", "a result of type %s has no form in Go", key) // Schema.Refusal lets none through
	return nil
}
