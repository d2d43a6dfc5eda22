package data_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// A batch size above the number of samples gives one batch, as PyTorch's does, and what may be read ahead has no bound.
func TestSizesWithoutABound(t *testing.T) {
	for _, size := range []int{11, 1e12, math.MaxInt} {
		for _, o := range []data.Options{{}, {Workers: 2}, {Workers: 2, Prefetch: math.MaxInt}, {Workers: 2, Prefetch: 1e12}, {DropLast: true}} {
			l := numberLoader(10, size, o)
			require.NoError(t, l.Err())
			want := [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}
			if o.DropLast {
				want = nil
			}
			require.Equal(t, len(want), l.Len())
			got, err := pass(ctx, l)
			require.NoError(t, err)
			require.Equal(t, want, got, "%d, %+v", size, o)
			state := midPass(l)
			if o.DropLast {
				continue
			}
			again := numberLoader(10, size, o)
			require.NoError(t, again.LoadStateDict(state))
			rest, err := pass(ctx, again)
			require.NoError(t, err)
			require.Empty(t, rest, "the last batch was in hand")
		}
		for _, o := range []data.Options{{}, {Workers: 1}, {Workers: 1, Prefetch: math.MaxInt}} {
			got, err := pass(ctx, data.NewIterableLoaderFunc(stream{0, 1}, size, list, o))
			require.NoError(t, err)
			require.Equal(t, [][]int{{0, 1, 2, 3, 4, 5, 6}}, got)
		}
	}
	for b, err := range data.NewLoader(data.NewTensorDataset(torch.Ones(3, 2), torch.Ones(3)), 1e12).Batches(ctx) {
		require.NoError(t, err)
		require.Equal(t, []int{3, 2}, b.Input.Shape())
	}
}

// lengthy is a data set whose Len is any number, or panics.
type lengthy struct{ n *int }

func (d lengthy) Len() int { return *d.n }
func (d lengthy) Get(context.Context, int) (int, error) {
	return 0, nil
}

// nothing gives no iterator, and its parts are no streams.
type nothing struct{}

func (nothing) Samples(context.Context) iter.Seq2[int, error] { return nil }
func (nothing) Shard(int, int) data.Iterable[int]             { return nil }

// What is nil, and data sets that can't be counted, are errors of the loader, which name them.
func TestLoadersReportWhatIsNil(t *testing.T) {
	negative := -1
	var none func([]int) ([]int, error)
	_, noPart := data.NewIterableLoaderFunc(nothing{}, 2, list).Shard(0, 2)
	_, noStream := pass(ctx, data.NewIterableLoaderFunc(nothing{}, 2, list))
	_, noStreamAhead := pass(ctx, data.NewIterableLoaderFunc(nothing{}, 2, list, data.Options{Workers: 1}))
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"data set":             {data.NewLoader[*torch.Tensor](nil, 2).Err(), "the data set is nil"},
		"data set, collated":   {data.NewLoaderFunc[int](nil, 2, list).Err(), "the data set is nil"},
		"nil pointer":          {data.NewLoader((*data.TensorDataset[data.Example])(nil), 2).Err(), "the data set's Len: panic"},
		"negative":             {data.NewLoaderFunc(lengthy{&negative}, 2, list).Err(), "the data set's Len is -1"},
		"negative, shuffled":   {data.NewLoaderFunc(lengthy{&negative}, 2, list, data.Options{Shuffle: true}).Err(), "the data set's Len is -1"},
		"panics":               {data.NewLoaderFunc(lengthy{}, 2, list).Err(), "the data set's Len: panic"},
		"collate":              {data.NewLoaderFunc(numbers(4), 2, none).Err(), "the collate function is nil"},
		"Iterable":             {data.NewIterableLoader[*torch.Tensor](nil, 2).Err(), "the Iterable is nil"},
		"Iterable's collate":   {data.NewIterableLoaderFunc(stream{0, 1}, 2, none).Err(), "the collate function is nil"},
		"sampler":              {numberLoader(4, 2, data.Options{Sampler: (*sampler.Random)(nil)}).Err(), "nil pointer"},
		"batch sampler":        {numberLoader(4, 0, data.Options{BatchSampler: (*sampler.Batch)(nil)}).Err(), "nil pointer"},
		"too many workers":     {numberLoader(4, 2, data.Options{Workers: 1e12}).Err(), "want 4096 or fewer"},
		"part of an Iterable":  {noPart, "Shard(0, 2) of the Iterable data_test.nothing returned nil"},
		"Samples":              {noStream, "Samples of the Iterable data_test.nothing returned nil"},
		"Samples, by a worker": {noStreamAhead, "Samples of the Iterable data_test.nothing returned nil"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, c.err, c.want) })
	}
	_, err := pass(ctx, data.NewLoaderFunc[int](nil, 2, list))
	require.ErrorContains(t, err, "the data set is nil")
	require.Equal(t, -1, data.NewLoaderFunc[int](nil, 2, list).Len())
}

// What makes no loader panics with a *torch.Error that names what is nil.
func TestNilIsRefusedByName(t *testing.T) {
	var ds data.Dataset[int]
	var f func(context.Context, int) (int, error)
	l := numberLoader(4, 2, data.Options{})
	var noLoader *data.Loader[[]int]
	negative := -1
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"Map, data set":     {func() { data.Map(ds, func(context.Context, int) (int, error) { return 0, nil }) }, "data.Map: the data set is nil"},
		"Map, function":     {func() { data.Map[int, int](numbers(3), f) }, "data.Map: the function is nil"},
		"Subset":            {func() { data.NewSubset(ds, nil) }, "data.NewSubset: the data set is nil"},
		"ConcatDataset":     {func() { data.NewConcatDataset[int](numbers(3), ds) }, "data.NewConcatDataset: data set 1 is nil"},
		"negative part":     {func() { data.NewConcatDataset[int](numbers(3), lengthy{&negative}) }, "data set 1 is -1"},
		"RandomSplit":       {func() { data.RandomSplit(ds, 1, 0.5, 0.5) }, "data.RandomSplit: the data set is nil"},
		"Zip":               {func() { data.Zip(l, noLoader) }, "data.Zip: one of the loaders is nil"},
		"WithFinish":        {func() { l.WithFinish(nil) }, "data.WithFinish: the function is nil"},
		"WithBatchSampler":  {func() { l.WithBatchSampler(nil) }, "data.WithBatchSampler: the batch sampler is nil"},
		"TensorDataset":     {func() { data.NewTensorDataset(nil, torch.Ones(1)) }, "data.NewTensorDataset: the inputs or the targets are nil"},
		"TensorDatasetOf":   {func() { data.NewTensorDatasetOf[*torch.Tensor](nil) }, "without a tensor"},
		"TensorDatasetFunc": {func() { data.NewTensorDatasetFunc[int](3, nil, nil) }, "a function for a sample and one for a batch"},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(c.f)
			require.Error(t, err)
			require.Contains(t, fmt.Sprint(err), c.want)
		})
	}
}
