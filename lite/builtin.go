package lite

// This is the one file of package lite that imports golite's own accelerators and strategies: their init functions enter
// them in the registries, through which the rest of package lite finds them. internal/lint checks it.

import (
	_ "github.com/golite/golite/lite/accelerator/builtin"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/lite/strategy/builtin"
)

// Strategy is a strategy's settings. The value is read only: goroutine ranks share it.
//
//	type Strategy interface {
//		// StrategyName is the name in Config.Strategy and in messages.
//		StrategyName() string
//
//		// Plan lays out the ranks of this node, or refuses the Request. The error says what is wrong and what to
//		// do instead; lite adds the setting, where it was given and what the machine has. Plan is called in each
//		// process that resolves the Config, with and without Request.Engine, and must give the same ranks.
//		Plan(r Request) (Plan, error)
//
//		// Open starts a Session on a rank, after Env.Group was joined. ctx ends with the run.
//		Open(ctx context.Context, e *Env) (Session, error)
//	}
type Strategy = strategy.Strategy

// SingleDevice is one rank on one device.
//
//	// StrategyName returns "single_device".
//	func (SingleDevice) StrategyName() string
//
//	// Plan wants one device on one node.
//	func (SingleDevice) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session in which nothing surrounds a pass.
//	func (SingleDevice) Open(_ context.Context, e *strategy.Env) (strategy.Session, error)
type SingleDevice = builtin.SingleDevice

// DP is one rank that shares each batch out among its devices (torch.nn.DataParallel). The model and its batches lie on
// the first. A forward pass cuts the tensors among its arguments along dimension 0, as torch.chunk does, copies the model
// to the other devices, runs the method on all at the same time and joins the results along dimension 0; of a tensor
// without dimensions, such as a loss, a vector with the value of each device comes out. What is no tensor all devices are
// given, and all must return alike. Gradients add up on the first device.
//
// It needs an accelerator on which one rank may compute on several devices (accelerator.Brancher), as CUDA is. On the
// others, such as the CPU, "ddp" takes its place.
//
// The copies are made anew for each pass: what the method writes into buffers on the first device stays, fields that it
// sets don't. Each device draws random numbers from a generator of its own, and SeedEverything seeds them alike, as
// PyTorch does.
//
// Prefer "ddp_spawn", which neither copies the model in each step nor gathers what it returns on one device. DP was tested
// with replicas on a CPU and has not been run on several GPUs yet.
//
//	// StrategyName returns "dp".
//	func (DP) StrategyName() string
//
//	// Plan has one rank with all devices, where the accelerator lets one rank compute on several.
//	func (DP) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that makes replicas, if there are several devices.
//	func (DP) Open(_ context.Context, e *strategy.Env) (strategy.Session, error)
type DP = builtin.DP

// DDP is one process for each device, with gradients averaged while backward runs, as by
// torch.nn.parallel.DistributedDataParallel. The zero DDP has PyTorch's defaults.
//
//	type DDP struct {
//		// FindUnusedParameters lets parameters take no part in a forward pass; it costs a walk over the graph in
//		// each step.
//		FindUnusedParameters bool
//
//		// StaticGraph promises that the same parameters are used in each step, in the same order.
//		StaticGraph bool
//
//		// GradientAsBucketView saves the copy from gradients to buckets: gradients are views of buckets.
//		GradientAsBucketView bool
//
//		// NoBroadcastBuffers leaves buffers, such as BatchNorm's, as each rank computes them.
//		NoBroadcastBuffers bool
//
//		// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up: ranks
//		// that draw or load the same need no message for it.
//		NoInitSync bool
//
//		// BucketCapMB is the size of a bucket in MiB, 0: 25.
//		BucketCapMB int
//
//		// Backend is "gloo", "nccl", or empty for the device's own: nccl for CUDA, gloo for the CPU.
//		Backend string
//
//		// CommHook compresses gradients on their way: "", "fp16", "bf16" or "powersgd".
//		CommHook string
//
//		// Hook takes CommHook's place, with settings (ddp.PowerSGD{Rank: 4}) or as a ddp.BucketHook of the program's
//		// own. It is each model's; goroutine ranks share the value, and call a BucketHook at the same time.
//		Hook ddp.Hook
//
//		// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
//		Timeout time.Duration
//	}
//
//	// StrategyName returns "ddp".
//	func (DDP) StrategyName() string
//
//	// Plan has a process for each device.
//	func (d DDP) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that averages gradients, if there are several ranks.
//	func (d DDP) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type DDP = builtin.DDP

