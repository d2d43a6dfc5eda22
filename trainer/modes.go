package trainer

import (
	"fmt"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
)

// evalMode puts a module into evaluation mode; the function that it returns gives each layer its own mode back.
func evalMode(m nn.Module) (restore func()) {
	type mode struct {
		layer    nn.Module
		training bool
	}
	var modes []mode
	for _, layer := range nn.NamedModules(m) {
		if l, ok := layer.(interface{ Training() bool }); ok {
			modes = append(modes, mode{layer, l.Training()})
		}
	}
	nn.Eval(m)
	return func() {
		for _, mode := range modes { // a module comes before its children
			if mode.training {
				nn.Train(mode.layer)
			} else {
				nn.Eval(mode.layer)
			}
		}
	}
}

// isolated runs f and gives the default generators their states back, so that what f draws changes nothing.
func (t *Trainer) isolated(f func() error) error {
	defer t.streams()()
	return f()
}

// streams returns what gives the default generators the states that they have now.
func (t *Trainer) streams() (restore func()) {
	generators := []*torch.Generator{torch.DefaultGenerator(torch.CPU), t.l.RankGenerator()}
	if d := t.l.Device(); d != torch.CPU {
		generators = append(generators, torch.DefaultGenerator(d))
	}
	states := make([]*torch.Tensor, len(generators))
	for i, g := range generators {
		states[i] = g.State().Keep()
	}
	return func() {
		for i, g := range generators {
			g.SetState(states[i])
		}
	}
}

// inOrder returns the loader without shuffling, for OverfitBatches.
func inOrder[B any](l *data.Loader[B]) (*data.Loader[B], error) {
	if l.IsIterable() || l.IsZip() || l.Samples() < 0 || l.BatchSize() < 1 {
		return nil, fmt.Errorf("trainer: OverfitBatches reads the same batches each epoch, and a loader is iterable or a Zip: give a loader of a data set with a length")
	}
	return l.WithBatchSampler(sampler.NewBatch(sampler.NewSequential(l.Samples()), l.BatchSize(), l.Options().DropLast)), nil
}
