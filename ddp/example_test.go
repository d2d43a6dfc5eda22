package ddp_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Two goroutines train one model, each with data of its own, and see the same parameters.
func Example() {
	hub := ddp.NewHub(2)
	defer hub.Close()
	var all sync.WaitGroup
	for rank := range hub.Size() {
		all.Go(func() {
			torch.Root(func() {
				if err := train(context.Background(), hub, rank); err != nil {
					fmt.Println(err)
				}
			})
		})
	}
	all.Wait()
	// Output: the weight is 3.00 on all ranks
}

// train learns to multiply by 3.
func train(ctx context.Context, hub *ddp.Hub, rank int) error {
	g, err := hub.Group(ctx, rank)
	if err != nil {
		return err
	}
	defer g.Close()
	net := nn.NewLinear(1, 1, nn.LinearOptions{NoBias: true})
	model, err := ddp.Wrap(ctx, g, net) // rank 0's parameters are everybody's now
	if err != nil {
		return err
	}
	defer model.Close()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	err = ddp.Try(func() {
		x := torch.From([]float32{float32(1 + rank)}, 1, 1)
		y := x.MulScalar(3)
		for range 50 {
			opt.ZeroGrad()
			out := model.Forward(func() *torch.Tensor { return net.Forward(x) })
			g.Guard(func() { out.Sub(y).Square().Sum().Backward() })
			opt.Step()
		}
		weights := ddp.AllGatherValues(g, float64(int(net.Weight.Item()*100+0.5))/100)
		if rank == 0 && weights[0] == weights[1] {
			fmt.Printf("the weight is %.2f on all ranks\n", weights[0])
		}
	})
	if err != nil {
		g.Abort(err.Error()) // the others wait for this rank
		return err
	}
	return g.Leave()
}

// A rank that is a process, started by an engine that sets the variables which torchrun sets.
func ExampleNewGloo() {
	number := func(name string) int {
		n, _ := strconv.Atoi(os.Getenv(name))
		return n
	}
	ctx, rank, size := context.Background(), number("RANK"), number("WORLD_SIZE")
	store, err := ddp.NewTCPStore(ctx, os.Getenv("MASTER_ADDR"), number("MASTER_PORT"), ddp.TCPStoreOptions{Server: rank == 0})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	g, err := ddp.NewGloo(ctx, store, rank, size)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	err = ddp.Try(func() {
		sum := g.AllReduce(torch.Full(float64(rank), 1), ddp.Sum)
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
	hub := ddp.NewHub(1)
	defer hub.Close()
	torch.Root(func() {
		ctx := context.Background()
		g, err := hub.Group(ctx, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer g.Close()
		a, b := torch.Ones(2), torch.Full(2, 2)
		works := []*ddp.Work{g.AllReduceAsync(a, ddp.Sum), g.AllReduceAsync(b, ddp.Mean)}
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