// DDPSpawn is DDP with a goroutine for each device instead of a process. What Run's function returns on rank 0 comes
// back without being copied, but a crash in C++ ends all ranks.
//
//	// StrategyName returns "ddp_spawn".
//	func (DDPSpawn) StrategyName() string
//
//	// Plan has a goroutine for each device, and processes where an engine has started them.
//	func (d DDPSpawn) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open is DDP's.
//	func (d DDPSpawn) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type DDPSpawn = builtin.DDPSpawn

// ModuleOptions are SetupModule's optional arguments.
//
//	type ModuleOptions struct {
//		// NoMove leaves the module on the devices where it is, also on meta, for models that are placed by hand.
//		// It is converted to the precision's type all the same.
//		NoMove bool
//	}
type ModuleOptions = strategy.ModuleOptions

// Horovod is what Lightning's HorovodStrategy computes, by DDP's means: a process for each device, gradients averaged while
// backward runs, parameters, buffers and optimizer states given by rank 0 when they are set up, and buffers left to each
// rank after that. Ranks may be started by horovodrun, by mpirun or by golite; Horovod itself is not needed.
//
// Learning rates stay as they are. Lightning's Trainer multiplied them by the number of ranks; LightningLite never did.
//
//	type Horovod struct {
//		// Compression is the type of gradients on their way: "", their own, or "fp16"
//		// (horovod.torch.Compression.fp16).
//		Compression string
//
//		// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
//		Timeout time.Duration
//	}
//
//	// StrategyName returns "horovod".
//	func (Horovod) StrategyName() string
//
//	// Plan has a process for each device.
//	func (h Horovod) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that averages gradients, if there are several ranks.
//	func (h Horovod) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type Horovod = builtin.Horovod

// FSDP is one process for each device, of which each keeps rows of the parameters, the gradients and the optimizer's state: blocks are
// gathered when they are used, and freed again (torch.distributed.fsdp, as FSDP2 has it). Package ddp/shard says what that means for a
// program: between passes a parameter is this rank's rows, and each forward pass takes all ranks.
//
//	type FSDP struct {
//		// Sharding is "full_shard" (the default), "shard_grad_op", which keeps what a forward pass has gathered for
//		// its backward pass, or "no_shard", which is "ddp". Case is ignored.
//		Sharding string
//
//		// Wrap chooses the units that are gathered together (auto_wrap_policy); nil: shard.Blocks, a transformer's
//		// blocks.
//		Wrap shard.Policy
//
//		// CPUOffload keeps rows, gradients and optimizer state on the CPU, where steps run (cpu_offload).
//		CPUOffload bool
//
//		// ParamDType, ReduceDType and BufferDType are the types of gathered parameters, of sums of gradients and of
//		// buffers; 0: their own (mixed_precision). Rows and optimizer state keep their type.
//		ParamDType, ReduceDType, BufferDType torch.DType
//
//		// Ahead is how many units are gathered ahead; 0: 1, negative: none (limit_all_gathers).
//		Ahead int
//
//		// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
//		NoInitSync bool
//
//		// Spawn has goroutines in the place of processes.
//		Spawn bool
//
//		// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
//		Timeout time.Duration
//	}
//
//	// StrategyName returns "fsdp", "fsdp_cpu_offload" with CPUOffload, and either with "_spawn" with Spawn.
//	func (f FSDP) StrategyName() string
//
//	// Plan has a rank for each device.
//	func (f FSDP) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that holds parts; on one rank there is nothing to divide.
//	func (f FSDP) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type FSDP = builtin.FSDP

