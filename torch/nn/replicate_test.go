package nn

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
)

// cpus is several devices on a machine without GPUs.
func cpus(n int) []torch.Device {
	out := make([]torch.Device, n)
	for i := range out {
		out[i] = torch.CPU
	}
	return out
}

func TestReplicateCopiesAllButTheFirst(t *testing.T) {
	torch.Scope(func() {
		net := newRunningNorm()
		net.Scales[1] = net.Scales[0] // shared
		net.hidden.Weight.RequiresGrad_(false)
		Eval(net)
		copies := Replicate(net, cpus(3))
		require.Len(t, copies, 3)
		for k, c := range copies {
			require.Equal(t, k == 0, c.Weight.SameStorage(net.Weight.Tensor), "parameter of copy %d", k)
			require.Equal(t, k == 0, c.Seen.SameStorage(net.Seen.Tensor), "buffer of copy %d", k)
			require.Equal(t, k == 0, c.Shift.SameStorage(net.Shift.Tensor), "buffer that is not saved, of copy %d", k)
			require.Equal(t, k == 0, c.hidden.Weight.SameStorage(net.hidden.Weight.Tensor), "frozen parameter of copy %d", k)
			require.Same(t, c.Scales[0].Tensor, c.Scales[1].Tensor, "shared within copy %d", k)
			require.NotSame(t, net.hidden, c.hidden)
			require.Same(t, net.Left, c.Left, "a field that is left out")
			require.Same(t, net.cache, c.cache)
			require.False(t, c.Training())
			require.Equal(t, []string{"AliasBackward0", "nn.Replicate", "nn.Replicate"}[k], c.Weight.GradFn(),
				"the first is no second user of the parameter")
			require.False(t, c.hidden.Weight.RequiresGrad())
			require.Equal(t, keys(net), keys(c))
		}
		copies[0].cache = nil
		require.NotNil(t, net.cache, "a copy's fields are its own")
		torch.NoGrad(func() {
			copies[0].Seen.AddScalar_(5)
			copies[1].Seen.AddScalar_(7)
			copies[0].Weight.MulScalar_(2)
		})
		require.Equal(t, 5.0, net.Seen.Item(), "what the first copy writes in place stays")
		require.Equal(t, []float32{2, 2}, torch.ToSlice[float32](net.Weight.Tensor))
	})
}

// The gradients of all copies add up on the model, the devices in their order; what none uses has none.
func TestReplicateGradients(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		torch.Scope(func() {
			net := newMLP()
			unused := NewLinear(2, 2)
			both := NewModuleList[Module](net, unused)
			copies := Replicate(both, cpus(n))
			var want []*torch.Tensor
			var loss *torch.Tensor
			for _, c := range copies {
				y := c.At(0).(*mlp).Forward(torch.Randn(6, 4)).Tanh().Sum()
				for i, g := range torch.Grad([]*torch.Tensor{y}, tensorsOf(Parameters(c.At(0))),
					torch.GradOptions{RetainGraph: true}) {
					if len(want) <= i {
						want = append(want, g)
					} else {
						want[i] = want[i].Add(g)
					}
				}
				if loss == nil {
					loss = y
				} else {
					loss = loss.Add(y)
				}
			}
			loss.Backward()
			for i, p := range Parameters(net) {
				require.Equal(t, want[i].ToBytes(), p.Grad().ToBytes(), "%d copies, parameter %d", n, i)
			}
			require.Nil(t, unused.Weight.Grad())
		})
	}
}

