package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/datasets/mnist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
)

// asProgram makes the test binary the program itself: for ranks that are processes.
const asProgram = "VALIDATION_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// saved writes a checkpoint of a linear layer whose weights are the classes' mean images, and computes its metrics here:
// in one batch, without a loader.
func saved(t *testing.T) (path string, want Metrics) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "linear.pt")
	cfg := lite.Config{Output: io.Discard}
	require.NoError(t, lite.Run(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := nn.NewSequential(nn.NewLinear(784, 10))
		train, test := whole(t, mnist.Train()), whole(t, mnist.Test())
		torch.NoGrad(func() {
			of := F.OneHot(train.Target, 10).To(torch.Float32)
			means := of.T().MatMul(train.Input.View(-1, 784)).Div(of.Sum(0).Unsqueeze(1))
			layer := net.At(0).(*nn.Linear)
			layer.Weight.Copy_(means)
			layer.Bias.Copy_(means.Pow(2).Sum(1).MulScalar(-0.5)) // the nearest mean has the highest score
			scores := net.Forward(test.Input.View(-1, 784))
			n := float64(test.Input.Size(0))
			want.Loss = F.CrossEntropy(scores.To(torch.Float64), test.Target, F.CrossEntropyOptions{Reduction: F.Sum}).Item() / n
			want.Accuracy = float32(scores.ArgMax(-1).Eq(test.Target).Sum().Item() / n)
		})
		return l.Save(path, lite.State{"model": net})
	}))
	return path, want
}

func whole(t *testing.T, ds *data.TensorDataset[data.Example]) data.Example {
	t.Helper()
	at := make([]int, ds.Len())
	for i := range at {
		at[i] = i
	}
	all, err := ds.Batch(t.Context(), at)
	require.NoError(t, err)
	return all
}

// The metrics are of the whole set and the same, whatever the number of ranks: 10,000 samples are divided by 2 without
// a rest, and by 3 with one.
func TestTheSameMetricsOnAnyNumberOfRanks(t *testing.T) {
	path, want := saved(t)
	require.InDelta(t, 0.82, want.Accuracy, 0.02)
	for _, devices := range []lite.Devices{"1", "2", "3"} {
		t.Run(string(devices), func(t *testing.T) {
			cfg := lite.Config{Accelerator: "cpu", Strategy: "ddp_spawn", Devices: devices}
			got, err := lite.RunValue(t.Context(), cfg, func(ctx context.Context, l *lite.Lite) (Metrics, error) {
				return run(ctx, l, path)
			})
			require.NoError(t, err)
			require.Equal(t, want.Accuracy, got.Accuracy)
			require.InEpsilon(t, want.Loss, got.Loss, 1e-6) // the loss of a batch is summed in 32 bits
		})
	}
}

// The program itself starts three processes, and rank 0's metrics come out of the first.
func TestProcesses(t *testing.T) {
	path, want := saved(t)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "-checkpoint", path)
	c.Env = append(os.Environ(), asProgram+"=1")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	text := regexp.MustCompile(`loss [0-9.]+, accuracy [0-9.]+ %`).FindAllString(string(out), -1)
	require.Len(t, text, 1, string(out))
	require.Equal(t, fmt.Sprintf("loss %.4f, accuracy %.2f %%", want.Loss, 100*want.Accuracy), text[0])
}
