package lite_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func init() {
	jobs["evaluates"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, evaluates(ctx, l) }
}

// TestEvaluationMakesNoCollectives: a model with buffers, which a training step would broadcast, is evaluated on parts of
// which one is larger, with gradients and without, and trains on as before.
func TestEvaluationMakesNoCollectives(t *testing.T) {
	onBoth(t, "evaluates", 2)
}

func evaluates(ctx context.Context, l *lite.Lite) error {
	l.SeedEverything(1)
	net := newNormal()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	model, err := lite.Setup(l, net, net.Run, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(7), 1), lite.LoaderOptions{Exact: true})
	if err != nil {
		return err
	}
	in := torch.Options{Generator: torch.NewGenerator(uint64(l.GlobalRank()))}
	train := func() {
		torch.Scope(func() {
			model.Train()
			opt.ZeroGrad()
			l.Backward(model.Forward(in.Randn(4, 1, 28, 28), 0).Pow(2).Mean())
			opt.Step()
			model.Eval()
		})
	}
	train()
	before := net.BN1.RunningMean.ToBytes()
	for name, forward := range map[string]func(x *torch.Tensor){
		"without gradients": func(x *torch.Tensor) { torch.NoGrad(func() { model.Forward(x, 0) }) },
		"with gradients":    func(x *torch.Tensor) { model.Forward(x, 0) },
		"with a backward pass": func(x *torch.Tensor) { // as for a map of what an image's pixels count for
			l.Backward(model.Forward(x.RequiresGrad_(true), 0).Sum())
			if x.Grad() == nil {
				torch.Fail("evaluates", "no gradient came back")
			}
		},
	} {
		seen := 0
		l.Group().Trace(100)
		for _, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			forward(in.Randn(1, 1, 28, 28))
			seen++
		}
		if calls := l.Group().Trace(0); len(calls) > 0 {
			return fmt.Errorf("%s: %d collectives, the first %s", name, len(calls), calls[0].What)
		}
		if err := same(name, []int{4, 3}, lite.AllGather(l, seen)); err != nil {
			return err
		}
	}
	if err := same("the running mean", before, net.BN1.RunningMean.ToBytes()); err != nil {
		return err
	}
	train()
	for rank, other := range lite.AllGather(l, net.FC.Weight.ToBytes()) {
		if string(other) != string(net.FC.Weight.ToBytes()) {
			return fmt.Errorf("after a step the weights of rank %d and rank %d differ", l.GlobalRank(), rank)
		}
	}
	return nil
}
