package torch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// A generator is seeded when it is first drawn from: nobody can tell.
func TestSeedingCanWait(t *testing.T) {
	torch.Scope(func() {
		fresh := func() *torch.Generator { return torch.NewGenerator(7) }
		want := torch.ToSlice[float32](torch.Empty(5).Uniform_(0, 1, fresh()))
		used := func() *torch.Generator {
			g := torch.NewGenerator(1)
			torch.Empty(3).Normal_(0, 1, g) // half of a pair of normal numbers is left over
			return g.ManualSeed(7)
		}
		require.Equal(t, uint64(7), used().InitialSeed())
		require.True(t, fresh().State().Equal(used().State()))
		require.Equal(t, want, torch.ToSlice[float32](torch.Empty(5).Uniform_(0, 1, used())), "as an argument")
		torch.WithGenerator(used(), func() {
			require.Equal(t, want, torch.ToSlice[float32](torch.Empty(5).Uniform_(0, 1)), "as the default")
			torch.ManualSeed(7)
			require.Equal(t, want, torch.ToSlice[float32](torch.Empty(5).Uniform_(0, 1)), "as the default, seeded there")
		})
		g := used()
		g.SetState(torch.NewGenerator(9).State())
		require.True(t, torch.NewGenerator(9).State().Equal(g.State()), "a state ends what waits")
		require.Equal(t, uint64(9), g.InitialSeed())
		require.Equal(t, torch.ToSlice[float32](torch.Empty(5).Normal_(0, 1, fresh())),
			torch.ToSlice[float32](torch.Empty(5).Normal_(0, 1, used())))
	})
}
