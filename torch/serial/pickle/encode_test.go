package pickle_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// TestTextIsUTF8: what Python could not read is not written; lone surrogates, which it writes itself, are.
func TestTextIsUTF8(t *testing.T) {
	for _, s := range []string{"", "aé漢\U0001f600\uFFFD", "\xed\xa0\x80x", "\xed\xbf\xbf"} {
		raw, err := (&pickle.Encoder{}).Encode(s)
		require.NoError(t, err)
		got, err := decode(raw)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	for _, s := range []string{"\xff", "a\x80", "\xed\xa0", "\xc0\xaf", "\xf8\x88\x80\x80\x80"} {
		for _, v := range []any{s, []any{s}, map[string]any{s: 1}, map[string]any{"x": s}} {
			_, err := (&pickle.Encoder{}).Encode(v)
			var n *errs.ErrUnsupported
			require.ErrorAs(t, err, &n, "%q", s)
		}
		_, err := decode([]byte("\x80\x04\x8c" + string(rune(len(s))) + s + "."))
		var c *errs.ErrCorrupt
		require.ErrorAs(t, err, &c, "%q", s)
	}
}

// TestGoMaps: keys of every signed width, in their order, however far apart.
func TestGoMaps(t *testing.T) {
	for _, c := range []struct {
		v    any
		keys []any
	}{
		{map[int8]int{3: 1, -128: 2, 127: 3}, []any{-128, 3, 127}},
		{map[int16]int{300: 1, -1: 2}, []any{-1, 300}},
		{map[int32]string{2: "", 1: ""}, []any{1, 2}},
		{map[int64]int{math.MaxInt64: 1, math.MinInt64: 2, 0: 3}, []any{math.MinInt64, 0, math.MaxInt64}},
		{map[int]int{2: 1, 1: 1}, []any{1, 2}},
		{map[string]int{"b": 1, "a": 2}, []any{"a", "b"}},
	} {
		raw, err := (&pickle.Encoder{}).Encode(c.v)
		require.NoError(t, err)
		got, err := decode(raw)
		require.NoError(t, err)
		require.Equal(t, c.keys, got.(*pickle.Dict).Keys(), "%T", c.v)
	}
	for _, v := range []any{map[uint]int{1: 1}, map[float64]int{1: 1}, map[[2]int]int{{1, 2}: 1}} {
		_, err := (&pickle.Encoder{}).Encode(v)
		var n *errs.ErrUnsupported
		require.ErrorAs(t, err, &n, "%T", v)
	}
}

// TestDescribe: messages stay short, whatever they are about.
func TestDescribe(t *testing.T) {
	long := make([]byte, 1<<20)
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "None"}, {true, "true"}, {-3, "-3"}, {1.5, "1.5"}, {"a\n", `"a\n"`}, {big100(-1), "-1267650600228229401496703205376"},
		{pickle.Bytes(long), "1048576 bytes"}, {pickle.Tuple{1, 2}, "a tuple of 2"}, {[]any{1}, "a list of 1"}, {&pickle.Set{}, "a set of 0"},
		{pickle.NewDict(pickle.OrderedDict), "a collections.OrderedDict of 0"}, {&pickle.Class{Name: "os.system"}, "the Python class os.system"},
		{struct{}{}, "a struct {}"},
	} {
		require.Equal(t, c.want, pickle.Describe(c.v))
	}
	require.Less(t, len(pickle.Describe(string(long))), 400)
}
