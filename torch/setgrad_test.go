package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// TestSetGradChecksTheGradient as an assignment to .grad does in PyTorch 2.11: what is refused changes nothing.
func TestSetGradChecksTheGradient(t *testing.T) {
	typed := func(d torch.DType) torch.Options { return torch.Options{DType: d} }
	sparse := func(t *torch.Tensor) *torch.Tensor { return aten.ToSparse(t, 0, nil, nil) }
	csr := func(t *torch.Tensor) *torch.Tensor { return aten.ToSparseCsr(t, nil) }
	ones := torch.Ones(2, 3)
	meta := torch.Options{Device: torch.Meta}
	for name, c := range map[string]struct {
		tensor, grad *torch.Tensor
		want         string // "": it is accepted
	}{
		"equal":              {ones, torch.Ones(2, 3), ""},
		"of integers":        {typed(torch.Int64).Ones(2, 3), typed(torch.Int64).Ones(2, 3), ""},
		"other strides":      {ones, torch.Ones(3, 2).T(), ""},
		"expanded":           {ones, torch.Ones(1).Expand(2, 3), ""},
		"sparse":             {ones, sparse(torch.Ones(2, 3)), ""},
		"of a result":        {ones.Clone().RequiresGrad_(true).MulScalar(2), torch.Ones(2, 3), ""},
		"of a sparse tensor": {sparse(torch.Ones(2, 3)), sparse(torch.Ones(2, 3)), ""},
		"on meta":            {meta.Ones(2, 3), meta.Ones(2, 3), ""},
		"a vector": {ones, torch.Ones(3), "can't assign a gradient of size [3] to a tensor of size [2, 3]: " +
			"both must have the same size"},
		"a scalar": {ones, torch.Ones(), "can't assign a gradient of size [] to a tensor of size [2, 3]"},
		"transposed": {ones, torch.Ones(3, 2), "can't assign a gradient of size [3, 2] to a tensor of size " +
			"[2, 3]"},
		"sparse, shape": {ones, sparse(torch.Ones(3)), "can't assign a gradient of size [3] to a tensor of size " +
			"[2, 3]"},
		"float64": {ones, typed(torch.Float64).Ones(2, 3),
			"can't assign a gradient of dtype Double to a tensor of dtype Float: both must have the same dtype"},
		"float16": {ones, typed(torch.Float16).Ones(2, 3),
			"can't assign a gradient of dtype Half to a tensor of dtype Float"},
		"complex": {ones, typed(torch.Complex64).Ones(2, 3),
			"can't assign a gradient of dtype ComplexFloat to a tensor of dtype Float"},
		"sparse float64": {ones, sparse(typed(torch.Float64).Ones(2, 3)),
			"can't assign a gradient of dtype Double to a tensor of dtype Float"},
		"another device": {ones, meta.Ones(2, 3), "can't assign a gradient on meta to a tensor on cpu: both must " +
			"be on the same device"},
		"another device, of meta": {meta.Ones(2, 3), ones, "can't assign a gradient on cpu to a tensor on meta"},
		"compressed rows": {ones, csr(torch.Ones(2, 3)), "can't assign a gradient of layout SparseCsr to a tensor " +
			"of layout Strided: both must have the same layout"},
		"dense of a sparse one": {sparse(torch.Ones(2, 3)), ones,
			"can't assign a gradient of layout Strided to a tensor of layout Sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.tensor.Detach()
			before := torch.ZerosLike(p)
			p.SetGrad(before)
			err := torch.Try(func() { p.SetGrad(c.grad) })
			if c.want == "" {
				require.NoError(t, err)
				require.True(t, c.grad.Layout() != torch.Strided || c.grad.Device() == torch.Meta || p.Grad().SameStorage(c.grad))
				p.SetGrad(nil)
				require.Nil(t, p.Grad())
				return
			}
			require.ErrorContains(t, err, c.want)
			require.Equal(t, before.Shape(), p.Grad().Shape())
			require.Equal(t, before.Layout(), p.Grad().Layout())
		})
	}
	p := torch.Ones(2)
	require.ErrorContains(t, torch.Try(func() { p.SetGrad(p) }), "can't assign a tensor as its own gradient")
	require.Nil(t, p.Grad())
}

// TestGradientsOfHooksAreChecked by autograd: a hook's gradient takes another's place as it is.
func TestGradientsOfHooksAreChecked(t *testing.T) {
	for name, f := range map[string]func(g *torch.Tensor) *torch.Tensor{
		"size": func(*torch.Tensor) *torch.Tensor { return torch.Ones(5) },
		"type": func(g *torch.Tensor) *torch.Tensor { return g.To(torch.Float64) },
	} {
		x := torch.Ones(2, 3).RequiresGrad_(true)
		x.RegisterHook(f)
		require.ErrorContains(t, torch.Try(func() { x.MulScalar(2).Sum().Backward() }), "has changed the "+name+" of value")
		require.Nil(t, x.Grad())
	}
}
