// Package dist is torch.distributed: stores, process groups, collectives on tensors and on Go values, on libtorch's own
// c10d (TCPStore, Gloo, NCCL). Package ddp has DistributedDataParallel on top of it.
//
// Package lite makes groups by itself. This package is for programs that do so on their own.
//
// # Ranks and groups
//
// A rank is one of the equal programs that train together: a goroutine locked to its thread (torch.RunRank), or a
// process. Each has a Group (torch.distributed.ProcessGroup). There are two kinds, with the same methods and the same
// bits:
//
//   - Ranks that are goroutines of one process take their groups from a LocalWorld, and exchange tensors in shared
//     memory. They need no store and no network.
//   - Ranks that are processes find each other through a Store and connect over Gloo: NewGloo is init_process_group.
//     The store is a TCP store that one of them keeps (NewTCPStore), or a file (NewFileStore). On one host sums go
//     through shared memory. Some of the processes can be PyTorch's: NewGlooWithPyTorch.
//
// Attach adds a backend for the tensors of another type of device to groups of both kinds: "nccl" for CUDA tensors
// (AttachNCCL), or a Backend of one's own, which RegisterBackend makes known. Tensors on the CPU go as before.
//
// Sub makes the group of some of the ranks (torch.distributed.new_group). It ends with its parent.
//
// # Collectives
//
// All ranks of a group make the same collectives in the same order. Each has a form that waits and one in the
// background, whose name ends in Async and which returns a Work:
//
//	AllReduce, Reduce, ReduceScatter, ReduceScatterTensor      combine tensors with an Op
//	Broadcast, AllGather, AllGatherInto, Gather, Scatter       copy tensors to other ranks
//	AllToAll, AllToAllSingle                                   send a part to each rank
//	Send, Recv                                                 between two ranks
//	Barrier                                                    waits for all ranks
//
// AllGatherGrad and AllReduceGrad carry gradients. BroadcastValue, AllGatherValues, GatherValues, ScatterValues,
// SendValue and RecvValue take Go values, as torch.distributed's functions for objects do; SumValues adds up numbers;
// BroadcastBytes, AllGatherBytes, SendBytes and RecvBytes take bytes. WithoutTimeout waits for work that takes longer
// than Options.Timeout.
//
// Tensors may be of any type, wherever they lie in memory. What is combined must have numbers that the Op is defined
// for.
//
// # Errors
//
// Collectives panic when they fail: with a *RankError if another rank is the reason, with a *torch.Error if the
// arguments are wrong. Try turns both into errors. What sets up (NewTCPStore, NewGloo) takes a context and returns an
// error.
//
// Every wait ends. A group lives as long as the context that it was made with: cancelling it frees every rank that
// waits, in this process at once and in others within moments. So do Abort, the exit of a process, and a rank that has
// finished (Leave, Close) while others wait for it. Any other wait ends with Options.Timeout: the watchdog of each rank
// then aborts the group, and the *RankError lists what each rank was blocked in, its call site, and the stacks of
// goroutines. With Options.Debug ranks that are processes compare their calls beforehand, as goroutines always do, and
// name the first that differs, on all ranks; without it they compare them once they have been blocked for a second.
// Trace and Pending are the flight recorder: collectives that have ended, and those under way.
//
// # Ending
//
// A rank that has succeeded calls Leave, which waits for the others, and then Close. A rank that has failed calls Fail
// with its error, or Abort with a reason, which the others' errors then contain. A group keeps what it needs of its
// Store and its LocalWorld, which may be closed before it; when all are closed no goroutine is left, and no port.
package dist