// A sparse embedding's gradients stay sparse, and gradients of gradients pass through the copies.
func TestReplicateGradientsOfOtherKinds(t *testing.T) {
	torch.Scope(func() {
		e := NewEmbedding(5, 2, EmbeddingOptions{Sparse: true})
		copies := Replicate(e, cpus(3))
		var terms []*torch.Tensor
		for k, c := range copies {
			terms = append(terms, c.Forward(torch.From([]int64{int64(k), 4})).Sum())
		}
		torch.BackwardAll(terms, make([]*torch.Tensor, 3), torch.BackwardOptions{})
		g := e.Weight.Grad()
		require.Equal(t, torch.SparseCOO, g.Layout())
		require.Equal(t, []float32{1, 1, 1, 1, 1, 1, 0, 0, 3, 3}, torch.ToSlice[float32](g.ToDense()))

		p := NewParameter(torch.Full(2, 1))
		copied := Replicate(NewParameterList(p), cpus(2))[1].At(0)
		first := torch.Grad([]*torch.Tensor{copied.Pow(3).Sum()}, []*torch.Tensor{p.Tensor},
			torch.GradOptions{CreateGraph: true})[0]
		require.Equal(t, 12.0, torch.Grad([]*torch.Tensor{first.Sum()}, []*torch.Tensor{p.Tensor})[0].Item())
	})
}

// Without gradients nothing is recorded, and the first copy has the model's own tensors.
func TestReplicateWithoutGradients(t *testing.T) {
	torch.Scope(func() {
		net := newMLP()
		torch.NoGrad(func() {
			copies := Replicate(net, cpus(2))
			require.Same(t, net.FC1.Weight.Tensor, copies[0].FC1.Weight.Tensor)
			require.False(t, copies[1].FC1.Weight.RequiresGrad())
		})
		torch.InferenceMode(func() {
			require.Equal(t, []int{3, 2},
				Replicate(net, cpus(2))[1].Forward(torch.Ones(3, 4)).Shape())
		})
	})
}

func TestReplicateRefuses(t *testing.T) {
	net := newMLP()
	require.ErrorContains(t, torch.Try(func() { Replicate(net, nil) }), "want a device")
	require.ErrorContains(t, torch.Try(func() { Replicate(net, []torch.Device{torch.Meta, torch.CPU}) }),
		"fc1.weight is on cpu: the model must lie on the first device, meta")
	require.ErrorContains(t, torch.Try(func() { Replicate(&mlp{}, cpus(2)) }), "fc1 is nil")
}

// The model that is given may be an interface.
func TestReplicateOfAnInterface(t *testing.T) {
	torch.Scope(func() {
		var m Module = newMLP()
		require.Equal(t, []int{1, 2}, Replicate(m, cpus(2))[1].(*mlp).Forward(torch.Ones(1, 4)).Shape())
	})
}

// The copies of every recorded layer compute what was recorded of PyTorch's: the first writes the layer's buffers, and
// the gradients of the second arrive at its parameters.
func TestReplicasOfRecordedLayers(t *testing.T) {
	ran := 0
	for _, stem := range []string{"layers", "plain"} {
		file := fixture.Open(t, "testdata/"+stem+".json.gz")
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) { torch.Scope(func() { ran += replicateCase(t, c) }) })
		}
	}
	require.Greater(t, ran, 150)
}

func replicateCase(t *testing.T, c *fixture.Case) int {
	var r recordedCase
	c.Decode(t, &r)
	torch.ManualSeed(c.Seed)
	m, _ := build(t, r.Module, r.Args, r.Kwargs, r.DType)
	if m == nil {
		return 0
	}
	before := map[string][]byte{}
	compareState(t, c, m, before)
	in := drawInputs(t, c, &r)
	if !r.Train {
		Eval(m)
	}
	draws := torch.DefaultGenerator(torch.CPU)
	state := draws.State()
	var outs []*torch.Tensor
	run := func() {
		for _, one := range Replicate(m, cpus(2)) {
			draws.SetState(state)
			outs = forward(one, in)
			for i, out := range outs {
				onCPU.equal(t, c, fmt.Sprintf("output.%d", i), out)
			}
		}
	}
	if r.NoGrad {
		torch.NoGrad(run)
	} else {
		run()
	}
	var recorded, weights []*torch.Tensor
	for _, out := range outs {
		if out.RequiresGrad() {
			recorded, weights = append(recorded, out), append(weights, torch.Options{DType: out.DType()}.Randn(out.Shape()...))
		}
	}
	if len(recorded) > 0 {
		torch.BackwardAll(recorded, weights, torch.BackwardOptions{})
	}
	compareAfter(t, c, &prepared{m: m, in: in, before: before}, onCPU)
	return 1
}
