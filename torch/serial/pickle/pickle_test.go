package pickle_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

func decode(raw []byte) (any, error) {
	v, _, err := pickle.Decode(bytes.NewReader(raw), 0, int64(len(raw)), pickle.Options{Globals: pickle.Builtins})
	return v, err
}

func big100(sign int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(sign), new(big.Int).Lsh(big.NewInt(1), 100))
}

// TestRoundTrip encodes values and decodes them again.
func TestRoundTrip(t *testing.T) {
	nested := pickle.NewDict(pickle.OrderedDict)
	require.NoError(t, nested.Set(pickle.Tuple{1, "x"}, []any{nil, true}))
	require.NoError(t, nested.Set("b", pickle.Tuple{}))
	for _, v := range []any{nil, true, false, 0, 1, -1, 255, 256, 65535, 65536, math.MaxInt32, math.MinInt32,
		math.MaxInt32 + 1, math.MaxInt64, math.MinInt64,
		big100(1), big100(-1), 0.5, math.Inf(-1), "", "aé", string(make([]byte, 300)), pickle.Bytes{}, pickle.Bytes{0, 255},
		pickle.ByteArray{128}, pickle.ByteArray{},
		complex(1, -2), []any{}, pickle.Tuple{1, 2, 3, 4}, pickle.Tuple{pickle.Tuple{1}}, []any{1, []any{2}}} {
		e := pickle.Encoder{}
		raw, err := e.Encode(v)
		require.NoError(t, err)
		got, err := decode(raw)
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	raw, err := (&pickle.Encoder{}).Encode(nested)
	require.NoError(t, err)
	got, err := decode(raw)
	require.NoError(t, err)
	d := got.(*pickle.Dict)
	require.Equal(t, pickle.OrderedDict, d.Kind)
	require.Equal(t, nested.Keys(), d.Keys())
	x, ok := d.Get(pickle.Tuple{1, "x"})
	require.True(t, ok)
	require.Equal(t, []any{nil, true}, x)
}

// TestSharing: a dict met twice is one dict.
func TestSharing(t *testing.T) {
	d := pickle.NewDict(pickle.PlainDict)
	raw, err := (&pickle.Encoder{}).Encode([]any{d, d})
	require.NoError(t, err)
	v, err := decode(raw)
	require.NoError(t, err)
	require.Same(t, v.([]any)[0], v.([]any)[1])
}

func TestFullPickleIsAskedFor(t *testing.T) {
	for _, v := range []any{&pickle.Set{Frozen: true}, pickle.NewDict(pickle.DefaultDict),
		pickle.NewDict(pickle.Namespace)} {
		_, err := (&pickle.Encoder{}).Encode(v)
		var n *errs.ErrUnsupported
		require.ErrorAs(t, err, &n)
		require.Contains(t, n.Remedy, "FullPickle")
		_, err = (&pickle.Encoder{FullPickle: true}).Encode(v)
		require.NoError(t, err)
	}
}

func TestDict(t *testing.T) {
	var d pickle.Dict
	require.NoError(t, d.Set("a", 1))
	require.NoError(t, d.Set("b", 2))
	require.NoError(t, d.Set("a", 3))
	require.NoError(t, d.Set(math.NaN(), 4))
	require.Equal(t, 3, d.Len())
	v, ok := d.Get("a")
	require.True(t, ok)
	require.Equal(t, 3, v)
	d.Delete("a")
	d.Delete("nothing")
	_, ok = d.Get("a")
	require.False(t, ok)
	require.NoError(t, d.Set("a", 5))
	require.Equal(t, []any{"b", "a"}, []any{d.Keys()[0], d.Keys()[2]})
	require.Error(t, d.Set([]any{1}, 1))
	require.Error(t, d.Set(pickle.Tuple{[]any{}}, 1))
	var none *pickle.Dict
	require.Zero(t, none.Len())
	for range none.All() {
		t.Fatal("a nil dict has no items")
	}
}

// TestFollowedByMore: Decode says where a pickle ends, so that a stream of them can be read.
func TestFollowedByMore(t *testing.T) {
	raw := []byte("\x80\x02K\x01.\x80\x02K\x02.")
	v, next, err := pickle.Decode(bytes.NewReader(raw), 0, int64(len(raw)), pickle.Options{})
	require.NoError(t, err)
	require.Equal(t, 1, v)
	require.Equal(t, int64(5), next)
	v, _, err = pickle.Decode(bytes.NewReader(raw), next, int64(len(raw)), pickle.Options{})
	require.NoError(t, err)
	require.Equal(t, 2, v)
}

// FuzzPickleMachine feeds bytes to the machine alone; what it accepts and can write must come back equal.
func FuzzPickleMachine(f *testing.F) {
	for _, s := range []string{"\x80\x02K\x01.", "\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u.",
		"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01e.",
		"\x80\x02ccollections\nOrderedDict\n)R.", "I01\n.", "\x80\x02c__builtin__\nset\n]K\x01a\x85R.", "(K\x01K\x02t.",
		"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decode(raw)
		if err != nil {
			var c *errs.ErrCorrupt
			var u *errs.ErrUnsafe
			var n *errs.ErrUnsupported
			if !errors.As(err, &c) && !errors.As(err, &u) && !errors.As(err, &n) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		e := pickle.Encoder{FullPickle: true}
		once, err := e.Encode(v)
		if err != nil {
			return
		}
		once = bytes.Clone(once)
		again, err := decode(once)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		twice, err := (&pickle.Encoder{FullPickle: true}).Encode(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q, written again %q: %v", once, twice, err)
		}
	})
}
