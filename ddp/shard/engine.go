package shard

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Reshard is when a unit's whole parameters are freed: AfterForward, AfterBackward or Never.
type Reshard uint8

// The times at which a unit's whole parameters are freed.
const (
	// AfterForward frees a unit when the next one is there, in the forward and in the backward pass (FULL_SHARD, ZeRO's
	// stage 3).
	AfterForward Reshard = iota
	// AfterBackward keeps what a forward pass has gathered for its backward pass (SHARD_GRAD_OP).
	AfterBackward
	// Never keeps parameters whole, and gathers them after each Step: gradients and the optimizer's state alone are cut
	// (ZeRO's stages 1 and 2).
	Never
)

// Options are New's optional arguments; the zero value is FSDP2's default.
type Options struct {
	// Reshard is when whole parameters are freed.
	Reshard Reshard
	// ParamDType is the type of whole floating-point parameters and of the inputs of layers in units; 0: the parameter's
	// own. What a rank keeps stays in its own type (MixedPrecisionPolicy.param_dtype). It can't be had with Never.
	ParamDType torch.DType
	// ReduceDType is the type in which gradients are summed; 0: their own (MixedPrecisionPolicy.reduce_dtype).
	ReduceDType torch.DType
	// BufferDType is the type of floating-point buffers; 0: their own (MixedPrecision.buffer_dtype).
	BufferDType torch.DType
	// Device is where units are whole; the zero value: where the parameters are, the CPU for those on the meta device.
	Device torch.Device
	// OffloadCPU keeps rows, gradients and the optimizer's state on the CPU, where the step runs (CPUOffloadPolicy).
	OffloadCPU bool
	// Ahead is how many units are gathered ahead of the one that computes; 0: 1, negative: none (limit_all_gathers).
	Ahead int
	// NoInitSync leaves out rank 0's parameters and buffers being given to all by Shard: ranks that have the same need no
	// message for it.
	NoInitSync bool
	// BroadcastBuffers gives all ranks rank 0's buffers ahead of each forward pass in training, as DDP does.
	BroadcastBuffers bool
	// Units chooses the units; nil: Blocks.
	Units Policy
	// Warn is given warnings; nil drops them.
	Warn func(message string)
}

// Engine is a rank's part in training with shards: the modules that are cut, and the order of their collectives. It is used
// by one goroutine.
type Engine struct {
	ctx     context.Context
	g       *dist.Group
	o       Options
	modules []*Module
	owner   map[*torch.Tensor]*param
	order
	gathered, peak int // bytes of units that are whole
}

