package shard_test

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// recordedBlock, recordedMLP and recordedUneven are the models of scripts/sharded/record_sharded.py.
type recordedBlock struct {
	nn.Base
	Norm *nn.LayerNorm `torch:"norm"`
	Fc1  *nn.Linear    `torch:"fc1"`
	Fc2  *nn.Linear    `torch:"fc2"`
}

type recordedMLP struct {
	nn.Base
	Blocks []*recordedBlock `torch:"blocks"`
	Head   *nn.Linear       `torch:"head"`
}

func (m *recordedMLP) Forward(x *torch.Tensor) *torch.Tensor {
	for _, b := range m.Blocks {
		x = x.Add(b.Fc2.Forward(F.GELU(b.Fc1.Forward(b.Norm.Forward(x)))))
	}
	return m.Head.Forward(x)
}

type recordedUneven struct {
	nn.Base
	Fc1 *nn.Linear `torch:"fc1"`
	Fc2 *nn.Linear `torch:"fc2"`
	Fc3 *nn.Linear `torch:"fc3"`
	Out *nn.Linear `torch:"out"`
}

func (m *recordedUneven) Forward(x *torch.Tensor) *torch.Tensor {
	for _, l := range []*nn.Linear{m.Fc1, m.Fc2, m.Fc3} {
		x = l.Forward(x).Tanh()
	}
	return m.Out.Forward(x)
}

func recordedModel(name string) (n net) {
	width, kinds := 24, 5
	if name == "uneven" {
		m := &recordedUneven{nn.Base{}, nn.NewLinear(7, 5), nn.NewLinear(5, 3), nn.NewLinear(3, 1, nn.LinearOptions{NoBias: true}), nn.NewLinear(1, 4)}
		n, width, kinds = net{module: m, forward: m.Forward}, 7, 4
	} else {
		m := &recordedMLP{}
		for range 3 {
			m.Blocks = append(m.Blocks, &recordedBlock{nn.Base{}, nn.NewLayerNorm([]int{24}), nn.NewLinear(24, 40), nn.NewLinear(40, 24)})
		}
		m.Head = nn.NewLinear(24, 5)
		if name == "frozen" {
			nn.RequiresGrad(m.Blocks[0].Fc1, false)
		}
		n = net{module: m, forward: m.Forward}
	}
	n.input = func(g *torch.Generator) (x, y *torch.Tensor) {
		return torch.Options{Generator: g}.Randn(4, width), classes(g, 4, kinds)
	}
	return n
}

func recordedOptimizer(name string, m nn.Module) optim.Optimizer {
	decay := 0.1
	switch name {
	case "sgd":
		return optim.NewSGD(nn.Parameters(m), 0.1, optim.SGDOptions{Momentum: 0.9})
	case "decay":
		var weights, rest []nn.Parameter
		for name, p := range nn.NamedParameters(m) {
			if strings.HasSuffix(name, "weight") && !strings.Contains(name, "norm") {
				weights = append(weights, p)
			} else {
				rest = append(rest, p)
			}
		}
		none, rate := 0.0, 5e-3
		return optim.NewAdamWGroups([]optim.Group{{Params: weights, WeightDecay: &decay}, {Params: rest, WeightDecay: &none, LR: &rate}}, 1e-2)
	}
	return optim.NewAdamW(nn.Parameters(m), 1e-2, optim.AdamWOptions{WeightDecay: &decay})
}

// recordedCase is a case of testdata/sharded.json.gz.
type recordedCase struct {
	Name, Method, Model, Optimizer, Precision string
	Seed                                      uint64
	World, Steps, Accumulate, Stage           int
	Clip                                      float64
	Reshard                                   *bool
	Losses                                    []fixture.Floats
	Norms                                     fixture.Floats
}

func (c recordedCase) options() *shard.Options {
	o := &shard.Options{}
	switch {
	case c.Method == "ddp":
		return nil
	case c.Method == "deepspeed" && c.Stage < 3 && c.Precision == "":
		o.Reshard = shard.Never
	case c.Method == "deepspeed" && c.Stage < 3, c.Reshard != nil && !*c.Reshard:
		o.Reshard = shard.AfterBackward
	}
	if c.Precision == "bf16" {
		o.ParamDType, o.ReduceDType = torch.BFloat16, torch.Float32
	}
	return o
}

// TestRecorded: losses and norms are those of PyTorch's FSDP2 and FSDP1 and of DeepSpeed, on two ranks.
func TestRecorded(t *testing.T) {
	file := fixture.Open(t, "testdata/sharded.json.gz")
	for _, each := range file.Cases {
		var c recordedCase
		file.Case(t, each.Name).Decode(t, &c)
		t.Run(c.Name, func(t *testing.T) {
			tolerance := 2e-6
			if c.Precision == "bf16" {
				tolerance = 2e-2
			}
			run(t, "inprocess", c.World, func(ctx context.Context, g *dist.Group) error {
				losses, norms, state, err := c.train(ctx, g)
				if err != nil {
					return err
				}
				for name, got := range state {
					if each.Has("param." + name) {
						if want := each.Tensor(t, "param."+name); want.Whole() {
							if err := close(name, floats(want.Data), got, 100*tolerance); err != nil {
								return err
							}
						}
					}
				}
				if err := close("norm", c.Norms.Slice(), norms, 10*tolerance); err != nil {
					return err
				}
				return close("loss", c.Losses[g.Rank()].Slice(), losses, tolerance)
			})
		})
	}
}

func (c recordedCase) train(ctx context.Context, g *dist.Group) (losses, norms []float64, state map[string][]float64, err error) {
	var n net
	torch.WithGenerator(torch.NewGenerator(c.Seed), func() { n = recordedModel(c.Model) })
	t, err := newTrainerWith(ctx, g, n, recordedOptimizer(c.Optimizer, n.module), c.options())
	if err != nil {
		return nil, nil, nil, err
	}
	defer t.close()
	micro := max(1, c.Accumulate)
	for range c.Steps {
		torch.Scope(func() {
			for range micro {
				x, y := t.batch()
				var loss *torch.Tensor
				if t.e == nil {
					loss = t.loss(x, y)
				} else {
					out := t.m.Forward(func() []*torch.Tensor { return []*torch.Tensor{t.forward(x)} })
					loss = F.CrossEntropy(out[0].To(torch.Float32), y)
				}
				losses = append(losses, loss.Item())
				t.backward(loss.DivScalar(float64(micro)))
			}
			if c.Clip > 0 {
				var norm *torch.Tensor
				if t.e == nil {
					norm = nn.ClipGradNorm_(nn.Parameters(n.module), c.Clip)
				} else {
					norm = t.e.GradNorm(nn.Parameters(n.module), 2)
					nn.ClipGradsWithNorm_(nn.Parameters(n.module), c.Clip, norm)
				}
				if len(c.Norms) > 0 {
					norms = append(norms, norm.Item())
				}
			}
			t.step()
			t.opt.ZeroGrad()
		})
	}
	state = map[string][]float64{}
	torch.Scope(func() {
		sd := nn.StateDict(n.module)
		if t.e != nil {
			sd, err = t.m.StateDict(true)
		}
		for name, v := range sd.All() {
			for _, x := range torch.ToSlice[float32](v) {
				state[name] = append(state[name], float64(x)+1) // near 0 a relative tolerance says nothing
			}
		}
	})
	return losses, norms, state, err
}

func floats(data []byte) (list []float64) {
	for ; len(data) > 0; data = data[4:] {
		list = append(list, float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))+1)
	}
	return list
}
