package lite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
)

func TestThroughput(t *testing.T) {
	p, err := lite.NewThroughput(2)
	require.NoError(t, err)
	update := func(at time.Duration, batches, samples int) { require.NoError(t, p.Update(at, batches, samples)) }
	update(time.Second, 0, 0)
	batches, samples := p.Rates()
	require.Zero(t, batches+samples, "one update has no rate")
	update(2*time.Second, 1, 2)
	update(2500*time.Millisecond, 2, 4) // the first one has left the window
	batches, samples = p.Rates()
	require.Equal(t, 2.0, batches)
	require.Equal(t, 4.0, samples)

	require.ErrorContains(t, p.Update(2500*time.Millisecond, 3, 6), "only grow")
	require.ErrorContains(t, p.Update(3*time.Second, 1, 6), "only grow")
	again, _ := p.Rates()
	require.Equal(t, batches, again, "a wrong update changes nothing")
	_, err = lite.NewThroughput(1)
	require.ErrorContains(t, err, "2 or more")
}
