package lite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

func init() { jobs["recorded"] = recordedRank }

// normal is the network with BatchNorm of the recorded cases of DistributedDataParallel.
type normal struct {
	nn.Base
	Conv1 *nn.Conv2d
	BN1   *nn.BatchNorm2d
	Conv2 *nn.Conv2d
	BN2   *nn.BatchNorm2d
	FC    *nn.Linear
}

func newNormal() *normal {
	return &normal{Conv1: nn.NewConv2d(1, 8, 3), BN1: nn.NewBatchNorm2d(8), Conv2: nn.NewConv2d(8, 16, 3), BN2: nn.NewBatchNorm2d(16), FC: nn.NewLinear(400, 10)}
}

func (m *normal) Run(x *torch.Tensor, _ int) *torch.Tensor {
	x = F.MaxPool2d(F.ReLU(m.BN1.Forward(m.Conv1.Forward(x))), 2)
	x = F.MaxPool2d(F.ReLU(m.BN2.Forward(m.Conv2.Forward(x))), 2)
	return m.FC.Forward(x.Flatten(1))
}

// forked is the one of which some parameters take no part in a step, and some in none.
type forked struct {
	nn.Base
	A, B, Never, Out *nn.Linear
}

func newForked() *forked {
	return &forked{A: nn.NewLinear(16, 16), B: nn.NewLinear(16, 16), Never: nn.NewLinear(16, 16), Out: nn.NewLinear(16, 10)}
}

func (m *forked) Run(x *torch.Tensor, step int) *torch.Tensor {
	branch := m.A
	if step%2 == 1 {
		branch = m.B
	}
	return m.Out.Forward(F.ReLU(branch.Forward(x)))
}

// recordedCase is a recorded case of DistributedDataParallel.
type recordedCase struct {
	Seed         uint64
	Model        string
	World, Steps int
	Join         bool
	Losses       []fixture.Floats `json:"losses,omitempty"`
}

// TestRanksArePyTorchs: models with BatchNorm, whose buffers are rank 0's, and with unused parameters train under lite, on
// processes and on goroutines, to the bits that PyTorch's own DistributedDataParallel over Gloo was recorded to come to.
func TestRanksArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "../ddp/testdata/ddp.json.gz")
	for _, name := range []string{"cnn", "cnn/join", "branches/find_unused", "branches/find_unused/join"} {
		for _, world := range []string{"2", "3"} {
			c := file.Case(t, name+"/"+world)
			var r recordedCase
			c.Decode(t, &r)
			for _, strategy := range strategies {
				if strings.HasPrefix(name, "branches") {
					if strategy == "ddp_spawn" {
						continue // the strategy for unused parameters is one of processes
					}
					strategy = "ddp_find_unused_parameters"
				}
				t.Run(c.Name+"/"+strategy, func(t *testing.T) { r.compare(t, c, strategy) })
			}
		}
	}
}

func (r recordedCase) compare(t *testing.T, c *fixture.Case, strategy string) {
	losses := r.Losses
	r.Losses = nil
	arg, err := json.Marshal(r)
	require.NoError(t, err)
	got := job{do: "recorded", arg: string(arg), strategy: strategy, ranks: r.World}.run(t)
	require.Len(t, got.Losses, r.World)
	for rank := range losses {
		c.EqualFloats(t, fmt.Sprintf("losses of rank %d", rank), losses[rank], got.Losses[rank])
	}
	require.Len(t, got.Tensors, len(c.Names("param."))+len(c.Names("buffer.")))
	for name, p := range got.Tensors {
		c.Equal(t, name, p)
	}
}

// recordedRank trains as its argument says.
func recordedRank(_ context.Context, l *lite.Lite) (got result, err error) {
	var r recordedCase
	if err := json.Unmarshal([]byte(os.Getenv(envArg)), &r); err != nil {
		return got, err
	}
	l.SeedEverything(r.Seed)
	if r.Model == "cnn" {
		net := newNormal()
		return trainRecorded(l, r, net, net.Run, 8, 1, 28, 28)
	}
	net := newForked()
	return trainRecorded(l, r, net, net.Run, 8, 16)
}

func trainRecorded[M nn.Module](l *lite.Lite, r recordedCase, net M, run func(*torch.Tensor, int) *torch.Tensor, shape ...int) (got result, err error) {
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	model, err := lite.Setup(l, net, run, opt)
	if err != nil {
		return got, err
	}
	in := torch.Options{Generator: torch.NewGenerator(100 + uint64(l.GlobalRank()))}
	var losses []float64
	loop := func(steps int) {
		for n := range steps {
			torch.Scope(func() {
				x, y := in.Randn(shape...), in.RandInt(0, 10, 8)
				opt.ZeroGrad()
				loss := F.CrossEntropy(model.Forward(x, n), y)
				l.Backward(loss)
				opt.Step()
				losses = append(losses, loss.Item())
			})
		}
	}
	if r.Join {
		l.Join(model, func() { loop(3 + 2*l.GlobalRank()) })
	} else {
		loop(r.Steps)
	}
	got.Losses = lite.AllGather(l, losses)
	got.Tensors = map[string]fixture.Tensor{}
	for name, p := range nn.NamedParameters(net) {
		got.Tensors["param."+name] = bits(p.Tensor)
		for rank, other := range lite.AllGather(l, p.ToBytes()) {
			if string(other) != string(p.ToBytes()) {
				return got, fmt.Errorf("%s differs between rank %d and rank %d", name, l.GlobalRank(), rank)
			}
		}
	}
	for name, b := range nn.NamedBuffers(net) {
		for rank, part := range dist.AllGatherValues(l.Group(), b.ToBytes()) {
			one := bits(b.Tensor)
			one.Data = part
			got.Tensors[fmt.Sprintf("buffer.%d.%s", rank, name)] = one
		}
	}
	return got, nil
}
