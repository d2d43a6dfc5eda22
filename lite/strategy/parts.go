package strategy

import (
	"reflect"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

// Optional parts of a Module.
type (
	// Dispatcher runs a method of the module in its own way, in place of Forward: on replicas, with parts of the
	// arguments. It converts arguments and results by Env.Precision itself.
	Dispatcher interface {
		Dispatch(m Method, args []reflect.Value) []reflect.Value // its results, one for each of the method's
	}

	// NoSyncer runs f, whose gradients stay on this rank (no_sync): Lite.NoBackwardSync. Default: f().
	NoSyncer interface {
		NoSync(f func()) // runs f
	}

	// ModuleCloser undoes SetupModule before the end of the run (Model.Close): the Session keeps neither the module nor
	// optimizers that have its parameters alone. Default: nothing, and the Session keeps them.
	ModuleCloser interface {
		CloseModule() // called once
	}

	// Joiner runs f, in which ranks may make different numbers of passes: Lite.Join. Default: f().
	Joiner interface {
		Join(f func(), o ddp.JoinOptions) // runs f
	}
)

// Method is a method of a module that was set up.
type Method struct {
	Name  string        // for messages, such as "*main.Net.Forward"
	Value reflect.Value // bound to the module

	// On returns the method bound to another module of the same type. The error says why the method is not known; it
	// is the same for each module, and nil for those that pass Setup under a Dispatcher.
	On func(m nn.Module) (reflect.Value, error)
}

// Optional parts of a Session.
type (
	// OptimizerSetter prepares an optimizer whose parameters were set up before: it divides its state among the ranks, or
	// refuses one that needs whole tensors. Default: optim.MoveState.
	OptimizerSetter interface {
		SetupOptimizer(o optim.Optimizer) error // called once for each
	}

	// ModuleIniter runs build, which makes a module, where the module will be used. empty asks for one without memory.
	// Default: with the rank's device as torch's default device, or with meta's.
	ModuleIniter interface {
		InitModule(build func(), empty bool) // runs build
	}

	// Backwarder calls run with the loss or with what takes its place, and may add work before and after. Default:
	// run(loss).
	Backwarder interface {
		Backward(loss *torch.Tensor, run func(loss *torch.Tensor)) // calls run once
	}

	// Stepper surrounds an optimizer's Step. step removes the scaler's factor, and updates the parameters unless it
	// finds an overflow, as its result reports; Step returns that result. Default: step().
	Stepper interface {
		Step(o optim.Optimizer, step func() (ran bool)) (ran bool) // calls step once
	}

	// GradNormer computes the common norm of gradients of which ranks hold parts; Lite.ClipGradNorm scales by it.
	// Default: that of the gradients as they are.
	GradNormer interface {
		GradNorm(params []nn.Parameter, normType float64) *torch.Tensor // without dimensions, equal on all ranks
	}

	// GradChecker is a Session that combines the gradients of some parameters over the ranks, and whose copies of
	// parameters diverge by other gradients: on several ranks Step refuses a gradient that is not combined, and
	// Lite.IgnoreParameters excepts parameters. Default: Step refuses none.
	GradChecker interface {
		// NotCombined returns those of tensors whose gradients the Session does not combine, without ignored ones.
		NotCombined(tensors []*torch.Tensor) []*torch.Tensor
		// Revision changes where NotCombined's result may have.
		Revision() int
		// IgnoreParameters leaves parameters to the program.
		IgnoreParameters(params []*torch.Tensor)
	}

	// FoundInfReducer combines an overflow's mark over the ranks, in place, for a Session whose ranks hold parts of the
	// gradients: then all of them leave the step out and change the scale alike. lite calls it on every rank, once for each
	// optimizer whose gradients the scaler divides, also on a rank without gradients (amp.GradScaler.OnFoundInf). Default:
	// the mark is that of the rank's own gradients.
	FoundInfReducer interface {
		ReduceFoundInf(found *torch.Tensor) // float32, one element, above 0 after an overflow
	}

	// Checkpointer is a Session whose ranks hold parts of tensors. lite writes and reads these parts in place of the
	// tensors that a module or an optimizer shows on one rank: Lite.SaveSharded writes them as they are, Lite.Save
	// collects them into one plain file while it is written, and Lite.Load reads either, which any number of ranks may
	// have written. Default: each tensor is whole and equal on all ranks, and rank 0's is saved.
	//
	// All ranks call Save, SaveSharded and Load with States of the same keys, and lite calls these methods on all of them
	// in the same order, so that they may call collectives. A part that is saved lies along dimension 0: its Offsets are 0
	// and its sizes those of the whole tensor but for the first dimension. Together the parts cover the tensor, and where
	// several ranks hold the same rows the lowest rank's are saved. A rank may hold none: its Tensor then has 0 rows.
	Checkpointer interface {
		// Part returns this rank's part of a parameter or a buffer, by the tensor that nn.StateDict returns for it; nil:
		// the tensor is whole, or none of this Session's. Load writes into the part's Tensor, and its result is read at
		// once: the same call may return other tensors later.
		Part(t *torch.Tensor) *serial.Shard
		// Loaded is called at the end of each Load that has written into parameters and buffers, before it restores
		// optimizers, for what the Session derives from them.
		Loaded() error
		// OptimizerState returns the state in the layout of optim.Optimizer's StateDict, whose tensors may be
		// *serial.Shard. It may return o.StateDict() for optimizers that are not divided.
		OptimizerState(o optim.Optimizer) (map[string]any, error)
		// OptimizerPart returns where this rank's rows of the state tensors of a parameter lie, the parameter given by its
		// number in the state: the part begins at offsets and has sizes, in a tensor of that shape. Tensors of other
		// shapes, such as a count of steps, are whole. nil: the parameter's state is whole.
		OptimizerPart(o optim.Optimizer, param int) (offsets, sizes, shape []int)
		// LoadOptimizer takes a state in the layout of OptimizerState: what OptimizerPart has described is a *serial.Shard,
		// whoever wrote the file, and all else whole. On an error nothing is changed.
		LoadOptimizer(o optim.Optimizer, state map[string]any) error
	}

	// Stateful is a Session with state of its own, such as a count of steps: the checkpoint of Lite.Save keeps it for
	// each rank. Values are those that package serial writes: numbers, text, tensors, slices and maps of them.
	Stateful interface {
		StateDict() map[string]any                // a copy: it is written later
		LoadStateDict(state map[string]any) error // takes what StateDict returned on a rank of that number
	}

	// Seeder seeds generators that Lite.SeedEverything does not reach, such as those of replicas.
	Seeder interface {
		Seed(seed uint64) // called by SeedEverything
	}

	// Capturer returns why lite.Capture can't record a step under this strategy; nil: it can. Default: an error, and
	// steps run as they are.
	Capturer interface {
		Capturable() error // nil or the reason
	}
)

// As returns the part T of v, or of what v wraps: a value with a method Unwrap() any wraps that method's result. ok
// reports whether there is one.
func As[T any](v any) (part T, ok bool) {
	for v != nil {
		if part, ok = v.(T); ok {
			return part, true
		}
		w, wraps := v.(interface{ Unwrap() any })
		if !wraps {
			break
		}
		v = w.Unwrap()
	}
	return part, false
}
