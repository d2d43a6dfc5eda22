package builtin

import (
	"context"
	"time"

	"github.com/golite/golite/ddp/shard"
	"github.com/golite/golite/lite/strategy"
)

// DDPSharded is one process for each device, of which each has all parameters, and rows of the gradients and of the optimizer's state
// (fairscale's ShardedDataParallel and OSS; ZeRO's stage 2). fairscale gives each rank whole parameters to update; rows are of more
// equal size, and make checkpoints that any number of ranks can read. Parameters without gradient need no setting.
type DDPSharded struct {
	// NoBroadcastBuffers leaves buffers, such as BatchNorm's, as each rank computes them.
	NoBroadcastBuffers bool
	// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
	NoInitSync bool
	// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
	Timeout time.Duration
}

// StrategyName returns "ddp_sharded".
func (DDPSharded) StrategyName() string { return "ddp_sharded" }

// Plan has a process for each device.
func (d DDPSharded) Plan(r strategy.Request) (strategy.Plan, error) {
	return planShards(r, false, d.Timeout, "ddp_sharded", d)
}

// Open returns a Session that holds parts; on one rank there is nothing to divide.
func (d DDPSharded) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	return openShards(ctx, e, "ddp_sharded", shard.Options{Reshard: shard.Never, BroadcastBuffers: !d.NoBroadcastBuffers, NoInitSync: d.NoInitSync})
}

// DDPShardedSpawn is DDPSharded with a goroutine for each device instead of a process.
type DDPShardedSpawn DDPSharded

// StrategyName returns "ddp_sharded_spawn".
func (DDPShardedSpawn) StrategyName() string { return "ddp_sharded_spawn" }

// Plan has a goroutine for each device, and processes where an engine has started them.
func (d DDPShardedSpawn) Plan(r strategy.Request) (strategy.Plan, error) {
	return planShards(r, true, d.Timeout, "ddp_sharded_spawn", DDPSharded(d))
}

// Open is DDPSharded's.
func (d DDPShardedSpawn) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error) {
	return DDPSharded(d).Open(ctx, e)
}
