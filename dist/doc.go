// Package dist is what several ranks do together: stores through which they find each other, process groups, collectives
// on tensors and on Go values, and DistributedDataParallel. It is the counterpart of torch.distributed, on libtorch's own
// c10d: TCPStore, Gloo, NCCL and the Reducer.
//
// Package lite makes groups and wraps models by itself. This package is for programs that do so on their own.
//
// # Ranks and groups
//
// A rank is one of the equal programs that train together: a goroutine locked to its thread (torch.Root), or a process. Each
// holds a Group, through which it reaches the others. There are two kinds, with the same methods and the same bits:
//
//   - Ranks that are goroutines of one process meet in a Hub, and exchange tensors in shared memory. They need no store and no
//     network.
//   - Ranks that are processes meet in a Store, and reach each other over Gloo: NewGloo. The store is a TCP store that one of
//     them keeps (NewTCPStore), or a file (NewFileStore). On one host they sum in shared memory. Processes of PyTorch can be among
//     them: NewGlooWithPyTorch.
//
// In both, AttachNCCL lets the collectives on CUDA tensors go through NCCL; those on the CPU go as before.
//
// Sub makes the group of some of the ranks. It ends with the one that it is part of.
//
// # Collectives
//
// All ranks of a group make the same collectives in the same order. Each has a form that waits and one in the background, whose
// name ends in Async, and which gives a Work:
//
//	AllReduce, Reduce, ReduceScatter, ReduceScatterTensor      combine tensors with an Op
//	Broadcast, AllGather, AllGatherInto, Gather, Scatter       give tensors to others
//	AllToAll, AllToAllSingle                                   give every rank something of its own
//	Send, Recv                                                 between two ranks
//	Barrier                                                    only waits
//
// AllGatherGrad and AllReduceGrad carry gradients. Go values travel with BroadcastValue, AllGatherValues, GatherValues,
// ScatterValues, SendValue and RecvValue, numbers are added up by SumValues, and bytes have BroadcastBytes, AllGatherBytes,
// SendBytes and RecvBytes. Patiently waits for work that takes longer than a collective may.
//
// Tensors may be of any type, wherever they lie in memory. What is combined must have numbers that the Op is defined for.
//
// # Errors
//
// What runs once a step (collectives, DistributedDataParallel's Before and After) panics when it fails: with a *RankError if
// another rank is the reason, with a *torch.Error if the arguments are wrong. Try turns both into errors. What sets up
// (NewTCPStore, NewGloo, New) takes a context and returns an error.
//
// No rank waits for ever. A group lives as long as the context that it was made with: cancelling it frees every rank that
// waits, here and, within moments, on the other side. So do Abort, a process that dies, and a rank that has finished
// (Leave, Close) while others wait for it. What remains ends with Options.Timeout, and then the *RankError says what each rank
// did, where it was called, and where goroutines were. With Options.Debug ranks that are processes compare their calls
// beforehand, as goroutines always do, and name the first that differs, on all ranks.
//
// # Ending
//
// A rank that has done well calls Leave, which waits for the others, and then Close. A rank that has failed calls Abort with
// the reason, which the others' errors then give. A group keeps what it needs of its store and its Hub, which may be closed
// before it; when all is closed no goroutine is left, and no port.
package dist
