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
		for _, o := range []data.Options{{}, {Workers: 2}, {Workers: 2, Prefetch: math.MaxInt}, {Workers: 2, Prefetch: 1e12},
			{DropLast: true}} {
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

// pipe is an Iterable that does not work on a nil pointer.
type pipe struct{ n int }

func (p *pipe) Samples(context.Context) iter.Seq2[int, error] {
	n := p.n
	return func(yield func(int, error) bool) { yield(n, nil) }
}

// fails is a sampler that gives one index.
type fails struct{}

func (fails) Len() int { return 4 }
func (fails) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		if yield(0) {
			torch.Fail("fails.Indices", "enough")
		}
	}
}

// What is nil, and data sets that can't be counted, are errors of the loader, which name them.
func TestLoadersReportWhatIsNil(t *testing.T) {
	negative := -1
	var none func([]int) ([]int, error)
	_, noPart := data.NewIterableLoaderFunc(nothing{}, 2, list).Shard(0, 2)
	_, noStream := pass(ctx, data.NewIterableLoaderFunc(nothing{}, 2, list))
	_, noStreamAhead := pass(ctx, data.NewIterableLoaderFunc(nothing{}, 2, list, data.Options{Workers: 1}))
	_, notMade := pass(ctx, new(data.Loader[int]))
	_, nilStream := pass(ctx, data.NewIterableLoaderFunc[int]((*pipe)(nil), 2, list))
	_, nilStreamAhead := pass(ctx, data.NewIterableLoaderFunc[int]((*pipe)(nil), 2, list, data.Options{Workers: 1}))
	negativeWeight := sampler.NewWeightedRandom([]float64{1, -1}, 2, true, nil)
	_, weights := pass(ctx, numberLoader(2, 1, data.Options{Sampler: negativeWeight}))
	_, weightsAhead := pass(ctx, numberLoader(2, 1, data.Options{Sampler: negativeWeight, Workers: 2}))
	read, broken := pass(ctx, numberLoader(4, 1, data.Options{Sampler: fails{}}))
	readAhead, brokenAhead := pass(ctx, numberLoader(4, 1, data.Options{Sampler: fails{}, Workers: 2}))
	require.Equal(t, read, readAhead, "what was read before comes first")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"data set":           {data.NewLoader[*torch.Tensor](nil, 2).Err(), "the data set is nil"},
		"data set, collated": {data.NewLoaderFunc[int](nil, 2, list).Err(), "the data set is nil"},
		"nil pointer": {data.NewLoader((*data.TensorDataset[data.Example])(nil), 2).Err(),
			"the data set is a nil *data.TensorDataset["},
		"not made":             {new(data.Loader[int]).Err(), "was not made by NewLoader"},
		"not made, a pass":     {notMade, "was not made by NewLoader"},
		"nil Iterable":         {nilStream, "the Iterable is a nil *data_test.pipe"},
		"nil Iterable, ahead":  {nilStreamAhead, "the Iterable is a nil *data_test.pipe"},
		"weights":              {weights, "the order of the data set data_test.numbers: aten::multinomial"},
		"weights, workers":     {weightsAhead, "the order of the data set data_test.numbers: aten::multinomial"},
		"a sampler that fails": {broken, "data: batch 1: the order of the data set data_test.numbers: fails.Indices: enough"},
		"the same, workers": {brokenAhead, "data: batch 1: the order of the data set data_test.numbers: fails.Indices: " +
			"enough"},
		"negative": {data.NewLoaderFunc(lengthy{&negative}, 2, list).Err(),
			"the Len of the data set data_test.lengthy is -1"},
		"negative, shuffled": {data.NewLoaderFunc(lengthy{&negative}, 2, list, data.Options{Shuffle: true}).Err(),
			"the Len of the data set data_test.lengthy is -1"},
		"panics": {data.NewLoaderFunc(lengthy{}, 2, list).Err(),
			"the Len of the data set data_test.lengthy: panic"},
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
	var absent data.Dataset[int] = (*data.Subset[int])(nil)
	huge := math.MaxInt
	negative := -1
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"Map, data set": {func() { data.Map(ds, func(context.Context, int) (int, error) { return 0, nil }) },
			"data.Map: the data set is nil"},
		"Map, function": {func() { data.Map[int, int](numbers(3), f) }, "data.Map: the function is nil"},
		"Subset":        {func() { data.NewSubset(ds, nil) }, "data.NewSubset: the data set is nil"},
		"ConcatDataset": {func() { data.NewConcatDataset[int](numbers(3), ds) },
			"data.NewConcatDataset: data set 1 is nil"},
		"Map, nil pointer": {func() { data.Map(absent, func(context.Context, int) (int, error) { return 0, nil }) },
			"the data set is a nil *data.Subset[int]"},
		"Subset of nil": {func() { data.NewSubset(absent, nil) },
			"data.NewSubset: the data set is a nil *data.Subset[int]"},
		"ConcatDataset, 2": {func() { data.NewConcatDataset(numbers(3), absent) },
			"data.NewConcatDataset: data set 1 is a nil *data.Subset[int]"},
		"RandomSplit, 2": {func() { data.RandomSplit(absent, 1, 1.0) },
			"data.RandomSplit: the data set is a nil *data.Subset[int]"},
		"RandomSplit, 3": {func() { data.RandomSplit(lengthy{&negative}, 1, 1.0) },
			"data.RandomSplit: the Len of the data set is -1"},
		"RandomSplit, 4": {func() { data.RandomSplit(numbers(3), 1, math.MaxInt, math.MaxInt, 5) },
			"add up to more than an int counts, and the data set has 3"},
		"too many together": {func() { data.NewConcatDataset(lengthy{&huge}, lengthy{&huge}) },
			"more samples together than an int counts"},
		"negative part":    {func() { data.NewConcatDataset[int](numbers(3), lengthy{&negative}) }, "data set 1 is -1"},
		"RandomSplit":      {func() { data.RandomSplit(ds, 1, 0.5, 0.5) }, "data.RandomSplit: the data set is nil"},
		"Zip":              {func() { data.Zip(l, noLoader) }, "data.Zip: one of the loaders is nil"},
		"WithFinish":       {func() { l.WithFinish(nil) }, "data.WithFinish: the function is nil"},
		"WithBatchSampler": {func() { l.WithBatchSampler(nil) }, "data.WithBatchSampler: the batch sampler is nil"},
		"TensorDataset": {func() { data.NewTensorDataset(nil, torch.Ones(1)) },
			"data.NewTensorDataset: the inputs or the targets are nil"},
		"TensorDatasetOf": {func() { data.NewTensorDatasetOf[*torch.Tensor](nil) }, "without a tensor"},
		"TensorDatasetFunc": {func() { data.NewTensorDatasetFunc[int](3, nil, nil) },
			"a function for a sample and one for a batch"},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(c.f)
			require.Error(t, err)
			require.Contains(t, fmt.Sprint(err), c.want)
		})
	}
}