// DDPSharded is one process for each device, of which each has all parameters, and rows of the gradients and of the optimizer's state
// (fairscale's ShardedDataParallel and OSS; ZeRO's stage 2). fairscale gives each rank whole parameters to update; rows are of more
// equal size, and make checkpoints that any number of ranks can read. Parameters without gradient need no setting.
//
//	type DDPSharded struct {
//		// NoBroadcastBuffers leaves buffers, such as BatchNorm's, as each rank computes them.
//		NoBroadcastBuffers bool
//
//		// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
//		NoInitSync bool
//
//		// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
//		Timeout time.Duration
//	}
//
//	// StrategyName returns "ddp_sharded".
//	func (DDPSharded) StrategyName() string
//
//	// Plan has a process for each device.
//	func (d DDPSharded) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that holds parts; on one rank there is nothing to divide.
//	func (d DDPSharded) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type DDPSharded = builtin.DDPSharded

// DDPShardedSpawn is DDPSharded with a goroutine for each device instead of a process.
//
//	// StrategyName returns "ddp_sharded_spawn".
//	func (DDPShardedSpawn) StrategyName() string
//
//	// Plan has a goroutine for each device, and processes where an engine has started them.
//	func (d DDPShardedSpawn) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open is DDPSharded's.
//	func (d DDPShardedSpawn) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type DDPShardedSpawn = builtin.DDPShardedSpawn

// DeepSpeed is ZeRO as DeepSpeed's stages have it, on golite's own shards; the zero DeepSpeed is stage 2. What DeepSpeed's strategy refuses
// works: several models and optimizers, CPUs, clipping by value and by norm, NoBackwardSync. It clips nothing by itself, where DeepSpeed
// clips at 1.0 unless its JSON says otherwise, and "16-mixed" is autocast as under any other strategy.
//
//	type DeepSpeed struct {
//		// Stage is what ranks keep a part of: 1: the optimizer's state, 2: gradients too, 3: parameters too,
//		// as FSDP; 0: 2. Gradients of stage 1 are cut as soon as those of stage 2: it never takes more memory than
//		// it does in DeepSpeed.
//		Stage int
//
//		// OffloadOptimizer keeps the optimizer's state, and the rows that it steps, on the CPU.
//		OffloadOptimizer bool
//
//		// OffloadParameters keeps parameters on the CPU between uses: stage 3 only, and with OffloadOptimizer.
//		OffloadParameters bool
//
//		// Config is DeepSpeed's JSON. It is not read yet, and refused: the fields here, ClipGradNorm, optimizers and
//		// schedulers take its place.
//		Config any
//
//		// NoInitSync leaves out rank 0's parameters and buffers being given to all when a model is set up.
//		NoInitSync bool
//
//		// Wrap chooses the units of stage 3 that are gathered together; nil: shard.Blocks.
//		Wrap shard.Policy
//
//		// Spawn has goroutines in the place of processes.
//		Spawn bool
//
//		// Timeout stands for Config.Timeout where it is not 0. Giving both is refused.
//		Timeout time.Duration
//	}
//
//	// StrategyName returns "deepspeed_stage_2" and the like, with "_offload" where something is offloaded and
//	// "_spawn" with Spawn.
//	func (d DeepSpeed) StrategyName() string
//
//	// Plan has a rank for each device.
//	func (d DeepSpeed) Plan(r strategy.Request) (strategy.Plan, error)
//
//	// Open returns a Session that holds parts; on one rank there is nothing to divide.
//	func (d DeepSpeed) Open(ctx context.Context, e *strategy.Env) (strategy.Session, error)
type DeepSpeed = builtin.DeepSpeed
