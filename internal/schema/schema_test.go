package schema

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	s, err := Parse("aten::add.out(Tensor self, Tensor other, *, Scalar alpha=1, Tensor(a!) out) -> Tensor(a!)")
	require.NoError(t, err)
	require.Equal(t, "aten", s.Namespace)
	require.Equal(t, "add", s.Name)
	require.Equal(t, "out", s.Overload)
	require.Equal(t, "aten::add.out", s.FullName())
	require.Len(t, s.Args, 4)
	require.Equal(t, Arg{Name: "self", Type: Type{Name: "Tensor"}}, s.Args[0])
	require.Equal(t, Arg{Name: "alpha", Type: Type{Name: "Scalar"}, KwOnly: true, HasDefault: true, Default: int64(1)},
		s.Args[2])
	require.True(t, s.Args[0].Required())
	require.False(t, s.Args[2].Required())
	require.True(t, s.Args[3].KwOnly)
	require.Equal(t, Alias{Sets: []string{"a"}, Write: true}, s.Args[3].Alias)
	require.Equal(t, 3, s.Written(0))
	require.Empty(t, s.Refusal())
}

func TestTypes(t *testing.T) {
	for text, want := range map[string]struct {
		key, base string
		optional  bool
		size      int
	}{
		"Tensor":                    {"Tensor", "Tensor", false, 0},
		"Tensor?":                   {"Tensor?", "Tensor", true, 0},
		"Tensor(a!)[]":              {"Tensor[]", "Tensor", false, 0},
		"Tensor?[]":                 {"Tensor?[]", "Tensor", false, 0},
		"SymInt[2]":                 {"int[]", "SymInt", false, 2},
		"int[1]?":                   {"int[]?", "int", true, 1},
		"SymBool":                   {"bool", "SymBool", false, 0},
		"Dict(str, Tensor)":         {"Dict(str, Tensor)", "Dict", false, 0},
		"(int, Tensor?)":            {"(int, Tensor?)", "", false, 0},
		"__torch__.torch.classes.c": {"__torch__.torch.classes.c", "__torch__.torch.classes.c", false, 0},
		"t[]":                       {"t[]", "t", false, 0},
		"Dimname[]?":                {"Dimname[]?", "Dimname", true, 0},
	} {
		s, err := Parse("n::f(" + text + " x) -> ()")
		require.NoError(t, err, text)
		ty := s.Args[0].Type
		require.Equal(t, want.key, ty.Key(), text)
		require.Equal(t, want.base, ty.Base(), text)
		require.Equal(t, want.optional, ty.IsOptional(), text)
		require.Equal(t, want.size, ty.Inner().Size, text)
	}
}

