// Package permutation draws random orders of indices, for package sampler and data.RandomSplit.
package permutation

import (
	"fmt"

	"github.com/golite/golite/torch"
)

// Most is how many indices an order may have at most: a process has 128 TiB of addresses, and an index takes 8 bytes.
const Most = 1 << 44

// many is how many indices take a GiB. An order of so many fails for want of memory.
const many = 1 << 27

// Draw returns the numbers from 0 to n-1 in a random order (torch.randperm). It panics with a *torch.Error, by the name
// of operation, where there is no memory for so many.
func Draw[N int | int64](operation string, n int, g *torch.Generator) (order []N) {
	if n > Most {
		torch.Fail(operation, "%v", TooLong(n))
	}
	torch.Scope(func() {
		var drawn *torch.Tensor
		draw := func() { drawn = torch.Options{Generator: g}.RandPerm(n) }
		if n < many {
			draw()
		} else if err := torch.Try(draw); err != nil {
			torch.Fail(operation, "%v", TooLong(n))
		}
		order = torch.ToSlice[N](drawn)
	})
	return order
}

// TooLong returns the error of an order for which there is no memory.
func TooLong(n int) error {
	return fmt.Errorf("a random order of %d samples is drawn as a whole, and there is no memory for its %.3g GB: draw "+
		"single samples with replacement, as sampler.NewRandom(%d, sampler.RandomOptions{Replacement: true, "+
		"Samples: ...}) does, or write a sampler.Sampler that computes its order", n, 8*float64(n)/1e9, n)
}
