package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

type node struct {
	X     *torch.Tensor
	Peers []*node
	Named map[string]*node
	Next  *node
	Any   any
}

// EachTensor ends, and reaches each tensor, whatever refers to whatever.
func TestEachTensorOfValuesThatReferToEachOther(t *testing.T) {
	counted := func(v any) map[*torch.Tensor]int {
		out := map[*torch.Tensor]int{}
		torch.EachTensor(v, func(t *torch.Tensor) { out[t]++ })
		return out
	}
	nodes := make([]*node, 40) // each refers to all: paths without number
	for i := range nodes {
		nodes[i] = &node{X: torch.Ones(1)}
	}
	for _, n := range nodes {
		n.Peers, n.Named, n.Next = nodes, map[string]*node{"first": nodes[0], "last": nodes[39]}, nodes[0]
		n.Any = []any{n, nodes}
	}
	got := counted(nodes)
	require.Len(t, got, 40)
	for _, times := range got {
		require.Equal(t, 1, times)
	}
	require.Len(t, counted(*nodes[3]), 40)

	x := torch.Ones(1)
	list := []any{x, nil}
	list[1] = list // a slice in itself
	require.Equal(t, map[*torch.Tensor]int{x: 1}, counted(list))
	named := map[string]any{"x": x}
	named["self"], named["list"] = named, list
	require.Equal(t, map[*torch.Tensor]int{x: 2}, counted(named), "in two places")
	var any1 any
	any1 = &any1
	require.Empty(t, counted(any1))

	require.Equal(t, map[*torch.Tensor]int{x: 2}, counted([][]any{list[:1], list[:1:1], {x}}), "the first two are one")
	type outer struct{ Inner struct{ X *torch.Tensor } }
	o := &outer{}
	o.Inner.X = x
	require.Equal(t, map[*torch.Tensor]int{x: 2}, counted([]any{o, &o.Inner}), "a struct has its first field's address")
}

// A tensor however deep is reached.
func TestEachTensorReachesAnyDepth(t *testing.T) {
	last := torch.Ones(1)
	for _, depth := range []int{10, 33, 1000, 1_000_000} {
		list := &node{X: last}
		for range depth {
			list = &node{Next: list}
		}
		var got []*torch.Tensor
		torch.EachTensor(list, func(t *torch.Tensor) { got = append(got, t) })
		require.Equal(t, []*torch.Tensor{last}, got, "%d levels", depth)
	}
}
