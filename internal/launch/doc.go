// Package launch starts the ranks of a job as processes and ends them as one. It knows nothing of tensors: a crash in
// libtorch can't take the supervisor with it.
//
// The first process calls Supervise and is no rank itself. It re-executes the program once for each local rank, with the
// same arguments and with PyTorch's variables set (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, NODE_RANK, MASTER_ADDR,
// MASTER_PORT), and it watches them until all have ended. In a rank, Attach returns the Child that talks to it.
//
// # Who dies when
//
// Each rank leads a process group of its own and holds two pipes to the supervisor. A rank that fails, dies or hangs ends
// the job: the others are told to abort, then asked by SIGTERM, then killed with their whole groups, so that no grandchild
// is left either (one that started a session of its own excepted). When the supervisor itself is killed, its end of the
// pipes closes, and each rank kills all the job's groups, its own last. A rank that is stopped by SIGSTOP can't read a
// pipe: on Linux it is sent SIGCONT by the kernel when the supervisor dies (its parent-death signal). SIGKILL would be no better: it would
// leave the grandchildren.
//
// Of several nodes each has a supervisor, and they don't know each other: what ends the ranks elsewhere is that they lose
// those that were ended here. A rank says which one it lost (Report.Blames), so that the other nodes name it too; how it ended its
// own supervisor knows. A request to stop reaches one supervisor, and through the ranks, which agree on it, the others
// (Child.Stopping).
//
// # What is said
//
// Frames on the pipes carry a version, a kind, a length and a body (JSON, or raw bytes for a result). Ranks say hello,
// where they are (once a second, which is also the sign of life), the port on which rank 0 listens, the stacks of their
// goroutines when asked, that they have agreed to stop, and how they ended. The supervisor tells them the port, to stop, or to abort.
package launch
