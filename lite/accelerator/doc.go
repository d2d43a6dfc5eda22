// Package accelerator defines kinds of hardware: the Accelerator interface, its optional parts, the registry of names
// and the grammar of Config.Devices. It contains no accelerator. Those of golite are in package builtin; a user's own
// is written against this package alone and is accepted wherever a name is:
//
//	lite.Config{Accelerator: npu.Accelerator{}} // a value
//	lite.Config{Accelerator: "npu"}             // a name that its package has registered
//
// # Calls, in order
//
//	Probe, Select      where the Config is resolved: in the process that starts the ranks, and in each rank's
//	DefaultStrategy    StrategyChooser: there, for strategy "auto"
//	CheckPrecision     PrecisionChecker: there
//	Backend            Communicator: there, and on each rank of several, where its process group is made
//	With               Activator: on each rank, around all that follows
//	Seed, Generator    Randomizer: Lite.SeedEverything, Lite.Save, Lite.Load
//	Stage, Move        Stager, Mover: lite.SetupDataLoader and its batches, lite.ToDevice
//	Branch             Brancher: each pass of strategy "dp"
//	Recorder           Recorder: lite.Capture
//	SyncStep           StepSyncer: after each optimizer step, and at the end of the run's function
//
// # Optional parts
//
// What only some kinds of hardware need is an interface of its own, such as Mover. Each states what lite does without
// it. A type that wraps another one has its parts if it embeds the type itself; one that embeds an Accelerator has
// none.
package accelerator
