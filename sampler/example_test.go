package sampler_test

import (
	"fmt"
	"slices"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

func ExampleNewRandom() {
	s := sampler.NewRandom(5, sampler.RandomOptions{Generator: torch.NewGenerator(1)})
	order := slices.Collect(s.Indices())
	slices.Sort(order)
	fmt.Println(order, "in another order each pass")
	// Output: [0 1 2 3 4] in another order each pass
}

func ExampleNewBatch() {
	for batch := range sampler.NewBatch(sampler.NewSequential(5), 2, false).Batches() {
		fmt.Println(batch)
	}
	// Output:
	// [0 1]
	// [2 3]
	// [4]
}

func ExampleNewDistributed() {
	for rank := range 2 {
		s := sampler.NewDistributed(5, 2, rank, sampler.DistributedOptions{NoShuffle: true})
		fmt.Println(slices.Collect(s.Indices()))
	}
	// Output:
	// [0 2 4]
	// [1 3 0]
}