// New starts a rank's Engine. ctx bounds its waits.
func New(ctx context.Context, g *dist.Group, o Options) (*Engine, error) {
	if o.Reshard > Never {
		return nil, fmt.Errorf("shard.New: Reshard is %d: want AfterForward, AfterBackward or Never", o.Reshard)
	}
	for name, d := range map[string]torch.DType{"ParamDType": o.ParamDType, "ReduceDType": o.ReduceDType, "BufferDType": o.BufferDType} {
		if d != 0 && !d.IsFloating() {
			return nil, fmt.Errorf("shard.New: %s is %v: want a floating-point type", name, d)
		}
	}
	if o.ParamDType != 0 && o.Reshard == Never {
		return nil, fmt.Errorf("shard.New: ParamDType is %v with Reshard Never, whose whole parameters are those that are stepped: "+
			"leave it out, or use AfterBackward", o.ParamDType)
	}
	if o.Ahead == 0 {
		o.Ahead = 1
	}
	if o.Units == nil {
		o.Units = Blocks
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Engine{ctx: ctx, g: g, o: o, owner: map[*torch.Tensor]*param{}}, nil
}

// Module is a module whose parameters are cut.
type Module struct {
	e       *Engine
	m       nn.Module
	root    *unit
	units   []*unit // without the root
	params  []*param
	remove  []func()
	pass    *pass   // the forward pass under way
	last    []*unit // the order of the units in the last one
	cursor  int     // in last; -1: this pass has another order
	current *unit   // whose layers are called
}

// Shard cuts a module's parameters: each of them is this rank's rows from now on, but with Never. Gradients that they have
// are dropped. Parameters on the meta device get memory for the rows alone, with zeros in them, to be loaded. All ranks
// call it in the same order; where their modules differ, each gets an error. ignored parameters stay as they are.
func (e *Engine) Shard(m nn.Module, ignored ...*torch.Tensor) (*Module, error) {
	x := &Module{e: e, m: m}
	var err error
	if failed := dist.Try(func() { err = x.build(ignored) }); failed != nil {
		err = failed
	}
	if err != nil {
		x.unhook()
		return nil, err
	}
	e.modules = append(e.modules, x)
	return x, nil
}

// spec is what ranks compare of a module.
type spec struct {
	Names  []string
	Shapes [][]int
	Types  []string
	Units  []string
}

func (m *Module) build(ignored []*torch.Tensor) error {
	e := m.e
	units := e.o.Units(m.m)
	of := assign(m.m, units)
	m.root = &unit{m: m, path: ""}
	byPath := map[string]*unit{"": m.root}
	for _, path := range slices.Sorted(maps.Keys(units)) {
		byPath[path] = &unit{m: m, path: path}
	}
	var mine spec
	var tensors []*torch.Tensor
	for name, p := range nn.NamedParameters(m.m) {
		if slices.Contains(ignored, p.Tensor) {
			continue
		}
		if other := e.owner[p.Tensor]; other != nil {
			return fmt.Errorf("shard: the parameter %s of %T is %s of %T, which was cut before: a parameter belongs to one module; "+
				"set up a module that has both", name, m.m, other.name, other.u.m.m)
		}
		if p.Layout() != torch.Strided {
			return fmt.Errorf("shard: the parameter %s of %T is %s: only dense ones can be cut", name, m.m, p.Layout())
		}
		mine.Names = append(mine.Names, name)
		mine.Shapes = append(mine.Shapes, p.Shape())
		mine.Types = append(mine.Types, p.DType().String())
		mine.Units = append(mine.Units, of[p.Tensor])
		tensors = append(tensors, p.Tensor)
	}
	if err := e.agree(m.m, mine); err != nil {
		return err
	}
	torch.ClearGrads(tensors)
	for i, t := range tensors {
		u := byPath[mine.Units[i]]
		p := &param{u: u, name: mine.Names[i], t: t, layout: layoutOf(t.Shape(), e.g.Rank(), e.g.Size())}
		p.cutOff()
		u.params, m.params = append(u.params, p), append(m.params, p)
	}
	for i := range m.params {
		e.owner[tensors[i]] = m.params[i]
	}
	m.buffers(!e.o.NoInitSync)
	for _, path := range slices.Sorted(maps.Keys(units)) {
		if u := byPath[path]; len(u.params) > 0 {
			m.units = append(m.units, u)
			m.hook(units[path], u)
		}
	}
	m.hookRoot()
	m.warnOfSize()
	return nil
}

// agree compares the ranks' modules.
func (e *Engine) agree(m nn.Module, mine spec) error {
	all := dist.AllGatherValues(e.g, mine)
	for rank, s := range all {
		for i := range max(len(s.Names), len(all[0].Names)) {
			if i < len(s.Names) && i < len(all[0].Names) && s.Names[i] == all[0].Names[i] && s.Types[i] == all[0].Types[i] &&
				s.Units[i] == all[0].Units[i] && slices.Equal(s.Shapes[i], all[0].Shapes[i]) {
				continue
			}
			return fmt.Errorf("shard: %T differs on the ranks: parameter %d is %s on rank 0 and %s on rank %d", m, i, all[0].at(i), s.at(i), rank)
		}
	}
	return nil
}

func (s spec) at(i int) string {
	if i >= len(s.Names) {
		return "missing"
	}
	return fmt.Sprintf("%s (%s%v, unit %q)", s.Names[i], s.Types[i], s.Shapes[i], s.Units[i])
}

// buffers gives all ranks rank 0's buffers, and converts them.
func (m *Module) buffers(sync bool) {
	torch.NoGrad(func() {
		torch.Scope(func() {
			for _, b := range nn.Buffers(m.m) {
				device := m.e.o.Device
				if device.Type == 0 {
					device = b.Device()
				}
				if b.Device() == torch.Meta {
					if device == torch.Meta {
						device = torch.CPU
					}
					torch.NoScope(func() { abi.Replace(b.Tensor, torch.ZerosLike(b.Tensor, torch.Options{Device: device})) })
				}
				if b.Device() != device {
					b.SetData(b.To(device))
				}
				if d := m.e.o.BufferDType; d != 0 && b.DType().IsFloating() && b.DType() != d {
					b.SetData(b.To(d))
				}
				switch {
				case !sync || b.Numel() == 0:
				case m.e.g.Rank() == 0:
					m.e.g.Broadcast(b.Tensor, 0)
				default: // a pass before this one may have its backward pass to come, and needs what it has saved
					b.SetData(m.e.g.Broadcast(torch.EmptyLike(b.Tensor), 0))
				}
			}
		})
	})
}

// warnOfSize warns of a unit that has more than half of the model: two of them are whole at a time.
func (m *Module) warnOfSize() {
	if m.e.o.Reshard == Never || m.e.g.Size() == 1 {
		return
	}
	total := 0
	for _, p := range m.params {
		total += p.bytes()
	}
	for _, u := range append([]*unit{m.root}, m.units...) {
		n := 0
		for _, p := range u.params {
			n += p.bytes()
		}
		if 2*n > total {
			what := "the unit " + u.path
			if u == m.root {
				what = "what belongs to no block"
			}
			m.e.o.Warn(fmt.Sprintf("shard: %s has %d%% of the parameters of %T, which are whole at one time: choose smaller units, so that "+
				"memory falls", what, 100*n/total, m.m))
			return
		}
	}
}

// Parameters are the module's parameters that are cut, in its order.
func (m *Module) tensors() []*torch.Tensor {
	list := make([]*torch.Tensor, len(m.params))
	for i, p := range m.params {
		list[i] = p.t
	}
	return list
}

// Has reports whether a tensor is a parameter that was cut.
func (e *Engine) Has(t *torch.Tensor) bool { return e.owner[t] != nil }

// SetupOptimizer prepares an optimizer of parameters that were cut, or will be given to Step: state that it has is cut as
// they are. LBFGS needs whole tensors, and is refused.
func (e *Engine) SetupOptimizer(o optim.Optimizer) error {
	if _, whole := o.(*optim.LBFGS); whole {
		return fmt.Errorf("shard: %T takes products of all parameters, of which this rank has rows alone: use another optimizer, "+
			"or one that treats each element by itself", o)
	}
	var err error
	e.asShards(o.Tensors(), func() (changed bool) {
		var state map[string]any
		if state, err = e.cutState(o, o.StateDict()); err == nil && state != nil {
			err = o.LoadStateDict(state)
		}
		optim.MoveState(o)
		return false
	})
	return err
}

// Step runs an optimizer's step on this rank's rows. step reports whether it changed them.
func (e *Engine) Step(o optim.Optimizer, step func() (ran bool)) (ran bool) {
	e.asShards(o.Tensors(), func() bool {
		ran = step()
		return ran
	})
	return ran
}

// asShards runs f while parameters are this rank's rows. f reports whether it changed them.
func (e *Engine) asShards(tensors []*torch.Tensor, f func() (changed bool)) {
	var units []*unit
	for _, t := range tensors {
		if p := e.owner[t]; p != nil && !slices.Contains(units, p.u) {
			units = append(units, p.u)
		}
	}
	for _, u := range units {
		u.settle()
		if e.o.Reshard == Never {
			u.show(false)
		} else {
			u.reshard()
		}
	}
	if e.o.Reshard != Never {
		f()
		return
	}
	changed, ended := false, false
	defer func() {
		if !ended {
			for _, u := range units {
				u.show(true)
			}
		}
	}()
	changed = f()
	for _, u := range units {
		u.stale = changed
		u.start()
	}
	for _, u := range units {
		u.wait()
	}
	ended = true
}

// Close closes all modules. It has no collectives.
func (e *Engine) Close() {
	for len(e.modules) > 0 {
		e.modules[0].Close()
	}
}

// Close takes the module out of the Engine: it removes the hooks, and frees what is not the parameters' own. Those are rows from
// then on, but with Never. It has no collectives. A second Close does nothing.
func (m *Module) Close() {
	e := m.e
	m.unhook()
	for _, u := range append([]*unit{m.root}, m.units...) {
		for _, p := range u.params {
			delete(e.owner, p.t)
		}
		u.close()
	}
	m.params, m.units = nil, nil
	e.modules = slices.DeleteFunc(e.modules, func(other *Module) bool { return other == m })
	e.pending = slices.DeleteFunc(e.pending, func(p *pass) bool { return p.m == m })
}
