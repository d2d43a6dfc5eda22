package main

import (
	"fmt"
	"strings"

	"github.com/golite/golite/internal/schema"
)

// kind is how a type of libtorch is written in Go: its type, and the call that writes an argument of it. In the call
// %[1]s is the parameter, %[2]s the operator's variable and %[3]q the argument's name in the schema.
type kind struct{ typ, write string }

var kinds = map[string]kind{
	"Tensor":        {"*torch.Tensor", "need(&args, &%[2]s, %[1]s, %[3]q)"},
	"Tensor?":       {"*torch.Tensor", "abi.Tensor(&args, %[1]s)"},
	"Tensor[]":      {"[]*torch.Tensor", "needAll(&args, &%[2]s, %[1]s, %[3]q)"},
	"Tensor?[]":     {"[]*torch.Tensor", "abi.OptTensors(&args, %[1]s)"},
	"int":           {"int", "args.Int(int64(%[1]s))"},
	"int?":          {"*int", "optInt(&args, %[1]s)"},
	"int[]":         {"[]int", "args.Ints(%[1]s)"},
	"int[]?":        {"[]int", "optInts(&args, %[1]s)"},
	"float":         {"float64", "args.Float(%[1]s)"},
	"float?":        {"*float64", "optFloat(&args, %[1]s)"},
	"float[]":       {"[]float64", "args.Floats(%[1]s)"},
	"float[]?":      {"[]float64", "optFloats(&args, %[1]s)"},
	"bool":          {"bool", "args.Bool(%[1]s)"},
	"bool?":         {"*bool", "optBool(&args, %[1]s)"},
	"bool[]":        {"[]bool", "args.Bools(%[1]s)"},
	"Scalar":        {"torch.Scalar", "abi.Scalar(&args, %[1]s)"},
	"Scalar?":       {"*torch.Scalar", "optScalar(&args, %[1]s)"},
	"Scalar[]":      {"[]torch.Scalar", "abi.Scalars(&args, %[1]s)"},
	"str":           {"string", "args.String(%[1]s)"},
	"str?":          {"*string", "optString(&args, %[1]s)"},
	"str[]":         {"[]string", "args.Strings(%[1]s)"},
	"ScalarType":    {"torch.DType", "needDType(&args, &%[2]s, %[1]s, %[3]q)"},
	"ScalarType?":   {"torch.DType", "abi.DType(&args, %[1]s)"},
	"Device":        {"torch.Device", "needDevice(&args, &%[2]s, %[1]s, %[3]q)"},
	"Device?":       {"torch.Device", "abi.Device(&args, %[1]s)"},
	"Layout":        {"torch.Layout", "needLayout(&args, &%[2]s, %[1]s, %[3]q)"},
	"Layout?":       {"torch.Layout", "abi.Layout(&args, %[1]s)"},
	"MemoryFormat":  {"torch.MemoryFormat", "needMemoryFormat(&args, &%[2]s, %[1]s, %[3]q)"},
	"MemoryFormat?": {"torch.MemoryFormat", "abi.MemoryFormat(&args, %[1]s)"},
	"Generator?":    {"*torch.Generator", "abi.Generator(&args, %[1]s)"},
}

// results are the Go types of results, and how one is read.
var results = map[string][2]string{
	"Tensor":     {"*torch.Tensor", "abi.Result(&res)"},
	"Tensor[]":   {"[]*torch.Tensor", "abi.ResultList(&res)"},
	"int":        {"int", "int(res.Int())"},
	"int[]":      {"[]int", "res.Ints()"},
	"float":      {"float64", "res.Float()"},
	"float[]":    {"[]float64", "res.Floats()"},
	"bool":       {"bool", "res.Int() != 0"},
	"bool[]":     {"[]bool", "res.Bools()"},
	"Scalar":     {"torch.Scalar", "abi.ResultScalar(&res)"},
	"ScalarType": {"torch.DType", "abi.ResultDType(&res)"},
	"QScheme":    {"int", "int(res.Int())"},
	"str":        {"string", "res.String()"},
}

// source is the function's text, with the variable that names its operator.
func (f function) source() string {
	variable := "op" + f.name
	names := params(f.schema)
	var b strings.Builder
	fmt.Fprintf(&b, "\nvar %s = op.Op{Name: %q}\n\n", variable, f.schema.FullName())
	fmt.Fprintf(&b, "// %s calls %s:\n//\n//\t%s\n", f.name, f.schema.FullName(), strings.TrimPrefix(f.line, "aten::"))
	fmt.Fprintf(&b, "func %s(%s) %s{\n\tvar args op.Args\n\tvar res op.Results\n", f.name, paramList(f.schema, names),
		resultTypes(f.schema))
	for i, a := range f.schema.Args {
		b.WriteByte('\t')
		fmt.Fprintf(&b, writer(f.schema, a)+"%.0[1]s%.0[2]s%.0[3]s\n", names[i], variable, a.Name)
	}
	fmt.Fprintf(&b, "\tabi.Call(&%s, &args, &res)\n", variable)
	if len(f.schema.Returns) > 0 {
		fmt.Fprintf(&b, "\treturn %s\n", returnList(f.schema, names))
	}
	b.WriteString("}\n")
	return b.String()
}

// writer is the call that writes an argument. Lists of a fixed size, int[2], are checked for it: many of libtorch's
// kernels don't, and read past the end.
func writer(s *schema.Schema, a schema.Arg) string {
	inner := a.Type.Inner()
	if inner.Size < 2 {
		return kinds[a.Type.Key()].write
	}
	switch inner.Key() {
	case "int[]":
		least := inner.Size
		if s.MayBeEmpty(a) {
			least = 0
		}
		return fmt.Sprintf("sizedInts(&args, &%%[2]s, %%[1]s, %d, %d, %t, %%[3]q)", least, inner.Size, a.Type.IsOptional())
	case "bool[]":
		return fmt.Sprintf("sizedBools(&args, &%%[2]s, %%[1]s, %d, %%[3]q)", inner.Size)
	}
	return kinds[a.Type.Key()].write
}

// paramList writes the parameters, those of one type in a row together.
func paramList(s *schema.Schema, names []string) string {
	var b strings.Builder
	for i, a := range s.Args {
		typ := kinds[a.Type.Key()].typ
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(names[i])
		if i+1 == len(s.Args) || kinds[s.Args[i+1].Type.Key()].typ != typ {
			b.WriteString(" " + typ)
		}
	}
	return b.String()
}

func resultTypes(s *schema.Schema) string {
	list := make([]string, len(s.Returns))
	for i, r := range s.Returns {
		list[i] = results[r.Type.Key()][0]
	}
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0] + " "
	}
	return "(" + strings.Join(list, ", ") + ") "
}

// returnList reads the results in order; one that is a written argument is the caller's own.
func returnList(s *schema.Schema, names []string) string {
	list := make([]string, len(s.Returns))
	for i, r := range s.Returns {
		if k := s.Written(i); k >= 0 {
			list[i] = names[k]
			continue
		}
		list[i] = results[r.Type.Key()][1]
	}
	return strings.Join(list, ", ")
}
