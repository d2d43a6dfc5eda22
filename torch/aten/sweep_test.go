package aten_test

import (
	"strings"
	"testing"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/stretchr/testify/require"
)

// schemas are those of all operators that libtorch has registered.
func schemas(t *testing.T) []*schema.Schema {
	t.Helper()
	text, cerr := cgotorch.Schemas()
	require.Nil(t, cerr)
	var all []*schema.Schema
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		s, err := schema.Parse(line)
		require.NoError(t, err)
		all = append(all, s)
	}
	require.Greater(t, len(all), 3000)
	return all
}

type odd struct{}

// wrong are values of no type of libtorch, or of few; each operator with arguments refuses a call made of them alone.
func wrong(all []any, s *schema.Schema) []any {
	args := make([]any, 0, len(s.Args))
	kw := aten.Kw{}
	for i, a := range s.Args {
		v := all[i%len(all)]
		if a.KwOnly {
			kw[a.Name] = v
		} else {
			args = append(args, v)
		}
	}
	return append(args, kw)
}

// refusedCall calls the operator and wants an error of golite's or libtorch's that names it.
func refusedCall(t *testing.T, s *schema.Schema, args []any) {
	t.Helper()
	name := s.FullName()
	err := torch.Try(func() { aten.CallPrivate(name, args...) })
	var te *torch.Error
	require.ErrorAs(t, err, &te, name)
	require.Contains(t, te.Error(), name)
	require.NotEmpty(t, te.Message, name)
	require.NotContains(t, te.Message, "INTERNAL ASSERT", name)
}

// Wrong arguments for every operator there is: a Go error each, never a crash.
func TestSweepWrongArguments(t *testing.T) {
	empty, checked := 0, 0
	for _, s := range schemas(t) {
		refusedCall(t, s, []any{aten.Kw{"no such argument": 1}})
		tooMany := make([]any, len(s.Args)+1)
		refusedCall(t, s, tooMany)
		if len(s.Args) == 0 {
			empty++
			continue
		}
		checked++
		for _, values := range [][]any{
			{odd{}}, {struct{ X int }{1}}, {map[string]int{}}, {make(chan int)}, {func() {}}, {[]odd{{}}}, {&odd{}}, {[][]int{{1}}},
			{[]any{odd{}}}, {odd{}, nil}, {odd{}, 1, "x", 2.5, true},
		} {
			refusedCall(t, s, wrong(values, s))
		}
		if required(s) {
			refusedCall(t, s, nil)
		}
	}
	require.Greater(t, checked, 3000)
	t.Logf("%d operators with arguments, %d without", checked, empty)
}

// Each argument of each operator in turn is of another kind than the schema's, all before it are right: golite must
// notice that one, and say so.
func TestSweepOneWrongArgument(t *testing.T) {
	n := 0
	for _, s := range schemas(t) {
		if s.Refusal() != "" {
			continue
		}
		for i, a := range s.Args {
			kw := aten.Kw{}
			for _, before := range s.Args[:i] {
				kw[before.Name] = sample(t, before.Type)
			}
			for _, after := range s.Args[i+1:] {
				if after.Required() {
					kw[after.Name] = sample(t, after.Type)
				}
			}
			for _, bad := range contrary(a.Type) {
				kw[a.Name] = bad
				err := torch.Try(func() { aten.CallPrivate(s.FullName(), kw) })
				require.ErrorContains(t, err, "argument "+a.Name+" (", "%s with %T", s.FullName(), bad)
				n++
			}
		}
	}
	require.Greater(t, n, 10000)
}

func required(s *schema.Schema) bool {
	for _, a := range s.Args {
		if a.Required() {
			return true
		}
	}
	return false
}

var one = torch.Ones(1)

// sample is a value of the type.
func sample(t *testing.T, ty schema.Type) any {
	t.Helper()
	if ty.IsOptional() {
		return nil
	}
	v, ok := map[string]any{
		"Tensor": one, "Tensor[]": []*torch.Tensor{one}, "Tensor?[]": []*torch.Tensor{nil}, "int": 1, "int[]": []int{1},
		"float":   1.5,
		"float[]": []float64{1}, "bool": true, "bool[]": make([]bool, max(ty.Size, 1)), "Scalar": 1,
		"Scalar[]": []torch.Scalar{torch.Int(1)}, "str": "x",
		"str[]": []string{"x"}, "ScalarType": torch.Float32, "Device": torch.CPU, "Layout": torch.Strided,
		"MemoryFormat": torch.ContiguousFormat,
	}[ty.Key()]
	require.True(t, ok, "no sample of a %s", ty)
	return v
}

// contrary are values of other kinds than the type's.
func contrary(ty schema.Type) []any {
	all := []any{odd{}}
	inner := ty.Inner()
	if !ty.IsOptional() {
		if inner.Form != schema.List {
			all = append(all, nil, (*int)(nil))
		} else {
			all = append(all, nil)
		}
	}
	switch base := inner.Key(); base {
	case "Tensor":
		return append(all, 1, 1.5, "x", []*torch.Tensor{one})
	case "str":
		return append(all, 1, one, []string{"x"})
	case "bool":
		return append(all, 1, 0.0, "true", one)
	case "int":
		return append(all, 1.0, true, "1", one, []int{1})
	case "float":
		return append(all, true, "1", one, 1i)
	case "Scalar":
		return append(all, "1", one, []int{1})
	case "Tensor[]", "Tensor?[]":
		return append(all, one, []int{1}, []any{"x"})
	default:
		return append(all, one, 1i, []odd{{}})
	}
}
