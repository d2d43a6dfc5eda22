package data_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func TestTensorDatasetGathers(t *testing.T) {
	x, y := torch.Rand(10, 2), torch.Arange(10)
	ds := data.NewTensorDataset(x, y)
	for b, err := range data.NewLoader(data.NewSubset(ds, []int{9, 8, 7, 1}), 3).Batches(ctx) {
		require.NoError(t, err)
		require.Equal(t, []int64{9, 8, 7}, torch.ToSlice[int64](b.Target))
		break
	}
	s, err := ds.Get(ctx, 4)
	require.NoError(t, err)
	require.Equal(t, []int{2}, s.Input.Shape())
	for _, i := range []int{-1, 10} {
		_, err = ds.Get(ctx, i)
		require.ErrorContains(t, err, "is outside of a data set of 10 samples")
		_, err = ds.Batch(ctx, []int{0, i})
		require.ErrorContains(t, err, "is outside of a data set of 10 samples")
	}
	both := data.NewConcatDataset[data.Example](ds, ds)
	require.Equal(t, 20, both.Len())
	s, err = both.Get(ctx, 13)
	require.NoError(t, err)
	require.Equal(t, 3.0, s.Target.Item())
}

// sequence is a sample of more than two tensors.
type sequence struct {
	Words, Mask *torch.Tensor
	Next        struct{ Words *torch.Tensor }
	Layers      []*torch.Tensor
	Absent      *torch.Tensor
	note        string
}

func TestTensorDatasetOfAnyTensors(t *testing.T) {
	column := func(start float64) *torch.Tensor { return torch.Arange(6).AddScalar(start).View(6, 1) }
	all := sequence{Words: column(0), Mask: column(10), Layers: []*torch.Tensor{column(30), column(40)}, note: "not a tensor, and not exported"}
	all.Next.Words = column(20)
	ds := data.NewTensorDatasetOf(all)
	require.Equal(t, 6, ds.Len())
	s, err := ds.Get(ctx, 5)
	require.NoError(t, err)
	require.Equal(t, []float64{5, 15, 25, 35, 45}, []float64{
		s.Words.Item(), s.Mask.Item(), s.Next.Words.Item(), s.Layers[0].Item(), s.Layers[1].Item()})
	require.Nil(t, s.Absent)

	b, err := ds.Batch(ctx, []int{4, 1})
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, b.Words.Shape())
	require.Equal(t, []int64{44, 41}, torch.ToSlice[int64](b.Layers[1]))
	require.Equal(t, []int64{24, 21}, torch.ToSlice[int64](b.Next.Words))
}

// One tensor without targets, as for inference; its batches and those made by stacking samples are alike.
func TestTensorDatasetOfOneTensor(t *testing.T) {
	x := torch.Rand(7, 2, 3)
	ds := data.NewTensorDatasetOf(x)
	stacked := data.NewLoaderFunc[*torch.Tensor](ds, 3, data.Collate[*torch.Tensor])
	var want [][]byte
	for b, err := range stacked.Batches(ctx) {
		require.NoError(t, err)
		want = append(want, b.ToBytes())
	}
	var got [][]byte
	for b, err := range data.NewLoader[*torch.Tensor](ds, 3, data.Options{Workers: 1}).Batches(ctx) {
		require.NoError(t, err)
		got = append(got, b.ToBytes())
	}
	require.Len(t, got, 3)
	require.Equal(t, want, got)
}

func TestTensorDatasetKeepsItsTensors(t *testing.T) {
	var ds *data.TensorDataset[[]*torch.Tensor]
	torch.Scope(func() { ds = data.NewTensorDatasetOf([]*torch.Tensor{torch.Ones(2), torch.Zeros(2, 3)}) })
	s, err := ds.Get(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, []int{3}, s[1].Shape())
}

func TestTensorDatasetRefuses(t *testing.T) {
	x := torch.Ones(4, 2)
	for want, f := range map[string]func(){
		"data.NewTensorDataset: the sample.Input of shape [4 2] and the sample.Target of shape [3] have no common first size": func() {
			data.NewTensorDataset(x, torch.Ones(3))
		},
		"the sample.Input is a scalar":                             func() { data.NewTensorDataset(torch.Ones(), x) },
		"a data.Example without a tensor":                          func() { data.NewTensorDatasetOf(data.Example{}) },
		"data.NewTensorDataset: the inputs or the targets are nil": func() { data.NewTensorDataset(x, nil) },
		"the sample.Name is a string":                              func() { data.NewTensorDatasetOf(struct{ Name string }{"a"}) },
		"the sample is a map[string]*torch.Tensor":                 func() { data.NewTensorDatasetOf(map[string]*torch.Tensor{"x": x}) },
	} {
		require.ErrorContains(t, torch.Try(f), want)
	}
}
