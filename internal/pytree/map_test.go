package pytree

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// tree is a structure with all that may hold tensors.
type tree struct {
	X      *torch.Tensor
	List   []*torch.Tensor
	Named  map[string]*torch.Tensor
	Pair   [2]*torch.Tensor
	Any    any
	Below  *tree
	Name   string
	hidden *torch.Tensor
}

func onCPUOnly(t *torch.Tensor) *torch.Tensor { return t }

// What holds nothing that is replaced is passed on itself, however deep it goes and whether it comes round to its
// beginning.
func TestWalkKeepsWhatStays(t *testing.T) {
	x := torch.Ones(1)
	v := &tree{X: x, List: []*torch.Tensor{x, nil}, Named: map[string]*torch.Tensor{"x": x},
		Pair: [2]*torch.Tensor{x}, Any: []any{x, 3}}
	v.Below = &tree{Below: v}
	require.NotPanics(t, func() { // the circle
		got := Map(v, onCPUOnly)
		require.Same(t, v.List[0], got.List[0])
	})
	v.Below = &tree{X: x}
	require.Same(t, v, Map(v, onCPUOnly))
	require.Equal(t, reflect.ValueOf(v.List).Pointer(), reflect.ValueOf(Map(v.List, onCPUOnly)).Pointer())
	require.Equal(t, reflect.ValueOf(v.Named).Pointer(), reflect.ValueOf(Map(v.Named, onCPUOnly)).Pointer())
	require.Nil(t, Map[any](nil, onCPUOnly))
	require.Nil(t, Map[*torch.Tensor](nil, onCPUOnly))
	loop := []any{x, nil}
	loop[1] = loop
	require.Len(t, Map(loop, onCPUOnly), 2)
	require.Less(t, testing.AllocsPerRun(10, func() { Holds(reflect.TypeFor[tree]()) }), 3.0, "types are looked at once")
}

// What is replaced is replaced everywhere, in copies; two pointers that were the same are the same afterwards.
func TestWalkReplacesInCopies(t *testing.T) {
	x, y := torch.Ones(1), torch.Zeros(1)
	swap := func(*torch.Tensor) *torch.Tensor { return y }
	shared := &tree{X: x, hidden: x}
	v := tree{X: x, List: []*torch.Tensor{nil, x}, Named: map[string]*torch.Tensor{"x": x, "none": nil},
		Pair: [2]*torch.Tensor{1: x}, Any: map[int]any{1: shared, 2: "text"}, Below: shared, Name: "v"}
	got := Map(v, swap)
	require.Same(t, y, got.X)
	require.Same(t, y, got.List[1])
	require.Nil(t, got.List[0])
	require.Same(t, y, got.Named["x"])
	require.Contains(t, got.Named, "none")
	require.Same(t, y, got.Pair[1])
	require.Equal(t, "v", got.Name)
	require.Same(t, y, got.Below.X)
	require.Same(t, x, got.Below.hidden)
	require.Same(t, got.Below, got.Any.(map[int]any)[1])
	require.Equal(t, "text", got.Any.(map[int]any)[2])
	for _, old := range []*torch.Tensor{v.X, v.List[1], v.Named["x"], v.Pair[1], shared.X} {
		require.Same(t, x, old, "the original stays")
	}

	type outer struct {
		Inner tree
		Same  *tree
	}
	o := &outer{Inner: tree{X: x}}
	o.Same = &o.Inner
	require.Same(t, y, Map([]any{o, o.Same}, swap)[1].(*tree).X, "a struct has its first field's address")

	ring := &tree{X: x}
	ring.Below = &tree{X: x, Below: ring}
	turned := Map(ring, swap)
	require.NotSame(t, ring, turned)
	require.Same(t, y, turned.X)
	require.Same(t, y, turned.Below.X)
	require.Same(t, turned, turned.Below.Below)
	require.Same(t, x, ring.Below.X)
}

// Slices and maps that hold themselves, and what lies deep, are walked whole, in a time that goes with their size.
func TestWalkOfGraphs(t *testing.T) {
	x, y := torch.Ones(1), torch.Zeros(1)
	swap := func(*torch.Tensor) *torch.Tensor { return y }
	nodes := make([]map[string]any, 40) // each refers to all
	all := make([]any, len(nodes))
	for i := range nodes {
		nodes[i] = map[string]any{"x": x, "all": all}
		all[i] = nodes[i]
	}
	got := Map(all, swap)
	require.Len(t, got, 40)
	for i, n := range got {
		m := n.(map[string]any)
		require.Same(t, y, m["x"])
		again := m["all"].([]any)
		require.Equal(t, reflect.ValueOf(got).Pointer(), reflect.ValueOf(again).Pointer(), "one copy")
		require.Same(t, x, nodes[i]["x"], "the original stays")
	}
	kept := Map(all, onCPUOnly)
	require.Equal(t, reflect.ValueOf(all).Pointer(), reflect.ValueOf(kept).Pointer(), "nothing was replaced")
	ring := &tree{X: x}
	ring.Below = ring
	require.Same(t, ring, Map(ring, onCPUOnly), "nothing was replaced")

	var deep any = x
	for range 40 {
		deep = []any{deep}
	}
	deep = Map(deep, swap)
	for range 40 {
		deep = deep.([]any)[0]
	}
	require.Same(t, y, deep, "40 levels down")
	list := &tree{X: x}
	for range 20_000 {
		list = &tree{Below: list}
	}
	last := Map(list, swap)
	for last.Below != nil {
		last = last.Below
	}
	require.Same(t, y, last.X)
	for range 60_000 {
		list = &tree{Below: list}
	}
	require.ErrorContains(t, torch.Try(func() { Map(list, swap) }), "nested deeper than 100000 levels")
}
