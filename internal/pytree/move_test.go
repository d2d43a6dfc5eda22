package pytree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// to is Move by Tensor.To.
func to[T any](v T, d torch.Device) T {
	return Move(v, d, func(t *torch.Tensor) *torch.Tensor {
		if t.Device() == d {
			return t
		}
		return t.To(d)
	})
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
func TestMoveMovesAllThatAValueHolds(t *testing.T) {
	x := torch.Ones(2)
	c := cargo{Batch: tree{X: x, Named: map[string]*torch.Tensor{"x": x}}, Parcel: parcel{t: x}, Crates: []*crate{{}, nil},
		Loose: []any{x, parcel{t: x}, 7, nil}, Count: 3}
	got := to(c, torch.Meta)
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

	require.Equal(t, torch.Meta, to(parcel{t: x}, torch.Meta).t.Device())
	require.Equal(t, torch.Meta, to(&tree{X: x}, torch.Meta).X.Device())
	require.Nil(t, to[*nn.Linear](nil, torch.Meta))
	batch := &tree{X: x, List: []*torch.Tensor{x}}
	require.Same(t, batch, to(batch, torch.CPU))
	require.Same(t, x, to(x, torch.CPU))
}

// Modules move in place wherever they are. Those on meta have nothing to move, which is an error where they are
// reached.
func TestMoveMovesModules(t *testing.T) {
	var gone *nn.Linear
	torch.WithDevice(torch.Meta, func() { gone = nn.NewLinear(2, 2) })
	for name, move := range map[string]func(d torch.Device){
		"alone":        func(d torch.Device) { require.Same(t, gone, to(gone, d)) },
		"an interface": func(d torch.Device) { require.Same(t, gone, to(struct{ M nn.Module }{gone}, d).M) },
		"a map":        func(d torch.Device) { require.Same(t, gone, to(map[string]*nn.Linear{"": gone}, d)[""]) },
		"a slice":      func(d torch.Device) { require.Same(t, gone, to([]*nn.Linear{gone}, d)[0]) },
		"a pointer":    func(d torch.Device) { to(&tree{Any: []any{gone}}, d) },
	} {
		require.NotPanics(t, func() { move(torch.Meta) }, name)
		require.ErrorContains(t, torch.Try(func() { move(torch.CPU) }), "Cannot copy out of meta tensor", name)
	}
}
