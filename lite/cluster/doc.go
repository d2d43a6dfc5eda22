// Package cluster reads from the environment where a process stands among the ranks of a job: how many there are, which
// one it is, and where rank 0 can be reached. golite schedules nothing itself; torchrun, SLURM, LSF, mpirun and
// Kubernetes' PyTorchJob start the processes, and each sets variables of its own.
//
// Detect looks for an engine in a fixed order: a plugin of the user's, torchrun, SLURM, LSF, MPI, a PyTorchJob,
// variables set by hand (LOCAL_RANK, or RANK with WORLD_SIZE and MASTER_ADDR), and last Local, which means that golite
// starts the ranks itself. Place asks the environment found for everything at once and checks that the answers agree.
//
// A cluster that is not among them is an Environment written by the user: embed Base, override what differs, and hand
// the value to lite.Config.Plugins.
package cluster
