package data_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// squares is a data set of one's own: sample i is the number i and its square.
type squares int

func (n squares) Len() int { return int(n) }
func (squares) Get(_ context.Context, i int) (data.Example, error) {
	return data.Example{Input: torch.From([]int{i}), Target: torch.From([]int{i * i})}, nil
}

func ExampleNewLoader() {
	loader := data.NewLoader(squares(5), 2, data.Options{Workers: 2})
	for batch, err := range loader.Batches(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(batch.Input.Shape(), torch.ToSlice[int64](batch.Target.View(-1)))
	}
	// Output:
	// [2 1] [0 1]
	// [2 1] [4 9]
	// [1 1] [16]
}

// Samples of different lengths make a batch that is padded.
func ExampleNewLoaderFunc() {
	words := [][]int{{7}, {1, 2, 3}, {4, 5}}
	pad := func(samples []int) (batch [][]int, err error) {
		for _, i := range samples {
			batch = append(batch, append(words[i], make([]int, 3-len(words[i]))...))
		}
		return batch, nil
	}
	for batch, err := range data.NewLoaderFunc(numbers(len(words)), 2, pad).Batches(context.Background()) {
		fmt.Println(batch, err)
	}
	// Output:
	// [[7 0 0] [1 2 3]] <nil>
	// [[4 5 0]] <nil>
}

// lines is a stream.
type lines []int

func (l lines) Samples(context.Context) iter.Seq2[*torch.Tensor, error] {
	return func(yield func(*torch.Tensor, error) bool) {
		for _, x := range l {
			if !yield(torch.From([]int{x}), nil) {
				return
			}
		}
	}
}

func ExampleNewIterableLoader() {
	for batch, err := range data.NewIterableLoader[*torch.Tensor](lines{3, 1, 4}, 2).Batches(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(torch.ToSlice[int64](batch.View(-1)))
	}
	// Output:
	// [3 1]
	// [4]
}

func ExampleNewTensorDatasetOf() {
	type sentence struct{ Words, Mask *torch.Tensor }
	ds := data.NewTensorDatasetOf(sentence{torch.Zeros(10, 7), torch.Ones(10, 7)})
	batch, err := ds.Batch(context.Background(), []int{8, 2, 5})
	fmt.Println(batch.Words.Shape(), batch.Mask.Shape(), err)
	// Output: [3 7] [3 7] <nil>
}

func ExampleRandomSplit() {
	parts := data.RandomSplit(squares(10), 42, 0.8, 0.2)
	fmt.Println(parts[0].Len(), parts[1].Len(), parts[1].Indices())
	// Output: 8 2 [3 7]
}

func ExampleMap() {
	halves := data.Map(numbers(4), func(_ context.Context, n int) (float64, error) { return float64(n) / 2, nil })
	half, err := halves.Get(context.Background(), 3)
	fmt.Println(half, err)
	// Output: 1.5 <nil>
}

func ExampleZip() {
	list := func(samples []int) ([]int, error) { return samples, nil }
	labelled := data.NewLoaderFunc(numbers(4), 2, list)
	unlabelled := data.NewLoaderFunc(numbers(9), 3, list)
	for pair, err := range data.Zip(labelled, unlabelled).Batches(context.Background()) {
		fmt.Println(pair.First, pair.Second, err)
	}
	// Output:
	// [0 1] [0 1 2] <nil>
	// [2 3] [3 4 5] <nil>
}
