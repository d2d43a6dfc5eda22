package builtin

import (
	"context"
	"fmt"

	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch/nn"
)

// SingleDevice is one rank on one device.
type SingleDevice struct{}

// StrategyName returns "single_device".
func (SingleDevice) StrategyName() string { return "single_device" }

// Plan wants one device on one node.
func (SingleDevice) Plan(r strategy.Request) (strategy.Plan, error) {
	switch n := len(r.Devices); {
	case n > 1:
		return strategy.Plan{}, fmt.Errorf(`one device, but devices=%q are %d: use "ddp" or "ddp_spawn", or fewer devices`, r.DevicesText, n)
	case r.Nodes > 1:
		return strategy.Plan{}, fmt.Errorf(`one rank, but num_nodes=%d: use "ddp"`, r.Nodes)
	}
	return strategy.Plan{Ranks: strategy.OnePerDevice(r), Launcher: "here"}, nil
}

// Open returns a Session in which nothing surrounds a pass.
func (SingleDevice) Open(_ context.Context, e *strategy.Env) (strategy.Session, error) {
	return &single{e}, nil
}

// single is the Session of a rank that works alone.
type single struct{ e *strategy.Env }

func (s *single) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	return nil, s.e.Place(m, o)
}

func (s *single) Capturable() error { return nil }

func (s *single) Close(error) error { return nil }

var _ strategy.Capturer = (*single)(nil)
