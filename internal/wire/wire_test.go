package wire_test

import (
	"encoding/gob"
	"math"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/wire"
	"github.com/golite/golite/torch"
)

func TestMain(m *testing.M) { fixture.Main(m) }

type (
	celsius float64
	inner   struct {
		At    *int
		Names []string
		_     int
	}
	outer struct {
		inner
		Any any
	}
	Exported  struct{ A int }
	embedding struct {
		Exported
		B map[Exported]celsius
	}
	shape interface{ Area() int }
	// Square is a shape that gob knows.
	Square struct{ Side int }
)

// Area is the square's.
func (s Square) Area() int { return s.Side * s.Side }

func roundTrip[T any](t *testing.T, v T) {
	t.Helper()
	b, err := wire.Encode(v)
	require.NoError(t, err, "%T", v)
	got, err := wire.Decode[T](b)
	require.NoError(t, err, "%T", v)
	require.Equal(t, v, got)
	for n := range b { // whatever is cut off is missed
		_, err := wire.Decode[T](b[:n])
		require.Error(t, err, "%T cut to %d of %d bytes", v, n, len(b))
	}
}

func TestValuesComeBack(t *testing.T) {
	gob.Register(Square{})
	n := 7
	roundTrip(t, true)
	roundTrip(t, int8(-128))
	roundTrip(t, int64(math.MinInt64))
	roundTrip(t, uint64(math.MaxUint64))
	roundTrip(t, float32(0.1))
	roundTrip(t, math.Inf(-1))
	roundTrip(t, complex(1, -2))
	roundTrip(t, "grüß dich")
	roundTrip(t, celsius(21.5))
	roundTrip(t, 3*time.Second)
	roundTrip(t, []byte{0, 1})
	roundTrip(t, []float64(nil))
	roundTrip(t, []float64{})
	roundTrip(t, [2][]celsius{{1}, {2, 3}})
	roundTrip(t, []struct{}{{}, {}})
	roundTrip(t, map[string]map[int][]bool{"a": {1: {true}}, "b": nil})
	roundTrip(t, map[string]struct{}{"x": {}})
	roundTrip(t, embedding{Exported{1}, map[Exported]celsius{{2}: 3}})
	roundTrip(t, &inner{At: &n, Names: []string{"a", ""}})
	roundTrip(t, (*inner)(nil))
	roundTrip(t, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	roundTrip(t, []netip.Addr{netip.MustParseAddr("10.0.0.1")})
	roundTrip(t, big.NewInt(1<<40))
	roundTrip[any](t, nil)
	roundTrip[any](t, 3)
	roundTrip[any](t, []any{1, "a", 2.5, nil, map[string]any{"b": []int{1}, "c": map[string]any{"d": true}},
		[2]string{"x"}, &n})
	roundTrip(t, []shape{Square{2}, nil})
	roundTrip(t, map[any]string{1: "a", "b": "c"})
}

// Tensors may stand anywhere. Their elements, types and shapes arrive.
func TestTensorsComeBack(t *testing.T) {
	type batch struct {
		Input, None *torch.Tensor
		More        map[string][]*torch.Tensor
		Any         any
	}
	shared := torch.Arange(6).View(2, 3)
	v := batch{Input: shared.Transpose(0, 1), More: map[string][]*torch.Tensor{"a": {torch.Ones(0, 2), nil}},
		Any: map[string]any{"t": torch.From([]int8{-1}),
			"list": []*torch.Tensor{torch.Options{DType: torch.BFloat16}.Full(0.5)}}}
	b, err := wire.Encode(v)
	require.NoError(t, err)
	got, err := wire.Decode[batch](b)
	require.NoError(t, err)
	require.Nil(t, got.None)
	require.Nil(t, got.More["a"][1])
	any1, any2 := v.Any.(map[string]any), got.Any.(map[string]any)
	for i, pair := range [][2]*torch.Tensor{
		{v.Input, got.Input}, {v.More["a"][0], got.More["a"][0]}, {any1["t"].(*torch.Tensor), any2["t"].(*torch.Tensor)},
		{any1["list"].([]*torch.Tensor)[0], any2["list"].([]*torch.Tensor)[0]},
	} {
		require.Equal(t, pair[0].DType(), pair[1].DType(), i)
		require.Equal(t, pair[0].Shape(), pair[1].Shape(), i)
		require.Equal(t, pair[0].ToBytes(), pair[1].ToBytes(), i)
	}
	_, err = wire.Decode[batch](b[:len(b)-1])
	require.Error(t, err)
}

func TestWhatCantTravelIsNamed(t *testing.T) {
	type hidden struct{ Rows []struct{ A, b int } }
	type unregistered struct{ A int }
	list := []any{nil}
	list[0] = list
	for want, encode := range map[string]func() ([]byte, error){
		"the value.Rows[0].b is an unexported field": func() ([]byte, error) {
			return wire.Encode(hidden{Rows: []struct{ A, b int }{{1, 2}}})
		},
		"the value.inner is an unexported field": func() ([]byte, error) { return wire.Encode(outer{}) },
		"the value[f] holds a func()": func() ([]byte,
			error) {
			return wire.Encode(map[string]any{"f": func() {}})
		},
		"the value is a chan int": func() ([]byte, error) { return wire.Encode(make(chan int)) },
		"gob.Register":            func() ([]byte, error) { return wire.Encode[any](unregistered{1}) },
		"does it refer to itself": func() ([]byte, error) { return wire.Encode(list) },
	} {
		_, err := encode()
		require.ErrorContains(t, err, want)
	}
	b, err := wire.Encode(1)
	require.NoError(t, err)
	_, err = wire.Decode[string](b)
	require.ErrorContains(t, err, "it is a int, want a string")
	_, err = wire.Decode[int](append(b, 0))
	require.ErrorContains(t, err, "left over")
}