func TestDefaults(t *testing.T) {
	for text, want := range map[string]any{
		"None": nil, "True": true, "False": false, "-100": int64(-100), "0.5": 0.5, "1.": 1.0, "1e-08": 1e-8,
		"inf": math.Inf(1), "-inf": math.Inf(-1),
		`"L"`: "L", `""`: "", `"\"\'\\"`: `"'\`, `"a\n\001b"`: "a\n\x01b", `'x'`: "x",
		"[]": []any{}, "[0, 1]": []any{int64(0), int64(1)}, `["a", [True]]`: []any{"a", []any{true}},
	} {
		s, err := Parse("n::f(T x=" + text + ", int y=3) -> ()")
		require.NoError(t, err, text)
		require.Equal(t, want, s.Args[0].Default, text)
		require.Equal(t, int64(3), s.Args[1].Default, text)
	}
}

func TestAliases(t *testing.T) {
	s, err := Parse("n::f(Tensor(a|b) x, Tensor(a -> *) y, Tensor(c! -> c|d)[] z) -> (Tensor(c!) first, Tensor[] second)")
	require.NoError(t, err)
	require.Equal(t, "(a|b)", s.Args[0].Alias.String())
	require.Equal(t, Alias{Sets: []string{"a"}, After: []string{"*"}}, s.Args[1].Alias)
	require.Equal(t, "(c! -> c|d)", s.Args[2].Alias.String())
	require.Equal(t, "first", s.Returns[0].Name)
	require.Equal(t, 2, s.Written(0))
	require.Equal(t, -1, s.Written(1))
}

func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		"aten::t(Tensor(a) self) -> Tensor(a)",
		"aten::_print(str s) -> ()",
		"aten::f.a_b() -> (Tensor U, Tensor S)",
		"aten::f(Tensor? a=None, *, int[2] b=[1, -1], float c=1., float d=9.9999999999999995e-07, str e=\"\\\"\\'\\\\\") " +
			"-> Tensor[]",
		"s::dict_unpack(...) -> ...",
		"s::f(int a, ...) -> Tensor(a!)[]",
		"prepacked::run(Tensor X, __torch__.torch.classes.xnnpack.LinearOpContext W_prepack) -> Tensor Y",
	} {
		s, err := Parse(text)
		require.NoError(t, err, text)
		again, err := Parse(s.String())
		require.NoError(t, err, s.String())
		require.Equal(t, s, again)
	}
	s, err := Parse("aten::f(int a, *, Tensor(a!)? b=None) -> (Tensor(a!), bool)")
	require.NoError(t, err)
	require.Equal(t, "aten::f(int a, *, Tensor(a!)? b=None) -> (Tensor(a!), bool)", s.String())
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "want a namespace",
		"add":                                `want "::"`,
		"aten::":                             "want an operator's name",
		"aten::add.(Tensor a) -> ()":         "want an overload's name",
		"aten::add":                          `want "("`,
		"aten::add(Tensor":                   "want an argument's name",
		"aten::add(Tensor a":                 `want ","`,
		"aten::add(Tensor a) Tensor":         `want "->"`,
		"aten::add(Tensor a) -> ":            "want a type",
		"aten::add(Tensor a) -> () x":        "text after the end",
		"aten::add(*, *, int a) -> ()":       "a second *",
		"aten::add(int[0] a) -> ()":          "the size 0",
		"aten::add(int[2 a) -> ()":           `want "]"`,
		"aten::add(Tensor(a)(b) x) -> ()":    "a second alias",
		"aten::add(Tensor(1) x) -> ()":       "want an alias set",
		"aten::add(int a=) -> ()":            "is no number",
		"aten::add(int a=what) -> ()":        "is no default value",
		`aten::add(str a="x) -> ()`:          "a text without its end",
		`aten::add(str a="\777") -> ()`:      "the escape",
		"aten::add(int a=[1) -> ()":          `want ","`,
		"aten::add(Dict(int, ) a) -> ()":     "want a type",
		"aten::add(int[]???????????????????": "nested too deep",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"aten::_backward(Tensor self) -> ()":                         "use Tensor.Backward",
		"aten::record_stream(Tensor(a!) self, Stream s) -> ()":       "argument s has the type Stream",
		"q::f(__torch__.torch.classes.q.P p) -> Tensor":              "argument p is a TorchBind object",
		"q::f(Tensor x) -> __torch__.torch.classes.q.P":              "a result is a TorchBind object",
		"aten::get_gradients(int c) -> Dict(Tensor, Tensor)":         "a result has the type Dict(Tensor, Tensor)",
		"aten::size.Dimname(Tensor self, str dim) -> int":            "a dimension's name",
		"aten::rename(Tensor(a) self, str[]? names) -> Tensor":       "a dimension's name",
		"s::f(...) -> Tensor":                                        "open",
		"s::f(Tensor x) -> ...":                                      "open",
		"s::f(t[] x) -> Tensor":                                      "the type t[]",
		"s::f(Tensor x) -> Tensor(a!)":                               "doesn't name",
		"aten::gelu(Tensor self, *, str approximate=\"\") -> Tensor": "",
	} {
		s, err := Parse(text)
		require.NoError(t, err, text)
		if want == "" {
			require.Empty(t, s.Refusal(), text)
		} else {
			require.Contains(t, s.Refusal(), want, text)
		}
	}
}

// Whatever parses prints to what parses to the same.
func FuzzParse(f *testing.F) {
	f.Add("aten::add.out(Tensor self, Tensor other, *, Scalar alpha=1, Tensor(a!) out) -> Tensor(a!)")
	f.Add("aten::f(Tensor?[] a, int[2]? b=[1, 1], str c=\"x\\n\", float d=-1.5e-3, ...) -> (Tensor(a|b) U, Dict(str, " +
		"int)[])")
	f.Add("n::g((int, t) a, *, Tensor(a -> *)[] b) -> ...")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		printed := s.String()
		again, err := Parse(printed)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if again.String() != printed {
			t.Fatalf("%q prints as %q, then %q", text, printed, again.String())
		}
		_ = s.Refusal()
	})
}
