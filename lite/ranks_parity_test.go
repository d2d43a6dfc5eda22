package lite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
)

func init() { jobs["curve"] = curveRank }

// rankCurve is a recorded curve of Fabric's ddp.
type rankCurve struct {
	Seed                        uint64
	Precision, Model, Optimizer string
	World, Steps, Accumulate    int
	Losses                      []fixture.Floats   `json:"losses,omitempty"`
	Clip                        map[string]float64 `json:"clip,omitempty"`
}

func (r rankCurve) arg(t *testing.T) string {
	r.Losses = nil
	text, err := json.Marshal(r)
	require.NoError(t, err)
	return string(text)
}

// TestRanksAreFabrics trains on two and three ranks, goroutines and processes, as Fabric's ddp over Gloo was recorded to:
// every loss of every rank, the parameters and the order of samples are the same, bit for bit.
func TestRanksAreFabrics(t *testing.T) {
	file := fixture.Open(t, "testdata/fabric_ddp.json.gz")
	require.Len(t, file.Cases, 10)
	for _, c := range file.Cases {
		var r rankCurve
		c.Decode(t, &r)
		for _, strategy := range strategies {
			t.Run(c.Name+"/"+strategy, func(t *testing.T) {
				got := job{do: "curve", arg: r.arg(t), strategy: strategy, ranks: r.World, env: []string{"LITE_PRECISION=" + r.Precision}}.run(t)
				require.Len(t, got.Losses, r.World)
				for rank, losses := range got.Losses {
					c.EqualFloats(t, fmt.Sprintf("losses of rank %d", rank), r.Losses[rank], losses)
				}
				require.Len(t, got.Tensors, len(c.Tensors))
				for name, p := range got.Tensors {
					c.Equal(t, name, p)
				}
			})
		}
	}
}

// curveRank trains as its argument says. The recording's dropout draws from the default generator, alike on all ranks.
func curveRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	var r rankCurve
	if err := json.Unmarshal([]byte(os.Getenv(envArg)), &r); err != nil {
		return got, err
	}
	l.SeedEverything(r.Seed)
	net := build(r.Model)
	opt := optimizer(r.Optimizer, net)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	loader, err := lite.SetupDataLoader(l, digits(64, data.Options{}))
	if err != nil {
		return got, err
	}
	model.Train()
	accumulate := max(1, r.Accumulate)
	var losses []float64
	for batch, err := range loader.Batches(ctx) {
		if err != nil {
			return got, err
		}
		first, last := len(losses)%accumulate == 0, (len(losses)+1)%accumulate == 0
		if first {
			opt.ZeroGrad()
		}
		l.NoBackwardSync(model, !last, func() {
			loss := net.Loss(model.Forward(batch.Input), batch.Target)
			losses = append(losses, loss.Item())
			if accumulate > 1 {
				loss = loss.DivScalar(float64(accumulate))
			}
			l.Backward(loss)
		})
		if v, ok := r.Clip["max_norm"]; ok && last {
			l.ClipGradNorm(model, opt, v)
		}
		if last {
			opt.Step()
		}
		if len(losses) == r.Steps*accumulate {
			break
		}
	}
	return curveResult(l, net, loader, losses)
}

// curveResult collects what all ranks have, and refuses parameters that differ.
func curveResult(l *lite.Lite, net nn.Module, loader *data.Loader[data.Example], losses []float64) (got result, err error) {
	got.Losses = lite.AllGather(l, losses)
	got.Tensors = map[string]fixture.Tensor{}
	for name, p := range nn.StateDict(net).All() {
		got.Tensors["param."+name] = bits(p)
		for rank, other := range lite.AllGather(l, p.ToBytes()) {
			if string(other) != string(p.ToBytes()) {
				return got, fmt.Errorf("%s differs between rank %d and rank %d", name, l.GlobalRank(), rank)
			}
		}
	}
	var order []int64
	for i := range loader.BatchSampler().(*sampler.Batch).Sampler().Indices() {
		if order = append(order, int64(i)); len(order) == 128 {
			break
		}
	}
	for rank, indices := range lite.AllGather(l, order) {
		got.Tensors[fmt.Sprintf("indices.%d", rank)] = bits(torch.From(indices, len(indices)))
	}
	return got, nil
}
