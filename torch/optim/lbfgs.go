package optim

import (
	"fmt"
	"math"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/nn"
)

// LBFGSOptions are NewLBFGS' optional arguments.
type LBFGSOptions struct {
	MaxIter         *int     // iterations of a step; nil: 20
	MaxEval         *int     // calls of the closure in a step; nil: MaxIter * 5/4
	ToleranceGrad   *float64 // stop when no gradient is larger; nil: 1e-7
	ToleranceChange *float64 // stop when loss or parameters change less; nil: 1e-9
	HistorySize     *int     // how many steps the curvature is estimated from; nil: 100
	StrongWolfe     bool     // line_search_fn "strong_wolfe" in the place of a step of fixed length
}

// LBFGS is the limited-memory quasi-Newton method (torch.optim.LBFGS; PyTorch's default rate is 1). It computes the
// loss several times a step, so its step is StepFunc, with a closure that clears the gradients, computes the loss,
// calls Backward and returns the loss; Step panics. All parameters are one group on one device.
//
// The loss decides how far a step goes and when it ends. On several ranks lite.Setup has it decide by the mean of the
// ranks' losses, as the gradients are a mean, so that all of them go alike; in PyTorch the closure must return that
// mean.
type LBFGS struct {
	Base
	lbfgsSettings // the group's, read at the beginning of a step
	memory        memory
}

// lbfgsSettings are the settings of LBFGS beside the rate.
type lbfgsSettings struct {
	maxIter, maxEval, history     int
	toleranceGrad, toleranceDelta float64
	strongWolfe                   bool
}

// memory is LBFGS's state between steps.
type memory struct {
	evals, iters            int
	dir, prevGrad, diagonal *torch.Tensor
	length                  num // of the last step, in the direction's
	olds, steps, ro         []*torch.Tensor
	al                      []*torch.Tensor
	prevLoss                float64
	started                 bool
}

// NewLBFGS makes an optimizer of params with a learning rate (torch.optim.LBFGS, whose default rate is 1). It panics
// where every constructor does (see the package's comment), and if MaxIter or HistorySize is below 1.
func NewLBFGS(params []nn.Parameter, lr float64, opts ...LBFGSOptions) *LBFGS {
	o := one("LBFGS", opts)
	set := lbfgsSettings{maxIter: orElse(o.MaxIter, 20), history: orElse(o.HistorySize, 100),
		toleranceGrad: orElse(o.ToleranceGrad, 1e-7), toleranceDelta: orElse(o.ToleranceChange, 1e-9),
		strongWolfe: o.StrongWolfe}
	set.maxEval = orElse(o.MaxEval, set.maxIter*5/4)
	if set.maxIter < 1 || set.history < 1 {
		torch.Fail("optim.NewLBFGS", "MaxIter is %d and HistorySize %d: want 1 or more", set.maxIter, set.history)
	}
	l := &LBFGS{}
	l.setUp(lbfgs{lr, set}, single(params))
	return l
}

// AddParamGroup panics: LBFGS has one group.
func (l *LBFGS) AddParamGroup(Group) {
	l.made("optim.LBFGS.AddParamGroup")
	torch.Fail("optim.LBFGS.AddParamGroup", "LBFGS takes all parameters as one vector, in one group")
}

// Step panics: see StepFunc.
func (l *LBFGS) Step() {
	l.made("optim.LBFGS.Step")
	torch.Fail("optim.LBFGS.Step", "LBFGS computes the loss several times a step: call StepFunc with a closure")
}

// StepFunc makes one step and returns what the closure returned first: the loss before the step.
func (l *LBFGS) StepFunc(closure func() *torch.Tensor) *torch.Tensor {
	if closure == nil {
		torch.Fail("optim.LBFGS.StepFunc", "the closure is nil")
	}
	l.made("optim.LBFGS.StepFunc")
	l.readSettings()
	var loss *torch.Tensor
	step := func() {
		loss = torch.ScopeOf(func() *torch.Tensor {
			return torch.NoGradOf(func() *torch.Tensor { return l.iterate(closure) })
		})
	}
	l.intercepted(step)
	return loss
}

// search is one step under way.
type search struct {
	*LBFGS
	closure func() *torch.Tensor
	loss    float64
	grad    *torch.Tensor // all gradients, flat
	evals   int
}

// evaluation is what leaves the scope of a closure's call.
type evaluation struct{ Loss, Grad *torch.Tensor }

