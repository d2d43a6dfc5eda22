// Package ddp is DistributedDataParallel: it keeps the ranks' copies of a model equal, by c10d's own Reducer
// (torch.nn.parallel.DistributedDataParallel). Groups and collectives are package dist's.
//
// Package lite wraps models by itself. This package is for programs that do so on their own.
//
// # Models
//
// Wrap ties a module to those of the other ranks, New a sequence of parameters. Both verify that all ranks have the
// same model, and broadcast rank 0's parameters and buffers. From then on the gradients of each backward pass become
// their mean over all ranks while it still runs. NoSync accumulates gradients on each rank; Join lets ranks have
// different numbers of batches.
//
// # Hooks
//
// A Hook reduces buckets of gradients in another way (DistributedDataParallel.register_comm_hook): HookFP16 and
// HookBF16 send half-precision gradients, PowerSGD two thin matrices for each, and a BucketHook is the program's own.
//
// # Batch normalisation
//
// SyncBatchNorm normalises over the batches of all ranks together; ConvertSyncBatchNorm converts a model's layers.
//
// # Errors
//
// What runs once a step (PreForward, PostForward, Forward) panics when it fails: with a *dist.RankError if another rank
// is the reason, with a *torch.Error if the arguments are wrong. Inside Backward, where the Reducer communicates, a
// lost rank is a *torch.Error: Group.TranslateErrors makes it a *dist.RankError. dist.Try turns both into errors. Wrap
// and New take a context and return an error.
package ddp
