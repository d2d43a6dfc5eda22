package lite

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
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

// What holds nothing that is replaced is passed on itself, however deep it goes and whether it comes round to its beginning.
func TestWalkKeepsWhatStays(t *testing.T) {
	x := torch.Ones(1)
	v := &tree{X: x, List: []*torch.Tensor{x, nil}, Named: map[string]*torch.Tensor{"x": x}, Pair: [2]*torch.Tensor{x}, Any: []any{x, 3}}
	v.Below = &tree{Below: v}
	require.NotPanics(t, func() { // the circle
		got := mapTensors(v, onCPUOnly)
		require.Same(t, v.List[0], got.List[0])
	})
	v.Below = &tree{X: x}
	require.Same(t, v, mapTensors(v, onCPUOnly))
	require.Equal(t, reflect.ValueOf(v.List).Pointer(), reflect.ValueOf(mapTensors(v.List, onCPUOnly)).Pointer())
	require.Equal(t, reflect.ValueOf(v.Named).Pointer(), reflect.ValueOf(mapTensors(v.Named, onCPUOnly)).Pointer())
	require.Nil(t, mapTensors[any](nil, onCPUOnly))
	require.Nil(t, mapTensors[*torch.Tensor](nil, onCPUOnly))
	loop := []any{x, nil}
	loop[1] = loop
	require.Len(t, mapTensors(loop, onCPUOnly), 2)
	require.Less(t, testing.AllocsPerRun(10, func() { holdsTensors(reflect.TypeFor[tree](), nil) }), 3.0, "types are looked at once")
}

// What is replaced is replaced everywhere, in copies; two pointers that were the same are the same afterwards.
func TestWalkReplacesInCopies(t *testing.T) {
	x, y := torch.Ones(1), torch.Zeros(1)
	swap := func(*torch.Tensor) *torch.Tensor { return y }
	shared := &tree{X: x, hidden: x}
	v := tree{X: x, List: []*torch.Tensor{nil, x}, Named: map[string]*torch.Tensor{"x": x, "none": nil}, Pair: [2]*torch.Tensor{1: x},
		Any: map[int]any{1: shared, 2: "text"}, Below: shared, Name: "v"}
	got := mapTensors(v, swap)
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
	require.Same(t, y, mapTensors([]any{o, o.Same}, swap)[1].(*tree).X, "a struct has its first field's address")

	ring := &tree{X: x}
	ring.Below = &tree{X: x, Below: ring}
	turned := mapTensors(ring, swap)
	require.NotSame(t, ring, turned)
	require.Same(t, y, turned.X)
	require.Same(t, y, turned.Below.X)
	require.Same(t, turned, turned.Below.Below)
	require.Same(t, x, ring.Below.X)
}

// parcel moves itself, and counts.
type parcel struct {
	t     *torch.Tensor
	moves int
}

func (p parcel) To(d torch.Device) parcel { return parcel{p.t.To(d), p.moves + 1} }

// crate moves itself behind a pointer.
type crate struct{ device torch.Device }

func (*crate) To(d torch.Device) *crate { return &crate{d} }

// cargo holds what moves.
type cargo struct {
	Batch  tree
	Parcel parcel
	Crates []*crate
	Loose  []any
	Count  int
}

