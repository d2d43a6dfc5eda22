package nn

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func TestSnake(t *testing.T) {
	for name, want := range map[string]string{
		"FC1": "fc1", "QKV": "qkv", "InProj": "in_proj", "BN1": "bn1", "LayerNorm2": "layer_norm2",
		"RunningMean": "running_mean",
		"QKVProj":     "qkv_proj", "L1Norm": "l1_norm", "Conv2D": "conv2d", "convIn": "conv_in", "Pos": "pos", "fc1": "fc1",
		"MLP":               "mlp",
		"NumBatchesTracked": "num_batches_tracked", "W": "w", "in_proj": "in_proj",
	} {
		require.Equal(t, want, snake(name), name)
	}
}

type mlp struct {
	Base
	FC1, FC2 *Linear
}

func newMLP() *mlp { return &mlp{FC1: NewLinear(4, 3), FC2: NewLinear(3, 2)} }

func (n *mlp) Forward(x *torch.Tensor) *torch.Tensor { return n.FC2.Forward(F.ReLU(n.FC1.Forward(x))) }

func keys(m Module) []string { return StateDict(m).Keys() }

func TestMLP(t *testing.T) {
	net := newMLP()
	require.Equal(t, []string{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}, keys(net))
	require.Len(t, Parameters(net), 4)
	require.Equal(t, 4*3+3+3*2+2, CountParameters(net))
	out := net.Forward(torch.Ones(5, 4))
	require.Equal(t, []int{5, 2}, out.Shape())
	F.CrossEntropy(out, torch.Options{DType: torch.Int64}.Zeros(5)).Backward()
	require.Equal(t, []int{3, 4}, net.FC1.Weight.Grad().Shape())
	ZeroGrad(net)
	require.Nil(t, net.FC1.Weight.Grad())
}
