package ddp_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Two goroutines train one model, each with data of its own, and see the same parameters.
func Example() {
	world := dist.NewLocalWorld(2)
	defer world.Close()
	var all sync.WaitGroup
	for rank := range world.Size() {
		all.Go(func() {
			torch.RunRank(func() {
				if err := train(context.Background(), world, rank); err != nil {
					fmt.Println(err)
				}
			})
		})
	}
	all.Wait()
	// Output: the weight is 3.00 on all ranks
}

// train learns to multiply by 3.
func train(ctx context.Context, world *dist.LocalWorld, rank int) error {
	g, err := world.Group(ctx, rank)
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
	err = dist.Try(func() {
		x := torch.From([]float32{float32(1 + rank)}, 1, 1)
		y := x.MulScalar(3)
		for range 50 {
			opt.ZeroGrad()
			out := model.Forward(func() *torch.Tensor { return net.Forward(x) })
			g.TranslateErrors(func() { out.Sub(y).Square().Sum().Backward() })
			opt.Step()
		}
		weights := dist.AllGatherValues(g, float64(int(net.Weight.Item()*100+0.5))/100)
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