// Tensors and what moves itself move wherever they are; what is there already isn't touched.
func TestToDeviceMovesAllThatItHolds(t *testing.T) {
	x := torch.Ones(2)
	c := cargo{Batch: tree{X: x, Named: map[string]*torch.Tensor{"x": x}}, Parcel: parcel{t: x}, Crates: []*crate{{}, nil},
		Loose: []any{x, parcel{t: x}, 7, nil}, Count: 3}
	got := moveTo(c, torch.Meta)
	require.Equal(t, torch.Meta, got.Batch.X.Device())
	require.Equal(t, torch.Meta, got.Batch.Named["x"].Device())
	require.Equal(t, torch.Meta, got.Parcel.t.Device())
	require.Equal(t, 1, got.Parcel.moves)
	require.Equal(t, torch.Meta, got.Crates[0].device)
	require.Nil(t, got.Crates[1])
	require.Equal(t, torch.Meta, got.Loose[0].(*torch.Tensor).Device())
	require.Equal(t, 1, got.Loose[1].(parcel).moves)
	require.Equal(t, []any{7, nil}, got.Loose[2:])
	require.Equal(t, 3, got.Count)
	require.Equal(t, torch.CPU, c.Batch.X.Device())

	require.Equal(t, torch.Meta, moveTo(parcel{t: x}, torch.Meta).t.Device())
	require.Equal(t, torch.Meta, moveTo(&tree{X: x}, torch.Meta).X.Device())
	require.Nil(t, moveTo[*nn.Linear](nil, torch.Meta))
	batch := &tree{X: x, List: []*torch.Tensor{x}}
	require.Same(t, batch, moveTo(batch, torch.CPU))
	require.Same(t, x, moveTo(x, torch.CPU))
}

// Modules move in place wherever they are. Those on meta have nothing to move, and say so where they are reached.
func TestToDeviceMovesModules(t *testing.T) {
	var gone *nn.Linear
	torch.WithDevice(torch.Meta, func() { gone = nn.NewLinear(2, 2) })
	for name, move := range map[string]func(d torch.Device){
		"alone":        func(d torch.Device) { require.Same(t, gone, moveTo(gone, d)) },
		"an interface": func(d torch.Device) { require.Same(t, gone, moveTo(struct{ M nn.Module }{gone}, d).M) },
		"a map":        func(d torch.Device) { require.Same(t, gone, moveTo(map[string]*nn.Linear{"": gone}, d)[""]) },
		"a slice":      func(d torch.Device) { require.Same(t, gone, moveTo([]*nn.Linear{gone}, d)[0]) },
		"a pointer":    func(d torch.Device) { moveTo(&tree{Any: []any{gone}}, d) },
	} {
		require.NotPanics(t, func() { move(torch.Meta) }, name)
		require.ErrorContains(t, torch.Try(func() { move(torch.CPU) }), "Cannot copy out of meta tensor", name)
	}
}

// ToDevice moves to the rank's device: what is on meta can't come from there, and what is on the CPU is there.
func TestToDeviceIsTheRanks(t *testing.T) {
	onCPU(t, func(l *Lite) {
		x := torch.Ones(2)
		require.Same(t, x, ToDevice(l, []*torch.Tensor{x})[0])
		gone := torch.Options{Device: torch.Meta}.Ones(2)
		require.ErrorContains(t, torch.Try(func() { ToDevice(l, []*torch.Tensor{gone}) }), "meta")
	})
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
	got := mapTensors(all, swap)
	require.Len(t, got, 40)
	for i, n := range got {
		m := n.(map[string]any)
		require.Same(t, y, m["x"])
		again := m["all"].([]any)
		require.Equal(t, reflect.ValueOf(got).Pointer(), reflect.ValueOf(again).Pointer(), "one copy")
		require.Same(t, x, nodes[i]["x"], "the original stays")
	}
	kept := mapTensors(all, onCPUOnly)
	require.Equal(t, reflect.ValueOf(all).Pointer(), reflect.ValueOf(kept).Pointer(), "nothing was replaced")
	ring := &tree{X: x}
	ring.Below = ring
	require.Same(t, ring, mapTensors(ring, onCPUOnly), "nothing was replaced")

	var deep any = x
	for range 40 {
		deep = []any{deep}
	}
	deep = mapTensors(deep, swap)
	for range 40 {
		deep = deep.([]any)[0]
	}
	require.Same(t, y, deep, "40 levels down")
	list := &tree{X: x}
	for range 20_000 {
		list = &tree{Below: list}
	}
	last := mapTensors(list, swap)
	for last.Below != nil {
		last = last.Below
	}
	require.Same(t, y, last.X)
	for range 60_000 {
		list = &tree{Below: list}
	}
	require.ErrorContains(t, torch.Try(func() { mapTensors(list, swap) }), "nested deeper than 100000 levels")
}
