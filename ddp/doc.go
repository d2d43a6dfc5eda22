// Package ddp is DistributedDataParallel: it keeps the copies of a model that ranks train together equal, by c10d's own
// Reducer (torch.nn.parallel.DistributedDataParallel). The ranks' groups and collectives are package dist's.
//
// Package lite wraps models by itself. This package is for programs that do so on their own.
//
// # Models
//
// Wrap ties a module to those of the other ranks, New a sequence of parameters. Both compare the ranks' models, and give them
// rank 0's parameters and buffers. From then on the gradients of each backward pass become their mean over all ranks while
// it still runs. Join lets ranks have different numbers of batches.
//
// # Hooks
//
// A Hook sends gradients in another form (DistributedDataParallel.register_comm_hook): HookFP16 and HookBF16 in half the
// bytes, PowerSGD as two thin matrices, and a BucketHook as the program decides.
//
// # Batch normalisation
//
// SyncBatchNorm normalises over the batches of all ranks together; ConvertSyncBatchNorm has a model's layers do so.
//
// # Errors
//
// What runs once a step (Before, After, Forward) panics when it fails: with a *dist.RankError if another rank is the reason,
// with a *torch.Error if the arguments are wrong. The Reducer meets the other ranks inside Backward: Group.Guard makes
// a lost rank a *dist.RankError there. dist.Try turns both into errors. Wrap and New take a context and return an error.
package ddp
