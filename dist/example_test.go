package dist_test

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

// A rank that is a process, started by an engine that sets the variables which torchrun sets.
func ExampleNewGloo() {
	number := func(name string) int {
		n, _ := strconv.Atoi(os.Getenv(name))
		return n
	}
	ctx, rank, size := context.Background(), number("RANK"), number("WORLD_SIZE")
	store, err := dist.NewTCPStore(ctx, os.Getenv("MASTER_ADDR"), number("MASTER_PORT"),
		dist.TCPStoreOptions{Server: rank == 0})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	g, err := dist.NewGloo(ctx, store, rank, size)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	err = dist.Try(func() {
		sum := g.AllReduce(torch.Full(float64(rank), 1), dist.Sum)
		fmt.Println("the ranks' numbers add up to", sum.Item())
	})
	if err == nil {
		err = g.Leave()
	}
	if err != nil {
		fmt.Println(err)
	}
}

// Two reductions are on their way while the rank goes on.
func ExampleGroup_AllReduceAsync() {
	world := dist.NewLocalWorld(1)
	defer world.Close()
	torch.RunRank(func() {
		ctx := context.Background()
		g, err := world.Group(ctx, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer g.Close()
		a, b := torch.Ones(2), torch.Full(2, 2)
		works := []*dist.Work{g.AllReduceAsync(a, dist.Sum), g.AllReduceAsync(b, dist.Mean)}
		for _, w := range works {
			if err := w.Wait(ctx); err != nil {
				fmt.Println(err)
				return
			}
		}
		fmt.Println(a.Sum().Item(), b.Sum().Item())
	})
	// Output: 2 4
}
