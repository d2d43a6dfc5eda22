package config

import (
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/golite/golite/lite/accelerator"
)

// Config is on which devices, with which strategy and in which precision Run runs. The zero Config is one CPU in 32
// bits.
//
// # Where settings come from
//
// A setting may be given in four places; a later one replaces an earlier one:
//
//  1. in code, in the fields below;
//  2. in a YAML file (a regular file), which the flag -config or LITE_CONFIG names;
//  3. in the environment;
//  4. on the command line, where the program called RegisterFlags.
//
// The names of a setting in each:
//
//	field         key in the file  environment         flag
//	Accelerator   accelerator      LITE_ACCELERATOR    -accelerator
//	Strategy      strategy         LITE_STRATEGY       -strategy
//	Devices       devices          LITE_DEVICES        -devices
//	GPUs          gpus             LITE_GPUS           -gpus
//	TPUCores      tpu_cores        LITE_TPU_CORES      -tpu-cores
//	NumNodes      num_nodes        LITE_NUM_NODES      -num-nodes
//	Precision     precision        LITE_PRECISION      -precision
//	Timeout       timeout          LITE_TIMEOUT        -timeout
//	Debug         debug            LITE_DEBUG          -debug
//	PrefixOutput  prefix_output    LITE_PREFIX_OUTPUT  -prefix-output
//
// GPUs stands for Accelerator and Devices together, and replaces and is replaced as such; so does TPUCores. Within one
// place GPUs and Devices contradict each other and are refused, as is all else that is contradictory or that this
// machine has not: before anything starts, with the remedy and what there is.
type Config struct {
	// Accelerator is "cpu", "cuda", "mps", "gpu" (mps where there is one, else cuda), "auto", the best there is,
	// another name that was registered with package accelerator, or a value: an accelerator.Accelerator. Empty means
	// "auto" where Devices is set, else "cpu". "mps", Apple's GPUs, is untested: its code is checked by the compiler
	// and has never run. "tpu" is refused: libtorch has no TPU backend of its own.
	Accelerator any

	// Strategy is a name ("auto", "single_device", "dp", "ddp", "ddp_spawn", "ddp_find_unused_parameters", or another
	// that was registered with package strategy, in any case) or a value with settings: DDP{StaticGraph: true}, or
	// another strategy.Strategy. Empty means "auto": "single_device" for one device, "ddp" for several and where an
	// engine such as torchrun started several ranks.
	Strategy any

	// Devices is how many devices, or which: see Devices. Empty or "0" means the CPU; with Accelerator set, empty means
	// "auto".
	Devices accelerator.Devices

	// GPUs is short for Devices with Accelerator "gpu".
	GPUs accelerator.Devices

	// TPUCores is short for Devices with Accelerator "tpu", which is refused.
	TPUCores accelerator.Devices

	// NumNodes is the number of machines. 0 means 1, or what the engine that started the ranks has set.
	NumNodes int

	// Precision is "32-true" (the default), "64-true", "16-mixed", "bf16-mixed", "16-true" or "bf16-true", or one of
	// Lite's names "32", "64", "16", "bf16".
	Precision string

	// Plugins are at most one each of: a cluster.Environment, a precision policy (amp.Precision), a CheckpointIO, a
	// launch.Launcher, an accelerator and a strategy value.
	Plugins []any

	// Timeout is how long a rank waits for its peers, at the start of the run as in a collective, before the run fails
	// with an error that names the ranks that waited, where, and those that are missing. 0 means DefaultTimeout, 5
	// minutes. A strategy value with a Timeout of its own leaves none to be given here.
	Timeout time.Duration

	// Debug makes ranks that are processes compare their calls before they make them: ranks that disagree, as where one
	// skips a collective, then fail at once with both call sites, instead of waiting for each other. It costs a message
	// more per collective. Goroutine ranks always compare: it costs them nothing.
	Debug bool

	// PrefixOutput writes "[rank N] " before each line that a rank which golite started as a process writes, to the
	// standard output and the standard error. Goroutine ranks share one output, and an engine has its own flag for it.
	PrefixOutput bool

	// Logger receives golite's own messages. nil: warnings go to the standard error, and the rest nowhere.
	Logger *zap.Logger

	// Callbacks are values whose methods Lite.Call calls by name. Lite itself calls OnAfterSetup and
	// OnAfterOptimizerStep.
	Callbacks []any

	// Loggers receive what Lite.Log and Lite.LogDict are given, on rank 0.
	Loggers []MetricLogger

	// Output is where Lite.Print and Lite.Printf write. nil: the standard output.
	Output io.Writer

	flags *commandLine // what RegisterFlags registered; a copy of the Config shares it
}

// MetricLogger is where metrics go: a CSV file, TensorBoard's event files, or one of the user's own. It corresponds to
// Fabric's Logger. Methods are called on global rank 0 only, one at a time. A logger that has a method Open() error as
// well is opened before Run's function begins; an error there ends the run.
type MetricLogger interface {
	// Name is the logger's name in messages.
	Name() string
	// LogMetrics records values under their names at a step.
	LogMetrics(metrics map[string]float64, step int64) error
	// LogHyperparams records the settings of the run, once.
	LogHyperparams(params map[string]any) error
	// Close writes what is buffered. Run calls it when the function returns, and gives it that function's error.
	Close(runErr error) error
}
