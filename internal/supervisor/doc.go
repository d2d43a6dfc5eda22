// Package supervisor starts the ranks of a job as processes and ends them as one. It does not import libtorch: a crash
// there can't end the supervisor.
//
// The first process calls Supervise and is no rank itself. It re-executes the program once for each local rank, with
// the same arguments and with PyTorch's variables set (RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, NODE_RANK,
// MASTER_ADDR, MASTER_PORT), and it watches them until all have ended. In a rank, Attach returns the Child: its
// connection to the supervisor.
//
// # Lifetime of the processes
//
// Each rank leads a process group of its own and holds two pipes to the supervisor. A rank that fails, exits or hangs
// ends the job: the others get an abort message, then SIGTERM, then SIGKILL to their whole groups, so that no
// grandchild is left either (one that started a session of its own excepted). When the supervisor itself is killed, its
// end of the pipes closes, and each rank kills all the job's groups, its own last. A rank that is stopped by SIGSTOP
// can't read a pipe: on Linux the kernel sends it SIGCONT when the supervisor ends (its parent-death signal). SIGKILL
// would leave the grandchildren.
//
// Of several nodes each has a supervisor, and the supervisors have no connection to each other: the ranks elsewhere end
// because they lose the peers that were ended here. A rank reports which peers it lost (Report.Blames), so that the
// other nodes name them too; only the peer's own supervisor has its exit status. A request to stop reaches one
// supervisor, and the others through the ranks, which agree on it (Child.Stopping).
//
// # Messages
//
// A frame on a pipe carries a version, a kind, a length and a body (JSON, or raw bytes for a result). Ranks send a
// hello, their state (once a second, which is also the heartbeat), the port on which rank 0 listens, the stacks of
// their goroutines on request, that they have agreed to stop, and their outcome. The supervisor sends the port, a
// request to stop, and an abort.
package supervisor
