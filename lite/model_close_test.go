package lite_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// fold sets a model up and makes a step. Its optimizer is set up with it or after it.
func fold(l *lite.Lite, net *stack, after bool) (*lite.Net[*stack], optim.Optimizer, error) {
	opt := optim.NewAdam(nn.Parameters(net), 0.01)
	var with []optim.Optimizer
	if !after {
		with = append(with, opt)
	}
	model, err := lite.Setup(l, net, net.Forward, with...)
	if err == nil && after {
		err = l.SetupOptimizers(opt)
	}
	if err != nil {
		return nil, nil, err
	}
	return model, opt, torch.Try(func() { foldStep(l, model, opt) })
}

func foldStep(l *lite.Lite, model *lite.Net[*stack], opt optim.Optimizer) {
	torch.Scope(func() {
		opt.ZeroGrad()
		l.Backward(model.Forward(rowsOf(l, 0)).Pow(2).Mean())
		opt.Step()
	})
}

// TestModelsThatComeAndGo: a run keeps nothing of models that were closed, and goes on with the others.
func TestModelsThatComeAndGo(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		t.Run(fmt.Sprint(ranks), func(t *testing.T) {
			require.NoError(t, spawn(t, lite.DDPSpawn{FindUnusedParameters: true}, ranks, func(l *lite.Lite) error {
				kept, keptOpt, err := fold(l, newStack(), false)
				if err != nil {
					return err
				}
				for n := range 40 {
					model, _, err := fold(l, newStack(), n%2 == 0)
					if err != nil {
						return err
					}
					model.Close()
					model.Close() // once more does nothing
					foldStep(l, kept, keptOpt)
				}
				// A model has 4 parameters, their gradients and Adam's 2 moments and count of each: 40 of them 800 tensors.
				most := 200 * ranks
				return settled(l, most)
			}))
		})
	}
}

// settled waits until no more tensors live than most.
func settled(l *lite.Lite, most int) error {
	var live int
	for range 100 {
		runtime.GC()
		if live = torch.LiveTensors(); live <= most {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("rank %d: %d tensors live, want %d at most", l.GlobalRank(), live, most)
}

// TestSetupAfterClose: a module and its optimizers may be set up again, and ranks stay equal. An optimizer with parameters
// of two models stays with the other one, and Step refuses those of the closed one.
func TestSetupAfterClose(t *testing.T) {
	for _, ranks := range []int{1, 2} {
		t.Run(fmt.Sprint(ranks), func(t *testing.T) {
			require.NoError(t, spawn(t, lite.DDPSpawn{}, ranks, func(l *lite.Lite) error {
				net := newStack()
				model, opt, err := fold(l, net, false)
				if err != nil {
					return err
				}
				model.Close()
				if model, err = lite.Setup(l, net, net.Forward, opt); err != nil {
					return err
				}
				for range 3 {
					foldStep(l, model, opt)
				}
				if err := alike(l, net.bits()); err != nil {
					return err
				}

				other := newStack()
				both := optim.NewSGD(append(nn.Parameters(newStack()), nn.Parameters(other)...), 0.1)
				second, err := lite.Setup(l, other, other.Forward, both)
				if err != nil {
					return err
				}
				second.Close()
				if err := l.SetupOptimizers(both); err == nil {
					return fmt.Errorf("an optimizer of other parameters was taken out of the run")
				}
				if ranks == 1 {
					return nil
				}
				other.Forward(rowsOf(l, 0)).Sum().Backward()
				err = torch.Try(both.Step)
				if err == nil {
					return fmt.Errorf("gradients of a closed model were not refused")
				}
				return nil
			}))
		})
	}
	on(t, lite.Config{}, func(*lite.Lite) {
		var none *lite.Net[*line]
		require.ErrorContains(t, torch.Try(none.Close), "was not set up")
	})
}
