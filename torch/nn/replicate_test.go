package nn

import (
	"testing"

	"github.com/stretchr/testify/require"

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
			require.True(t, c.Weight.RequiresGrad())
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
				for i, g := range torch.Grad([]*torch.Tensor{y}, tensorsOf(Parameters(c.At(0))), torch.GradOptions{RetainGraph: true}) {
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

// Without gradients nothing is recorded, and the first copy has the model's own tensors.
func TestReplicateWithoutGradients(t *testing.T) {
	torch.Scope(func() {
		net := newMLP()
		torch.NoGrad(func() {
			copies := Replicate(net, cpus(2))
			require.Same(t, net.FC1.Weight.Tensor, copies[0].FC1.Weight.Tensor)
			require.False(t, copies[1].FC1.Weight.RequiresGrad())
		})
		torch.InferenceMode(func() { require.Equal(t, []int{3, 2}, Replicate(net, cpus(2))[1].Forward(torch.Ones(3, 4)).Shape()) })
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