// A random order for which there is no memory is an error that names the data set and its length; in order, and drawn
// with replacement, the data set is read.
func TestOrdersThatAreTooLong(t *testing.T) {
	for _, n := range []int{1e13, math.MaxInt / 8, math.MaxInt} {
		ds := lengthy{&n}
		for _, o := range []data.Options{{Shuffle: true}, {Shuffle: true, Workers: 2}, {Sampler: sampler.NewRandom(n)},
			{Sampler: sampler.NewDistributed(n, 2, 1)}} {
			_, err := pass(ctx, data.NewLoaderFunc(ds, 2, list, o))
			require.ErrorContains(t, err, "data set data_test.lengthy")
			require.ErrorContains(t, err, fmt.Sprintf("a random order of %d samples is drawn as a whole", n))
			require.ErrorContains(t, err, "Replacement: true")
		}
		err := torch.Try(func() { data.RandomSplit(ds, 1, 0.5, 0.5) })
		require.ErrorContains(t, err, fmt.Sprintf("a random order of %d samples", n))
		for _, o := range []data.Options{{},
			{Sampler: sampler.NewRandom(n, sampler.RandomOptions{Replacement: true, Samples: 64})}} {
			for b, err := range data.NewLoaderFunc(ds, 2, list, o).Batches(ctx) {
				require.NoError(t, err)
				require.Len(t, b, 2)
				break
			}
		}
	}
}
