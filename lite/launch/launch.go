package launch

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite/cluster"
	"github.com/golite/golite/torch"
)

// Launcher starts the ranks of this node and waits for them (Fabric's _Launcher). Launch may be called from several
// goroutines.
type Launcher interface {
	// Name is the launcher's name in messages and in the registry.
	Name() string
	// Launch runs Job.Body once for each local rank, in this process or in others, and returns when all have ended:
	// with the error of the rank that failed first, as a *RankError where there are several ranks, or with ErrStopped.
	// When a rank has failed, or ctx has ended, it frees the ranks that wait for others. It leaves no process behind.
	Launch(ctx context.Context, j *Job) error
}

// RankLauncher is a Launcher that does more in the processes that it has started than External does, which runs the
// rank of a process otherwise. It is called in every process that an engine has started as well, where it calls
// External.
type RankLauncher interface {
	Launcher
	// LaunchRank runs Job.Body for this process's rank, or calls External{}.Launch, which does.
	LaunchRank(ctx context.Context, j *Job) error
}

// Job is one call of lite.Run, on one node.
type Job struct {
	// Ranks are the devices of each local rank, its own first.
	Ranks [][]torch.Device
	// Nodes is the number of nodes, each with as many ranks.
	Nodes int
	// Placement is that of this process where it is a rank, else of the node's first rank. A MainPort of 0 leaves the
	// choice of rank 0's port to the Launcher.
	Placement cluster.Placement
	// Environment is the cluster environment that Placement was read from.
	Environment cluster.Environment
	// Variables are those that make this process a rank, for messages: "RANK=0, WORLD_SIZE=2". Empty where there are
	// none.
	Variables string
	// Timeout is how long a rank waits for its peers.
	Timeout time.Duration
	// Prefix asks for "[rank N] " before each line that a rank's process writes.
	Prefix bool
	// Log receives warnings. It is not nil.
	Log *zap.Logger

	// Body runs a rank, on the calling goroutine, which it locks to its thread meanwhile: it joins the group, calls the
	// program's function and leaves the group. A panic in it is an error.
	Body func(ctx context.Context, r *Rank) error
	// Result returns rank 0's result, encoded, after its Body; SetResult takes it in the process that called lite.Run,
	// where that is another one.
	Result    func() ([]byte, error)
	SetResult func(encoded []byte) error // takes what Result returned
}

// Rank is one rank, as its Launcher makes it.
type Rank struct {
	cluster.Placement
	// Devices are the rank's, its own first.
	Devices []torch.Device
	// Join returns the group of the ranks of all nodes. Body calls it once, and closes the group.
	Join func(ctx context.Context, o dist.Options) (*dist.Group, error)
	// Stop carries a request to stop to the rank; ranks of one process share it. nil: there are no requests.
	Stop *Stop
	// OnState registers a function that returns the rank's progress. It is called from another goroutine. nil: the
	// Launcher does not need it.
	OnState func(progress func() State)
}

// State is a rank's progress.
type State struct {
	Step    int64     // steps of the optimizer that has made the most
	Seq     uint64    // number of the collective that the rank waits in; 0: it waits in none
	Waiting string    // that collective and its call site
	Since   time.Time // since when it waits
}
