package lite

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// parts are the optional parts of the run's Session, with what holds without them. What runs at every step is nil
// where the Session has no such part.
type parts struct {
	setupOptimizer func(o optim.Optimizer) error
	initModule     func(build func(), empty bool)
	seed           func(seed uint64)
	capturable     func() error
	backward       strategy.Backwarder
	step           strategy.Stepper
	norm           strategy.GradNormer
	checker        strategy.GradChecker
	state          strategy.Stateful
	checkpoint     strategy.Checkpointer
}

// openSession opens the strategy's Session on this rank.
func (l *Lite) openSession(s Strategy, devices []torch.Device, threads int) error {
	e := &strategy.Env{
		Rank: l.rank.GlobalRank, World: l.rank.WorldSize, LocalRank: l.rank.LocalRank, LocalWorld: l.rank.LocalWorldSize, Node: l.rank.NodeRank,
		Accelerator: l.accelerator, Devices: devices, Precision: l.precision, Group: l.group, Threads: max(1, threads), Log: l.log, Place: l.placeModule,
	}
	session, err := s.Open(l.ctx, e)
	switch {
	case err != nil:
		return fmt.Errorf("lite: strategy %q: %w", s.StrategyName(), err)
	case session == nil:
		return fmt.Errorf("lite: strategy %q: Open of %T returned no Session", s.StrategyName(), s)
	}
	l.session, l.strategy = session, s.StrategyName()
	if err := checkUnwrap[strategy.Session](session); err != nil {
		return errors.Join(fmt.Errorf("lite: strategy %q: %w", s.StrategyName(), err), l.closeSession(err))
	}
	l.parts = l.partsOf(session, s.StrategyName())
	if scaler := l.precision.Scaler(); scaler != nil {
		if x, ok := strategy.As[strategy.FoundInfReducer](session); ok {
			scaler.OnFoundInf(x.ReduceFoundInf)
			l.atEnd(func() { scaler.OnFoundInf(nil) })
		}
	}
	return nil
}

// partsOf finds a Session's parts.
func (l *Lite) partsOf(s strategy.Session, name string) parts {
	p := parts{
		setupOptimizer: func(o optim.Optimizer) error { optim.MoveState(o); return nil },
		initModule:     l.initModule,
		seed:           func(uint64) {},
		capturable:     func() error { return fmt.Errorf("strategy %q has no Capturer", name) },
	}
	if x, ok := strategy.As[strategy.OptimizerSetter](s); ok {
		p.setupOptimizer = x.SetupOptimizer
	}
	if x, ok := strategy.As[strategy.ModuleIniter](s); ok {
		p.initModule = x.InitModule
	}
	if x, ok := strategy.As[strategy.Seeder](s); ok {
		p.seed = x.Seed
	}
	if x, ok := strategy.As[strategy.Capturer](s); ok {
		p.capturable = x.Capturable
	}
	p.backward, _ = strategy.As[strategy.Backwarder](s)
	p.step, _ = strategy.As[strategy.Stepper](s)
	p.norm, _ = strategy.As[strategy.GradNormer](s)
	p.state, _ = strategy.As[strategy.Stateful](s)
	p.checkpoint, _ = strategy.As[strategy.Checkpointer](s)
	if l.rank.WorldSize > 1 {
		p.checker, _ = strategy.As[strategy.GradChecker](s)
	}
	return p
}

// closeSession ends the strategy's part in the run, whose error err is.
func (l *Lite) closeSession(err error) error {
	s := l.session
	if s == nil {
		return nil
	}
	l.session = nil
	return guard(func() error { return s.Close(err) })
}

// checkUnwrap refuses a value that embeds one of type T, a Session or a Module, and hides that one's optional parts:
// without them a run would go on with gradients that are not averaged, say.
func checkUnwrap[T any](v T) error {
	t := reflect.TypeOf(v)
	if _, open := any(v).(interface{ Unwrap() any }); open || t == nil {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Type == reflect.TypeFor[T]() {
			return fmt.Errorf("%T embeds a %s and has no method Unwrap() any, without which the optional parts of what it embeds are lost: "+
				"let it return the field %s", v, f.Type, f.Name)
		}
	}
	return nil
}

// initModule runs build on the rank's device, or on meta's if the module is to be empty, in the precision's type.
func (l *Lite) initModule(build func(), empty bool) {
	device := l.device
	if empty {
		device = torch.Meta
	}
	torch.WithDevice(device, build)
}
