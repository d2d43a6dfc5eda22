package data_test

import (
	"context"
	"sync/atomic"
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

// What a function makes is read by the same rules: by workers, by sample or by batch, and never out of range.
func TestTensorDatasetOfAFunction(t *testing.T) {
	square := func(i int) int64 { return int64(i * i) }
	var singles, batches atomic.Int64
	ds := data.NewTensorDatasetFunc(5, func(i int) *torch.Tensor {
		singles.Add(1)
		return torch.From([]int64{square(i)}, []int{}...)
	}, func(indices []int) *torch.Tensor {
		batches.Add(1)
		all := make([]int64, len(indices))
		for k, i := range indices {
			all[k] = square(i)
		}
		return torch.From(all)
	})
	require.Equal(t, 5, ds.Len())
	same := data.Map(ds, func(_ context.Context, x *torch.Tensor) (*torch.Tensor, error) { return x, nil })
	for _, from := range []data.Dataset[*torch.Tensor]{ds, same} {
		var got []int64
		for b, err := range data.NewLoader(from, 2, data.Options{Workers: 2}).Batches(ctx) {
			require.NoError(t, err)
			got = append(got, torch.ToSlice[int64](b)...)
		}
		require.Equal(t, []int64{0, 1, 4, 9, 16}, got)
	}
	require.Equal(t, []int64{3, 5}, []int64{batches.Load(), singles.Load()}, "batches of ds itself, samples for the map")
	for _, i := range []int{-1, 5} {
		_, err := ds.Get(ctx, i)
		require.ErrorContains(t, err, "is outside of a data set of 5 samples")
		_, err = ds.Batch(ctx, []int{0, i})
		require.ErrorContains(t, err, "is outside of a data set of 5 samples")
	}
	one, many := func(int) int { return 0 }, func([]int) int { return 0 }
	for _, f := range []func(){
		func() { data.NewTensorDatasetFunc(-1, one, many) }, func() { data.NewTensorDatasetFunc(1, nil, many) },
		func() { data.NewTensorDatasetFunc(1, one, nil) },
	} {
		require.ErrorContains(t, torch.Try(f), "NewTensorDatasetFunc")
	}
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
	all := sequence{Words: column(0), Mask: column(10), Layers: []*torch.Tensor{column(30), column(40)},
		note: "not a tensor, and not exported"}
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
		"the sample.Name is a string": func() {
			data.NewTensorDatasetOf(
				struct{ Name string }{"a"})
		},
		"the sample is a map[string]*torch.Tensor": func() {
			data.NewTensorDatasetOf(
				map[string]*torch.Tensor{"x": x})
		},
	} {
		require.ErrorContains(t, torch.Try(f), want)
	}
}
