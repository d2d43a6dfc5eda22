package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

func TestTrainableDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(list []*torch.Tensor)
		want   bool
	}{
		"nothing":               {func([]*torch.Tensor) {}, false},
		"the same again":        {func(l []*torch.Tensor) { l[0].RequiresGrad_(true); l[1].RequiresGrad_(false) }, false},
		"frozen":                {func(l []*torch.Tensor) { l[0].RequiresGrad_(false) }, true},
		"unfrozen":              {func(l []*torch.Tensor) { l[1].RequiresGrad_(true) }, true},
		"frozen, and back":      {func(l []*torch.Tensor) { l[0].RequiresGrad_(false); l[0].RequiresGrad_(true) }, false},
		"released":              {func(l []*torch.Tensor) { l[1].Release() }, false}, // what was looked at lives on
		"other memory":          {func(l []*torch.Tensor) { l[0].SetData(torch.Ones(3)) }, false},
		"the list is a copy":    {func(l []*torch.Tensor) { l[0] = nil }, false},
		"a write, and gradient": {func(l []*torch.Tensor) { l[0].Mul(l[0]).Sum().Backward(); l[1].Fill_(2) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			list := []*torch.Tensor{torch.Ones(2).RequiresGrad_(true), torch.Ones(2)}
			differs, free := torch.ABI{}.TrainableDiffers(list)
			c.change(list)
			require.Equal(t, c.want, differs())
			free()
			require.True(t, differs(), "freed")
		})
	}
	differs, free := torch.ABI{}.TrainableDiffers(nil)
	defer free()
	require.False(t, differs())
	gone := torch.Ones(1)
	gone.Release()
	require.ErrorContains(t, torch.Try(func() { torch.ABI{}.TrainableDiffers([]*torch.Tensor{gone}) }), "released")
}

// BenchmarkTrainableDiffers is what a forward pass of a model with 150 parameters pays on several ranks.
func BenchmarkTrainableDiffers(b *testing.B) {
	list := make([]*torch.Tensor, 150)
	for i := range list {
		list[i] = torch.Ones(2).RequiresGrad_(i%2 == 0)
	}
	differs, free := torch.ABI{}.TrainableDiffers(list)
	defer free()
	for b.Loop() {
		if differs() {
			b.Fatal("nothing has changed")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/150, "ns/tensor")
}
