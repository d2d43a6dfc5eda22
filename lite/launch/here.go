package launch

import (
	"context"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/cluster"
)

// Here runs the one rank of a run on the calling goroutine. Its name is "here".
type Here struct{}

// Name returns "here".
func (Here) Name() string { return "here" }

// Launch runs the rank.
func (Here) Launch(ctx context.Context, j *Job) error {
	ctx, stop := WatchSignals(ctx, j.Log)
	defer stop.Close()
	alone := cluster.Placement{MainAddress: j.Placement.MainAddress, WorldSize: 1, LocalWorldSize: 1}
	return j.Body(ctx, &Rank{Placement: alone, Devices: j.Ranks[0], Join: joinAlone, Stop: stop})
}

// joinAlone is Rank.Join of a rank without peers.
func joinAlone(ctx context.Context, o dist.Options) (*dist.Group, error) {
	return dist.Alone(ctx, o), nil
}
