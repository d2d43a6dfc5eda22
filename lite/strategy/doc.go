// Package strategy defines how training is spread over ranks: the Strategy interface, its optional parts and the
// registry of names. It contains no strategy. Those of golite are in package builtin; a user's own is written against
// this package alone and is accepted wherever a name is:
//
//	lite.Config{Strategy: localsgd.LocalSGD{Every: 8}} // a value
//	lite.Config{Strategy: "local_sgd"}                 // a name that its package has registered
//
// A Strategy is settings: a value that all goroutine ranks share and that nothing writes. Its Plan lays out the ranks of
// a node while the Config is resolved, before any rank is started. Its Open returns a Session, which is the strategy at
// work on one rank and may keep state. A Session returns a Module for each module that is set up: it surrounds the
// module's passes.
//
// # Calls, in order
//
//	Plan                            where the Config is resolved: in the process that starts the ranks, and in each rank's
//	Open                            on each rank, once its process group is there
//	InitModule                      ModuleIniter: lite.InitModule
//	SetupModule                     lite.Setup, lite.SetupModule
//	SetupOptimizer                  OptimizerSetter: after it, for each optimizer
//	Module.Forward                  each pass
//	Backward                        Backwarder: Lite.Backward
//	ReduceFoundInf                  FoundInfReducer: once the scaler has divided gradients, before clipping or a step
//	GradNorm                        GradNormer: Lite.ClipGradNorm
//	Step                            Stepper: Optimizer.Step
//	StateDict, LoadStateDict        Stateful: Lite.Save, Lite.Load
//	Part, OptimizerState            Checkpointer: Lite.Save, Lite.SaveSharded
//	Part, Loaded, LoadOptimizer     Checkpointer: Lite.Load
//	Close                           at the end of the run
//
// All of them run on the rank's own goroutine. SetupModule, SetupOptimizer and Close return errors. What runs at every
// step panics, with a *torch.Error or a *dist.RankError, as operations do.
//
// # Optional parts
//
// What only some strategies need is an interface of its own, such as Stepper. Each states what lite does without it. lite
// looks for the parts of a Session and of a Module once, with As. A Session that wraps another one keeps that one's parts
// by a method Unwrap() any.
package strategy
