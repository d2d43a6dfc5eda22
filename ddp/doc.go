// Package ddp is what several ranks do together: stores through which they find each other, process groups, collectives
// on tensors and on Go values, and DistributedDataParallel.
//
// A rank is one of the equal programs that train together: a goroutine locked to its thread, or a process. Ranks that
// share a process meet in a Hub and exchange tensors in shared memory; ranks in processes of their own reach each other
// over Gloo. Both kinds of Group have the same methods, and give the same bits.
//
// What runs once a step (collectives, DistributedDataParallel's Before and After) panics when it fails: with a
// *RankError if another rank is the reason, with a *torch.Error if the arguments are wrong. Try turns both into errors.
// What sets up (NewTCPStore, NewGloo, New) takes a context and returns an error. A Group lives as long as the context
// that it was made with: cancelling it frees every rank that waits, here and, within moments, on the other side.
//
// Package lite makes groups and wraps models by itself. This package is for programs that do so on their own.
package ddp
