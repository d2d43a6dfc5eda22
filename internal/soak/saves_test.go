package soak

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// saves makes the test binary a training that saves after each epoch, on so many goroutine ranks.
const saves = "SOAK_TEST_SAVES"

// epochs of the training, and the one after which memory counts as settled.
const epochs, settledAfter = 1000, 500

// A checkpoint after each epoch leaves nothing behind: the resident memory after epoch 500 grows by less than 2 %.
func TestSavingEachEpochHoldsMemoryFlat(t *testing.T) {
	for _, ranks := range []string{"1", "2"} {
		t.Run(ranks+" ranks", func(t *testing.T) {
			if _, err := resident(); err != nil {
				t.Skipf("no resident memory to read here: %v", err)
			}
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), saves+"="+ranks)
			c.Dir = t.TempDir()
			out, err := c.Output()
			require.NoError(t, err)
			var settled, end int
			_, err = fmt.Sscan(string(out), &settled, &end)
			require.NoError(t, err, string(out))
			grown := float64(end-settled) / float64(settled)
			t.Logf("resident memory: %d kB after %d epochs, %+.2f %% after %d", settled, settledAfter, 100*grown, epochs)
			require.Less(t, grown, 0.02)
		})
	}
}

type digits struct {
	nn.Base
	FC1, FC2 *nn.Linear
}

func (n *digits) Forward(x *torch.Tensor) *torch.Tensor {
	return n.FC2.Forward(F.ReLU(n.FC1.Forward(x)))
}

// save trains and saves, and prints the resident memory after settledAfter epochs and at the end, in kB.
func save(ranks string) {
	n, err := strconv.Atoi(ranks)
	cfg := lite.Config{Accelerator: "cpu"}
	if n > 1 {
		cfg.Strategy, cfg.Devices = "ddp_spawn", lite.Devices(ranks)
	}
	if err == nil {
		err = lite.Run(context.Background(), cfg, trainAndSave)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func trainAndSave(ctx context.Context, l *lite.Lite) error {
	net := &digits{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	// Activations of 32 KiB: of a size between those that have lists of a thread's own and those that malloc maps.
	loader, err := lite.SetupDataLoader(l,
		data.NewLoader(data.NewTensorDataset(torch.Randn(320, 784), torch.RandInt(0, 10, 320)), 64))
	if err != nil {
		return err
	}
	for epoch := range epochs {
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			opt.ZeroGrad()
			l.Backward(F.CrossEntropy(model.Forward(batch.Input), batch.Target))
			opt.Step()
		}
		if err := l.Save("last.pt", lite.State{"model": model, "optimizer": opt, "epoch": epoch}); err != nil {
			return err
		}
		if l.IsGlobalZero() && (epoch == settledAfter || epoch == epochs-1) {
			debug.FreeOSMemory()
			n, err := resident()
			if err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
	return nil
}
