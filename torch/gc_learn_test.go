package torch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// On a GPU, collections that find little become rare, and frequent again where they find much. On the CPU they stay frequent.
func TestThePacerLearnsWhetherCollectionsPay(t *testing.T) {
	pacer.Lock()
	defer pacer.Unlock()
	base, tried, slack := pacer.base, pacer.tried, pacer.slack
	defer func() { pacer.base, pacer.tried, pacer.slack = base, tried, slack }()

	pacer.base, pacer.slack = 1<<30, 0
	pacer.tried.live, pacer.tried.growth = 0, 0
	// step collects once more: memory has grown to live, and all but freed of the growth was still live afterwards.
	step := func(growth, freed int64, gpu bool) {
		live := pacer.base + growth
		onGPUs := int64(0)
		if gpu {
			onGPUs = live
		}
		learn(live, growth, onGPUs)
		pacer.base = live - freed
	}
	for range 10 {
		step(100<<20, 0, true)
	}
	require.EqualValues(t, paceSlack, pacer.slack, "a forward pass keeps all")
	for range 10 {
		step(100<<20, 90<<20, true)
	}
	require.Zero(t, pacer.slack, "nothing is kept without a graph")
	for range 10 {
		step(100<<20, 0, false)
	}
	require.Zero(t, pacer.slack, "the CPU's memory is collected as before")
}
