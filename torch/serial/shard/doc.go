// Package shard reads and writes sharded checkpoints: a folder into which many ranks write their parts at once,
// committed last, and readable at any other number of ranks.
//
// The folder is a checkpoint of PyTorch's distributed checkpoint (DCP): torch.distributed.checkpoint.load reads what
// this package writes, and this package reads what DCP wrote, its metadata through the same allow-list as every other
// pickle. Unlike DCP, a folder that is saved again stays whole: parts have new names, the metadata is replaced
// atomically, and the parts of the save before go last. The metadata carries a checksum; the parts are zip records,
// which have theirs.
//
// It is pure Go and runs with CGO_ENABLED=0.
package shard
