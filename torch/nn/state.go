package nn

import (
	"fmt"
	"slices"

	"github.com/golite/golite/internal/statekeys"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/serial/errs"
)

// StateDict returns a model's parameters and saved buffers by their keys, in PyTorch's order: a module's own
// parameters, its buffers, then its children. The tensors share the model's memory, have no history and belong to no
// scope. A shared parameter is there under each of its keys. (torch.nn.Module.state_dict)
func StateDict(m Module) *torch.StateDict {
	sd := &torch.StateDict{}
	eachState(tree("nn.StateDict", m), func(key string, t *torch.Tensor) { sd.Set(key, unscoped(t)) })
	return sd
}

// eachState walks what is saved, in order.
func eachState(root *node, f func(key string, t *torch.Tensor)) {
	root.each(func(n *node) bool {
		for _, e := range n.params {
			f(join(n.path, e.key), e.tensor)
		}
		for _, e := range n.buffers {
			if e.persistent {
				f(join(n.path, e.key), e.tensor)
			}
		}
		return true
	})
}

// LoadOptions are LoadStateDict's optional arguments.
type LoadOptions struct {
	// NonStrict accepts missing and unexpected keys and loads what fits (strict=False). A shape that differs is an error
	// all the same.
	NonStrict bool
	// Rename gives each key of the state dict the name that it has in the model, as
	// func(key string) string { return strings.TrimPrefix(key, "encoder.") } does; "" leaves it out. Python programs
	// rewrite the dict's keys for that. nil: the names are the keys.
	Rename func(key string) string
	// Keys, if not nil, receives the missing and unexpected keys, also when they are accepted.
	Keys *IncompatibleKeys
}

// IncompatibleKeys are the keys that a model has and a state dict doesn't, and the other way round (what
// torch.nn.Module.load_state_dict returns).
type IncompatibleKeys struct{ Missing, Unexpected []string }

// Mismatch is a key whose tensors differ in shape.
type Mismatch = errs.Mismatch

// StateDictError is what LoadStateDict returns: everything that doesn't fit, at once. Package serial calls it
// ErrMismatch.
type StateDictError = errs.ErrMismatch

// LoadStateDict copies a state dict's tensors into a model's parameters and buffers, in place, so that optimizers made
// before keep theirs; types and devices are converted to the model's (torch.nn.Module.load_state_dict). What PyTorch's
// wrappers put before the keys is found and dropped: "_orig_mod." of torch.compile, wherever it stands, and "module."
// of DistributedDataParallel, DataParallel and AveragedModel where all keys have it, with AveragedModel's n_averaged.
// All that doesn't fit comes back as one *StateDictError, and then nothing was copied. A model that can't be walked is
// a *torch.Error.
func LoadStateDict(m Module, sd *torch.StateDict, opts ...LoadOptions) error {
	var misfit *StateDictError
	err := torch.Try(func() {
		o := one("nn.LoadStateDict", opts)
		if sd == nil {
			torch.Fail("nn.LoadStateDict", "the state dict is nil")
		}
		sd, err := statekeys.Rename(sd, o.Rename)
		if err != nil {
			torch.Fail("nn.LoadStateDict", "%v", err)
		}
		pairs, e := match(m, statekeys.Unwrap(sd, func() []string { return StateDict(m).Keys() }))
		if o.Keys != nil {
			*o.Keys = IncompatibleKeys{slices.Clone(e.Missing), slices.Clone(e.Unexpected)}
		}
		if len(e.Mismatched) > 0 || !o.NonStrict && len(e.Missing)+len(e.Unexpected) > 0 {
			misfit = e
			return
		}
		torch.Scope(func() { torch.NoGrad(func() { copyAll(pairs) }) })
	})
	if err == nil && misfit != nil {
		return misfit
	}
	return err
}

// pair is a model's tensor and the saved one to copy into it.
type pair struct{ to, from *torch.Tensor }

// match finds a model's tensors in a state dict, and what doesn't fit.
func match(m Module, sd *torch.StateDict) ([]pair, *StateDictError) {
	var pairs []pair
	e := &StateDictError{Model: fmt.Sprintf("%T", m)}
	known := map[string]bool{}
	eachState(tree("nn.LoadStateDict", m), func(key string, to *torch.Tensor) {
		known[key] = true
		from, ok := sd.Get(key)
		switch {
		case !ok || from == nil:
			e.Missing = append(e.Missing, key)
		case !fits(from, to):
			e.Mismatched = append(e.Mismatched, Mismatch{Key: key, Saved: from.Shape(), Want: to.Shape()})
		default:
			pairs = append(pairs, pair{to, from})
		}
	})
	for _, key := range sd.Keys() {
		if !known[key] {
			e.Unexpected = append(e.Unexpected, key)
		}
	}
	return pairs, e
}

func copyAll(pairs []pair) {
	for _, p := range pairs {
		if p.to.Dim() == 0 && p.from.Dim() == 1 {
			p.from = aten.View(p.from, []int{})
		}
		aten.Copy_(p.to, p.from, false)
	}
}

// fits reports whether a saved tensor has the shape wanted. One element is as good as a scalar, as files of old have
// it.
func fits(from, to *torch.Tensor) bool {
	a, b := from.Shape(), to.Shape()
	return slices.Equal(a, b) || len(b) == 0 && slices.Equal(a, []int{1})
}
