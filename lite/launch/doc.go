// Package launch starts the ranks of a run: the Launcher interface, golite's launchers, and what a run ends with.
//
// golite's launchers are, by name:
//
//	here        Here: one rank, on the calling goroutine
//	goroutines  Goroutines: each local rank is a goroutine of this process
//	processes   Processes: each local rank is a process that golite starts and supervises
//	external    External: this process is a rank that an engine, or Processes, has started
//
// The strategy chooses among them. A Launcher of the program's own, among lite.Config.Plugins, takes the place of that
// choice wherever golite itself starts the ranks. In a process that was started as a rank it is External that runs the
// rank, unless the Launcher is a RankLauncher.
//
// # A launcher of one's own
//
// A Launcher that starts processes sets the variables of a cluster environment for each, in the simplest case RANK,
// LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, NODE_RANK, MASTER_ADDR and MASTER_PORT, and runs the same program, with the
// same arguments. Launch waits for the processes, ends all when one has failed, and returns the first error. It calls
// nothing of Job but SetResult, if it has a way to bring rank 0's result.
//
// A Launcher that runs ranks in this process calls Job.Body once for each, on a goroutine of its own, with a Rank whose
// Join gives the group of all ranks, such as (*dist.LocalWorld).Group.
//
// Each wait needs an end: when one rank has failed, the others are to be freed from the collectives in which they wait
// for it (the context that Body was given ends, or the process), and no process may be left when Launch returns.
package launch