// evaluate computes the loss and the gradients where the parameters are.
func (s *search) evaluate() *torch.Tensor {
	e := torch.ScopeOf(func() evaluation {
		loss := torch.EnableGradOf(s.closure)
		if loss == nil {
			torch.Fail("optim.LBFGS.StepFunc", "the closure returned nil: want the loss")
		}
		return evaluation{loss, s.flatGrad()}
	})
	s.loss, s.grad = e.Loss.Item(), e.Grad
	if i, ok := s.interceptor.(interface{ Loss(loss float64) float64 }); ok {
		s.loss = i.Loss(s.loss)
	}
	return e.Loss
}

func (l *LBFGS) flatGrad() *torch.Tensor {
	grads := torch.Grads(l.tensors)
	flat := make([]*torch.Tensor, len(grads))
	for i, g := range grads {
		if g == nil {
			g = torch.ZerosLike(l.tensors[i])
		}
		if g.Layout() != torch.Strided {
			g = g.ToDense()
		}
		flat[i] = aten.Reshape(g, []int{-1})
	}
	return aten.Cat(flat, 0)
}

// largest is the greatest magnitude in t.
func largest(t *torch.Tensor) num { return numOf(aten.Max(aten.Abs(t))) }

func (l *LBFGS) iterate(closure func() *torch.Tensor) *torch.Tensor {
	s := &search{LBFGS: l, closure: closure, evals: 1}
	m := &l.memory
	defer m.keep()
	first := s.evaluate()
	m.started = true
	m.evals++
	if atMost(largest(s.grad), scalar(l.toleranceGrad)) {
		return first
	}
	lr := l.groups[0].LR
	for n := 1; n <= l.maxIter; n++ {
		m.iters++
		if m.iters == 1 {
			m.forget()
			m.dir = aten.Neg(s.grad)
		} else {
			m.direction(s.grad, l.history)
		}
		m.prevGrad, m.prevLoss = s.grad.Clone(), s.loss
		m.length = scalar(lr)
		if m.iters == 1 {
			m.length = firstLength(s.grad, lr)
		}
		slope := numOf(aten.Dot(s.grad, m.dir))
		if less(scalar(-l.toleranceDelta), slope) {
			break
		}
		if s.move(slope, n) {
			break
		}
	}
	return first
}

// firstLength is the first step's: min(1, 1/|grad|) * lr.
func firstLength(grad *torch.Tensor, lr float64) num {
	inverse := quotient(scalar(1), numOf(aten.Sum(aten.Abs(grad), 0)))
	return product(lesser(scalar(1), inverse), scalar(lr))
}

// move goes along the direction and reports whether the step is over. slope is the loss's derivative along it.
func (s *search) move(slope num, n int) (over bool) {
	m := &s.memory
	done, evals := false, 0
	if s.strongWolfe {
		at := s.clones()
		w := &wolfe{search: s, at: at, dir: m.dir, from: point{loss: s.loss, grad: s.grad, slope: slope},
			most: s.maxEval - s.evals}
		best, calls := w.run(m.length)
		s.loss, s.grad, m.length, evals = best.loss, best.grad, best.t, calls
		s.add(m.length, m.dir)
		done = atMost(largest(s.grad), scalar(s.toleranceGrad))
	} else {
		s.add(m.length, m.dir)
		if n != s.maxIter {
			s.evaluate()
			done = atMost(largest(s.grad), scalar(s.toleranceGrad))
			evals = 1
		}
	}
	s.evals += evals
	m.evals += evals
	return n == s.maxIter || s.evals >= s.maxEval || done ||
		atMost(largest(times(m.dir, m.length)), scalar(s.toleranceDelta)) || math.Abs(s.loss-m.prevLoss) < s.toleranceDelta
}

func times(t *torch.Tensor, factor num) *torch.Tensor {
	return aten.MulScalar(t, torch.Float(factor.v))
}

// add moves the parameters by t times a flat direction.
func (l *LBFGS) add(t num, dir *torch.Tensor) {
	offset := 0
	for _, p := range l.tensors {
		n := p.Numel()
		aten.AddTensor_(p, aten.View(aten.Narrow(dir, 0, offset, n), p.Shape()), torch.Float(t.v))
		offset += n
	}
}

func (l *LBFGS) clones() []*torch.Tensor {
	out := make([]*torch.Tensor, len(l.tensors))
	for i, p := range l.tensors {
		out[i] = p.Clone()
	}
	return out
}

func (m *memory) forget() {
	m.olds, m.steps, m.ro, m.al = nil, nil, nil, nil
	m.diagonal = nil
}

