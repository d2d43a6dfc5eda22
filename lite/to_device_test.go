package lite

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// ToDevice moves to the rank's device: what is on meta can't come from there, and what is on the CPU is there.
func TestToDeviceIsTheRanks(t *testing.T) {
	onCPU(t, func(l *Lite) {
		x := torch.Ones(2)
		require.Same(t, x, ToDevice(l, []*torch.Tensor{x})[0])
		gone := torch.Options{Device: torch.Meta}.Ones(2)
		require.ErrorContains(t, torch.Try(func() { ToDevice(l, []*torch.Tensor{gone}) }), "meta")
	})
}
