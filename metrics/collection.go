package metrics

import (
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/torch"
)

// Collection is several metrics of the same predictions and targets, by name (torchmetrics.MetricCollection). Compute meets the other
// ranks once for all of them.
type Collection struct {
	names []string
	list  map[string]Scorer
}

// NewCollection makes a Collection.
//
//	all := metrics.NewCollection(map[string]metrics.Scorer{
//		"accuracy": metrics.NewAccuracy(task),
//		"f1":       metrics.NewF1(task),
//	})
func NewCollection(list map[string]Scorer) *Collection {
	for name, m := range list {
		if m == nil {
			torch.Fail("metrics.NewCollection", "metric %q is nil", name)
		}
	}
	return &Collection{names: slices.Sorted(maps.Keys(list)), list: maps.Clone(list)}
}

// Update adds a batch to all metrics.
func (c *Collection) Update(preds, target *torch.Tensor) {
	for _, name := range c.names {
		c.list[name].Update(preds, target)
	}
}

// Forward adds a batch to all metrics and returns the batch's values.
func (c *Collection) Forward(preds, target *torch.Tensor) map[string]*torch.Tensor {
	out := map[string]*torch.Tensor{}
	for _, name := range c.names {
		out[name] = c.list[name].Forward(preds, target)
	}
	return out
}

// based is a metric of this package.
type based interface{ self() *base }

func (b *base) self() *base { return b }

// Compute returns the values of all updates since Reset, of all ranks, or of this rank alone with nil. All ranks call it.
func (c *Collection) Compute(r Ranks) map[string]*torch.Tensor {
	out := map[string]*torch.Tensor{}
	var names []string
	var list []*base
	for _, name := range c.names {
		if m, ok := c.list[name].(based); ok {
			names, list = append(names, name), append(list, m.self())
		} else {
			out[name] = c.list[name].Compute(r)
		}
	}
	values := torch.NoGradOf(func() []*torch.Tensor {
		return torch.ScopeOf(func() []*torch.Tensor {
			var values []*torch.Tensor
			for i, states := range gather(r, list) {
				values = append(values, list[i].finish(states))
			}
			return values
		})
	})
	for i, name := range names {
		out[name] = values[i]
	}
	return out
}

// Metric returns the metric of a name, nil if there is none.
func (c *Collection) Metric(name string) Scorer { return c.list[name] }

// Names returns the names, sorted.
func (c *Collection) Names() []string { return slices.Clone(c.names) }

// Reset drops the states of all metrics.
func (c *Collection) Reset() {
	for _, name := range c.names {
		c.list[name].Reset()
	}
}

// StateDict returns the metrics' states by name.
func (c *Collection) StateDict() map[string]any {
	out := map[string]any{}
	for _, name := range c.names {
		out[name] = c.list[name].StateDict()
	}
	return out
}

// LoadStateDict replaces the metrics' states. On an error all states stay as they were.
func (c *Collection) LoadStateDict(state map[string]any) error {
	if !slices.Equal(keys(state), c.names) {
		return fmt.Errorf("metrics.Collection: the state has the metrics %v, want %v", keys(state), c.names)
	}
	before := c.StateDict()
	for i, name := range c.names {
		s, ok := state[name].(map[string]any)
		err := fmt.Errorf("it is a %T, want a map", state[name])
		if ok {
			err = c.list[name].LoadStateDict(s)
		}
		if err == nil {
			continue
		}
		for _, done := range c.names[:i] {
			if failed := c.list[done].LoadStateDict(before[done].(map[string]any)); failed != nil {
				return fmt.Errorf("metrics.Collection: metric %q: %w", done, failed)
			}
		}
		return fmt.Errorf("metrics.Collection: metric %q: %w", name, err)
	}
	return nil
}
