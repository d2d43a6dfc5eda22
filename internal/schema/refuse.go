package schema

import (
	"fmt"
	"slices"
	"strings"
)

// travels are the types, as Type.Key writes them, that go through golite's boxed call as arguments.
var travels = []string{
	"Tensor", "Tensor?", "Tensor[]", "Tensor?[]", "int", "int?", "int[]", "int[]?", "float", "float?", "float[]",
	"float[]?",
	"bool", "bool?", "bool[]", "Scalar", "Scalar?", "Scalar[]", "str", "str?", "str[]", "str[]?", "ScalarType",
	"ScalarType?",
	"Device", "Device?", "Layout", "Layout?", "MemoryFormat", "MemoryFormat?", "Generator", "Generator?",
}

// comesBack are the types that a result may have.
var comesBack = []string{"Tensor", "Tensor[]", "int", "int[]", "float", "float[]", "bool", "bool[]", "Scalar",
	"ScalarType", "QScheme", "str"}

// dimnames are the arguments that take dimension names. The schema calls them str, but libtorch wants symbols there.
var dimnames = []string{"dim", "dims", "dim0", "dim1", "dim2", "outdim", "out_dim", "start_dim", "end_dim", "names",
	"order"}

// Refusal says why golite can't call the operator, "" if it can.
func (s *Schema) Refusal() string {
	switch {
	case s.Namespace == "aten" && s.Name == "_backward":
		return "it runs autograd's engine inside a boxed call: use Tensor.Backward"
	case s.Varargs || s.Varrets:
		return "its schema leaves the arguments or results open"
	}
	for _, a := range s.Args {
		if why := refuseType(a.Type, travels); why != "" {
			return fmt.Sprintf("argument %s %s", a.Name, why)
		}
		if a.Type.Base() == "str" && slices.Contains(dimnames, a.Name) {
			return fmt.Sprintf("argument %s is a dimension's name (Dimname), and golite has no named tensors", a.Name)
		}
	}
	for i, r := range s.Returns {
		if why := refuseType(r.Type, comesBack); why != "" {
			return "a result " + why
		}
		if r.Alias.Write && s.Written(i) < 0 {
			return "a result is an argument written in place that the schema doesn't name"
		}
	}
	return ""
}

func refuseType(t Type, known []string) string {
	if slices.Contains(known, t.Key()) {
		return ""
	}
	if strings.HasPrefix(t.Base(), "__torch__.") {
		return "is a TorchBind object (" + t.String() + ")"
	}
	return "has the type " + t.String() + ", which has no form in Go"
}
