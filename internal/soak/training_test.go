package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// trains makes the test binary the training of the model that the variable names.
const trains = "SOAK_TEST_TRAINS"

// trainedSteps is how many the peak of all steps is taken over; PyTorch's is that of its first few, which does not rise
// later.
const trainedSteps = 20

// Training needs the memory that PyTorch's does, in the first step as in a later one: what a forward pass has dropped
// is gone before it would raise the peak. The model, its gradients and the optimizer's state count on both sides.
func TestTrainingPeaksAtPyTorchs(t *testing.T) {
	var recorded struct{ First, Peak map[string]int64 }
	text, err := os.ReadFile("testdata/training.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &recorded))
	require.Len(t, recorded.First, len(trained))
	for name := range trained {
		t.Run(name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), trains+"="+name)
			out, err := c.Output()
			require.NoError(t, err)
			var first, peak int64
			_, err = fmt.Sscan(string(out), &first, &peak)
			require.NoError(t, err, string(out))
			for _, p := range []struct {
				what         string
				ours, theirs int64
			}{{"the first step", first, recorded.First[name]}, {"all steps", peak, recorded.Peak[name]}} {
				ratio := float64(p.ours) / float64(p.theirs)
				t.Logf("%s: %.1f MiB, PyTorch's %.1f: %.3f", p.what, float64(p.ours)/(1<<20), float64(p.theirs)/(1<<20), ratio)
				require.Less(t, ratio, 1.02, p.what)
			}
		})
	}
}

// train prints by how many bytes tensors peaked above where they stood before the model was made, in the first step and
// in all.
func train(name string) {
	torch.ManualSeed(1)
	before := torch.Memory(true).Live
	net, x := trained[name]()
	y := torch.Options{DType: torch.Int64}.Zeros(x.Size(0))
	opt := optim.NewAdamW(nn.Parameters(net), 1e-3)
	var first int64
	for step := range trainedSteps {
		torch.Scope(func() {
			opt.ZeroGrad()
			F.NLLLoss(net.Forward(x), y).Backward()
			opt.Step()
		})
		if step == 0 {
			first = torch.Memory(false).Peak - before
		}
	}
	fmt.Println(first, torch.Memory(false).Peak-before)
}

var trained = map[string]func() (nn.Layer, *torch.Tensor){
	"cnn": func() (nn.Layer, *torch.Tensor) {
		net, _ := cnn()
		return net, torch.Zeros(128, 1, 28, 28)
	},
	"transformer": func() (nn.Layer, *torch.Tensor) {
		layer := nn.NewTransformerEncoderLayer(64, 4, nn.TransformerOptions{DimFeedforward: 256, BatchFirst: true})
		return &classifier{Body: nn.NewTransformerEncoder(layer, 2), Out: nn.NewLinear(64, 10)}, torch.Zeros(4, 512, 64)
	},
	"lstm": func() (nn.Layer, *torch.Tensor) {
		body := nn.NewLSTM(128, 128, nn.RNNOptions{NumLayers: 2, Dropout: 0.2, BatchFirst: true})
		return &recurrent{Body: body, Out: nn.NewLinear(128, 1000)}, torch.Zeros(32, 128, 128)
	},
}

// classifier is a transformer whose attention weights are its largest activations.
type classifier struct {
	nn.Base
	Body *nn.TransformerEncoder
	Out  *nn.Linear
}

func (c *classifier) Forward(x *torch.Tensor) *torch.Tensor {
	return F.LogSoftmax(c.Out.Forward(c.Body.Forward(x)).Mean(1), -1)
}

type recurrent struct {
	nn.Base
	Body *nn.LSTM
	Out  *nn.Linear
}

func (r *recurrent) Forward(x *torch.Tensor) *torch.Tensor {
	x, _, _ = r.Body.Forward(x)
	return F.LogSoftmax(r.Out.Forward(x).Mean(1), -1)
}
