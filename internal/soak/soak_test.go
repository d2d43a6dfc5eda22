package soak

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// rss is the process's resident memory in kB.
func rss(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status here to read the resident memory from")
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return n
		}
	}
	t.Fatal("no VmRSS in /proc/self/status")
	return 0
}

// 100,000 steps without one manual free: the resident memory after step 20,000 grows by less than 2 %.
func TestTrainingHoldsMemoryFlat(t *testing.T) {
	steps := 100_000
	if testing.Short() {
		steps = 25_000
	}
	torch.ManualSeed(1)
	net := nn.NewSequential(nn.NewLinear(16, 32), nn.NewReLU(), nn.NewDropout(0.1), nn.NewLinear(32, 4))
	opt := optim.NewSGD(nn.Parameters(net), 0.01, optim.SGDOptions{Momentum: 0.9})
	x, y := torch.Randn(32, 16), torch.RandInt(0, 4, 32)
	settled, tensors := 0, 0
	for step := range steps {
		torch.Scope(func() {
			opt.ZeroGrad()
			loss := F.CrossEntropy(net.Forward(x), y)
			loss.Backward()
			opt.Step()
		})
		if step == 20_000 {
			runtime.GC()
			settled, tensors = rss(t), torch.LiveTensors()
		}
	}
	runtime.GC()
	require.LessOrEqual(t, torch.LiveTensors(), tensors)
	grown := float64(rss(t)-settled) / float64(settled)
	t.Logf("resident memory: %d kB at step 20,000, %+.2f %% after %d", settled, 100*grown, steps)
	require.Less(t, grown, 0.02)
}

// Evaluation of a deep net in one long scope, without gradients: the peak is near what must be alive at once (the
// weights, the input, and an operation's input and output), as it is in PyTorch, where each activation goes when its
// last reference does.
func TestEvaluationPeaksNearWhatIsAlive(t *testing.T) {
	const width, batch, layers = 1024, 2048, 20
	var list []nn.Layer
	for range layers {
		list = append(list, nn.NewLinear(width, width), nn.NewReLU())
	}
	net := nn.NewSequential(list...)
	nn.Eval(net)
	x := torch.Randn(batch, width)
	before := torch.Memory(true)
	torch.Scope(func() {
		torch.NoGrad(func() {
			for range 2 {
				require.Equal(t, []int{batch, width}, net.Forward(x).Shape())
			}
		})
	})
	alive := before.Live + 2*4*batch*width
	peak := torch.Memory(false).Peak
	t.Logf("alive at once %d MiB, peak %d MiB: %.2f", alive>>20, peak>>20, float64(peak)/float64(alive))
	require.Less(t, float64(peak), 1.3*float64(alive))
}
