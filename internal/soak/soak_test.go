package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime/debug"
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

// evaluates makes the test binary the evaluation of the model that the variable names.
const evaluates = "SOAK_TEST_EVALUATES"

func TestMain(m *testing.M) {
	if name := os.Getenv(evaluates); name != "" {
		evaluate(name)
		return
	}
	if ranks := os.Getenv(saves); ranks != "" {
		save(ranks)
		return
	}
	if name := os.Getenv(trains); name != "" {
		train(name)
		return
	}
	fixture.Main(m)
}

// rss is the process's resident memory in kB.
func rss(t *testing.T) int {
	t.Helper()
	n, err := resident()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no /proc/self/status here to read the resident memory from")
	}
	require.NoError(t, err)
	return n
}

// resident reads the process's resident memory, in kB.
func resident() (int, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, errors.New("no VmRSS in /proc/self/status")
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
			debug.FreeOSMemory() // whether Go has just given its free pages back is worth 2 % alone
			settled, tensors = rss(t), torch.LiveTensors()
		}
	}
	debug.FreeOSMemory()
	require.LessOrEqual(t, torch.LiveTensors(), tensors)
	grown := float64(rss(t)-settled) / float64(settled)
	t.Logf("resident memory: %d kB at step 20,000, %+.2f %% after %d", settled, 100*grown, steps)
	require.Less(t, grown, 0.02)
}

// Evaluation in one long scope, without gradients: what is alive peaks near what PyTorch holds at most, where each
// activation goes when its last reference does. The weights and the input count on both sides.
func TestEvaluationPeaksNearPyTorchs(t *testing.T) {
	var recorded struct {
		Batches int
		Peak    map[string]int64
	}
	text, err := os.ReadFile("testdata/memory.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &recorded))
	require.Len(t, recorded.Peak, len(models))
	require.Equal(t, batches, recorded.Batches)
	for name := range models {
		t.Run(name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), evaluates+"="+name)
			out, err := c.Output()
			require.NoError(t, err)
			var held, more int64
			_, err = fmt.Sscan(string(out), &held, &more)
			require.NoError(t, err, string(out))
			ours, pytorchs := held+more, held+recorded.Peak[name]
			t.Logf("peak %d MiB, PyTorch's %d MiB: %.2f", ours>>20, pytorchs>>20, float64(ours)/float64(pytorchs))
			require.Less(t, float64(ours), 1.3*float64(pytorchs))
		})
	}
}

// batches is how many PyTorch was measured with.
const batches = 4

// evaluate prints the bytes of a model and its input, and by how many more tensors peak meanwhile. It is a process's
// only work: the allocator has no blocks of other sizes that it could give.
func evaluate(name string) {
	net, x := models[name]()
	nn.Eval(net)
	held := x.StorageBytes()
	for _, p := range nn.Parameters(net) {
		held += p.StorageBytes()
	}
	before := torch.Memory(true).Live
	torch.Scope(func() {
		torch.NoGrad(func() {
			for range batches {
				net.Forward(x)
			}
		})
	})
	fmt.Println(held, torch.Memory(false).Peak-before)
}

var models = map[string]func() (nn.Layer, *torch.Tensor){"tower": tower, "cnn": cnn, "transformer": transformer}

func tower() (nn.Layer, *torch.Tensor) {
	body := nn.NewSequential()
	for range 20 {
		body.Append(nn.NewLinear(1024, 1024), nn.NewReLU())
	}
	return body, torch.Zeros(2048, 1024)
}

func cnn() (nn.Layer, *torch.Tensor) {
	return nn.NewSequential(
		nn.NewConv2d(1, 32, 3), nn.NewReLU(), nn.NewConv2d(32, 64, 3), nn.NewReLU(), nn.NewMaxPool2d(2), nn.NewDropout(0.25),
		nn.NewFlatten(),
		nn.NewLinear(9216, 128), nn.NewReLU(), nn.NewDropout(0.5), nn.NewLinear(128, 10), nn.NewLogSoftmax(1),
	), torch.Zeros(256, 1, 28, 28)
}

// encoder is a TransformerEncoder as a layer: it has no mask.
type encoder struct {
	nn.Base
	Body *nn.TransformerEncoder
}

func (e *encoder) Forward(x *torch.Tensor) *torch.Tensor { return e.Body.Forward(x) }

func transformer() (nn.Layer, *torch.Tensor) {
	layer := nn.NewTransformerEncoderLayer(128, 4, nn.TransformerOptions{DimFeedforward: 512, BatchFirst: true})
	return &encoder{Body: nn.NewTransformerEncoder(layer, 4)}, torch.Zeros(256, 64, 128)
}