// direction updates the history with the last step and finds the direction of the next.
func (m *memory) direction(grad *torch.Tensor, size int) {
	y := aten.SubTensor(grad, m.prevGrad, torch.Float(1))
	step := times(m.dir, m.length)
	ys := aten.Dot(y, step)
	if ys.Item() > 1e-10 {
		for len(m.olds) > 0 && len(m.olds) >= size {
			m.olds, m.steps, m.ro = m.olds[1:], m.steps[1:], m.ro[1:]
		}
		m.olds, m.steps, m.ro = append(m.olds, y), append(m.steps, step), append(m.ro, aten.Reciprocal(ys))
		m.diagonal = aten.DivTensor(ys, aten.Dot(y, y))
	}
	if missing := max(size, len(m.olds)) - len(m.al); missing > 0 {
		m.al = append(m.al, make([]*torch.Tensor, missing)...)
	}
	q := aten.Neg(grad)
	for i := len(m.olds) - 1; i >= 0; i-- {
		m.al[i] = aten.MulTensor(aten.Dot(m.steps[i], q), m.ro[i])
		aten.AddTensor_(q, m.olds[i], torch.Float(-m.al[i].Item()))
	}
	m.dir = q
	if m.diagonal != nil {
		m.dir = aten.MulTensor(q, m.diagonal)
	}
	for i, y := range m.olds {
		b := aten.MulTensor(aten.Dot(y, m.dir), m.ro[i])
		aten.AddTensor_(m.dir, m.steps[i], torch.Float(aten.SubTensor(m.al[i], b, torch.Float(1)).Item()))
	}
}

// each calls f with the place of every tensor.
func (m *memory) each(f func(t **torch.Tensor)) {
	for _, t := range []**torch.Tensor{&m.dir, &m.prevGrad, &m.diagonal} {
		f(t)
	}
	for _, l := range [][]*torch.Tensor{m.olds, m.steps, m.ro, m.al} {
		for i := range l {
			f(&l[i])
		}
	}
}

// keep takes the memory out of the step's scope.
func (m *memory) keep() {
	m.each(func(t **torch.Tensor) {
		if *t != nil {
			(*t).Keep()
		}
	})
}

// moveState moves the memory to where the parameters are.
func (l *LBFGS) moveState() {
	p := l.tensors[0]
	torch.NoGrad(func() {
		l.memory.each(func(t **torch.Tensor) {
			if *t != nil {
				*t = placed("", *t, p, false)
			}
		})
	})
}

// lbfgs is the Rule of the settings alone. LBFGS has an update that no Rule can make: it evaluates the closure again
// and again, and takes the parameters as one vector.
type lbfgs struct {
	lr float64
	lbfgsSettings
}

func (lbfgs) Name() string { return "LBFGS" }

func (lbfgs) torchName() string { return "LBFGS" }

func (lbfgs) Slots() []Slot { return nil }

func (lbfgs) Update(*ParamGroup, *Batch) {}

func (lbfgs) Capturable(*ParamGroup) error { return errInGo }

func (r lbfgs) Defaults() map[string]any {
	var line any
	if r.strongWolfe {
		line = "strong_wolfe"
	}
	return map[string]any{"lr": r.lr, "max_iter": r.maxIter, "max_eval": r.maxEval, "tolerance_grad": r.toleranceGrad,
		"tolerance_change": r.toleranceDelta, "history_size": r.history, "line_search_fn": line}
}

// readSettings takes the group's settings, which a loaded state or the user may have changed.
func (l *LBFGS) readSettings() {
	e := l.groups[0].Extra
	l.maxIter, l.maxEval, l.history = e["max_iter"].(int), e["max_eval"].(int), e["history_size"].(int)
	l.toleranceGrad, l.toleranceDelta = e["tolerance_grad"].(float64), e["tolerance_change"].(float64)
	l.strongWolfe = e["line_search_fn"] == "strong_wolfe"
}

// StateDict returns the state in Python's layout: all of it is the first parameter's.
func (l *LBFGS) StateDict() map[string]any {
	d := l.Base.StateDict()
	m := &l.memory
	if !m.started {
		return d
	}
	entry := map[string]any{"func_evals": m.evals, "n_iter": m.iters}
	d["state"] = map[int]any{0: entry}
	if m.dir == nil {
		return d
	}
	lists := map[string][]*torch.Tensor{"old_dirs": m.olds, "old_stps": m.steps, "ro": m.ro}
	if m.al != nil {
		lists["al"] = m.al
	}
	for key, l := range lists {
		items := make([]any, len(l))
		for i, t := range l {
			if t != nil {
				items[i] = t
			}
		}
		entry[key] = items
	}
	entry["d"], entry["prev_flat_grad"], entry["prev_loss"], entry["t"] = m.dir, m.prevGrad, m.prevLoss, m.length.v
	if m.length.dtype != 0 {
		torch.NoScope(func() { entry["t"] = torch.Options{DType: m.length.dtype, Device: m.dir.Device()}.Scalar(m.length.v) })
	}
	entry["H_diag"] = any(1)
	if m.diagonal != nil {
		entry["H_diag"] = m.diagonal
	}
	return d
}

// LoadStateDict copies a state in Python's layout; on an error nothing is changed.
func (l *LBFGS) LoadStateDict(d map[string]any) error {
	if err := torch.Try(func() { l.made("optim.LBFGS.LoadStateDict") }); err != nil {
		return err
	}
	states, err := numbered(d["state"])
	if err != nil {
		return fmt.Errorf("optim: state of LBFGS: %w", err)
	}
	var m memory
	if entry, there := states[0]; there {
		fields, ok := mapping(entry)
		if !ok {
			return fmt.Errorf("optim: state of LBFGS: the first parameter's is a %s", typename.Of(entry))
		}
		if err := l.read(&m, fields); err != nil {
			return fmt.Errorf("optim: state of LBFGS: %w", err)
		}
	}
	if err := l.Base.LoadStateDict(map[string]any{"state": map[int]any{}, "param_groups": d["param_groups"]}); err != nil {
		return err
	}
	l.memory = m
	return nil
}

// read makes a memory from a file's fields.
func (l *LBFGS) read(m *memory, fields map[string]any) error {
	m.started = true
	for key, to := range map[string]*int{"func_evals": &m.evals, "n_iter": &m.iters} {
		f, ok := number(fields[key])
		if !ok {
			return fmt.Errorf("%s is a %s, want a number", key, typename.Of(fields[key]))
		}
		*to = int(f)
	}
	if fields["d"] == nil {
		return nil
	}
	size := 0
	for _, p := range l.tensors {
		size += p.Numel()
	}
	var err error
	for key, to := range map[string]**torch.Tensor{"d": &m.dir, "prev_flat_grad": &m.prevGrad, "H_diag": &m.diagonal} {
		if *to, err = l.copied(key, fields[key], size); err != nil {
			return err
		}
	}
	for key, to := range map[string]*[]*torch.Tensor{"old_dirs": &m.olds, "old_stps": &m.steps, "ro": &m.ro, "al": &m.al} {
		items, _ := list(fields[key])
		for _, v := range items {
			t, err := l.copied(key, v, size)
			if err != nil {
				return err
			}
			*to = append(*to, t)
		}
	}
	if len(m.olds) != len(m.steps) || len(m.olds) != len(m.ro) {
		return fmt.Errorf("its history has %d, %d and %d entries: want as many of each", len(m.olds), len(m.steps), len(m.ro))
	}
	length, counted := number(fields["t"])
	var ok bool
	if m.prevLoss, ok = number(fields["prev_loss"]); !ok || !counted {
		return fmt.Errorf("t is %v and prev_loss %v: want numbers", fields["t"], fields["prev_loss"])
	}
	m.length = scalar(length)
	if t, ok := fields["t"].(*torch.Tensor); ok {
		m.length.dtype = t.DType()
	}
	if m.dir == nil || m.prevGrad == nil {
		return fmt.Errorf("it has no prev_flat_grad")
	}
	return nil
}

// copied is a copy of a file's tensor, or number, on the parameters' device.
func (l *LBFGS) copied(key string, v any, size int) (out *torch.Tensor, err error) {
	torch.NoGrad(func() {
		torch.NoScope(func() {
			switch v := v.(type) {
			case nil:
			case *torch.Tensor:
				if v.Dim() > 0 && v.Numel() != size {
					err = fmt.Errorf("%s has %d elements, and the parameters %d", key, v.Numel(), size)
					return
				}
				out = placed("", v, l.tensors[0], false).Clone()
			default:
				f, ok := number(v)
				if !ok {
					err = fmt.Errorf("%s is a %s, want a tensor", key, typename.Of(v))
					return
				}
				out = torch.Options{DType: torch.Float64}.Scalar(f)
			}
		})
	})
	return out, err
}
