package data

import (
	"fmt"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// position is where a loader is: which pass, and how many of its batches the loop was given.
type position struct {
	epoch int    // passes begun before this one
	given int    // batches given in this pass
	seed  uint64 // of this pass's samples
	// The generators' states when the pass began: from them its order can be drawn once more.
	start, own []byte
	ended      bool // no pass is under way
	replay     bool // this pass's order is drawn from start, not from the default generator
	copy, real *torch.Generator
	made       []*torch.Tensor // for the batch just given: they go with the loop's body
	ready      func()          // what its stage left to be done by the loop
}

// resume is a position read from a checkpoint.
type resume struct{ position }

// stateful is a loader of any type.
type stateful interface {
	StateDict() map[string]any
	LoadStateDict(map[string]any) error
	lastMade() []*torch.Tensor
}

// lastMade are the tensors that were made for the batch given last.
func (l *Loader[B]) lastMade() []*torch.Tensor { return l.pass.made }

// begin starts a pass, or goes on with one that a checkpoint left; ended tells that nothing of it is left.
func (l *Loader[B]) begin() (ended bool) {
	if l.store != nil {
		l.pass = l.store.position
		l.store = nil
		l.pass.replay = true
		if l.pass.ended {
			return true
		}
		l.pass.drawn(func() { l.draw() })
		return false
	}
	l.pass = position{epoch: l.pass.epoch}
	l.pass.start = generatorState(nil)
	if g := l.ownGenerator(); g != nil {
		l.pass.own = generatorState(g)
	}
	l.draw()
	return false
}

// draw draws the pass's base seed, as PyTorch does before it draws the order.
func (l *Loader[B]) draw() {
	if l.pass.replay && l.pass.own != nil {
		if g := l.ownGenerator(); g != nil {
			setGeneratorState(g, l.pass.own)
		}
	}
	l.pass.seed = sampler.DrawSeed(l.o.Generator)
}

// end closes the pass: the next Batches begins another.
func (l *Loader[B]) end() {
	l.pass.ended = true
	l.pass.epoch++
}

// ownGenerator is the generator that the loader or its sampler was given, nil if none.
func (l *Loader[B]) ownGenerator() *torch.Generator {
	if l.o.Generator != nil {
		return l.o.Generator
	}
	if b, ok := l.batches.(*sampler.Batch); ok {
		if s, ok := b.Sampler().(interface{ Generator() *torch.Generator }); ok {
			return s.Generator()
		}
	}
	return nil
}

// drawn runs f, which draws the order: in a resumed pass from a copy of the generator as it was then.
func (p *position) drawn(f func()) {
	if !p.replay || len(p.start) == 0 {
		f()
		return
	}
	if p.copy == nil {
		p.copy = torch.NewGenerator(0)
		setGeneratorState(p.copy, p.start)
	}
	p.real = torch.DefaultGenerator(torch.CPU)
	torch.WithGenerator(p.copy, f)
}

// outside runs f, called from within drawn, with the generator that drawn put aside: f is the user's.
func (p *position) outside(f func()) {
	if p.copy == nil {
		f()
		return
	}
	torch.WithGenerator(p.real, f)
}

func generatorState(g *torch.Generator) (state []byte) {
	if g == nil {
		g = torch.DefaultGenerator(torch.CPU)
	}
	torch.Scope(func() { state = g.State().ToBytes() })
	return state
}

func setGeneratorState(g *torch.Generator, state []byte) {
	torch.Scope(func() { g.SetState(torch.From(state)) })
}

// StateDict returns where the loader is, for a checkpoint: the number of the pass, how many of its batches the loop was
// given (the one in hand is done; those read ahead don't count), and what its order was drawn from. Its values are
// integers, truth values and byte tensors.
func (l *Loader[B]) StateDict() map[string]any {
	epoch := l.pass.epoch
	if l.pass.ended && epoch > 0 {
		epoch--
	}
	s := map[string]any{"epoch": epoch, "batches": l.pass.given, "ended": l.pass.ended}
	if len(l.pass.start) > 0 {
		s["generator"] = torch.From(l.pass.start)
	}
	if len(l.pass.own) > 0 {
		s["own_generator"] = torch.From(l.pass.own)
	}
	for i, c := range l.src.children {
		s[fmt.Sprint("loader", i)] = c.StateDict()
	}
	return s
}

// LoadStateDict puts the loader where StateDict found it: the next Batches gives the rest of that pass, nothing if it
// had ended, and the passes after it go on as they would have.
func (l *Loader[B]) LoadStateDict(s map[string]any) error {
	epoch, ok1 := s["epoch"].(int)
	given, ok2 := s["batches"].(int)
	ended, ok3 := s["ended"].(bool)
	if !ok1 || !ok2 || !ok3 || epoch < 0 || given < 0 {
		return fmt.Errorf("data: no loader's state: want the numbers epoch and batches and the truth value ended, got %v", s)
	}
	r := &resume{position{epoch: epoch, given: given, ended: ended}}
	for key, to := range map[string]*[]byte{"generator": &r.start, "own_generator": &r.own} {
		if v, there := s[key]; there {
			t, ok := v.(*torch.Tensor)
			if !ok {
				return fmt.Errorf("data: a loader's state: %s is a %T, want a tensor of bytes", key, v)
			}
			*to = t.ToBytes()
		}
	}
	for i, c := range l.src.children {
		child, ok := s[fmt.Sprint("loader", i)].(map[string]any)
		if !ok {
			return fmt.Errorf("data: a state of zipped loaders has none for loader %d", i)
		}
		if err := c.LoadStateDict(child); err != nil {
			return err
		}
	}
	l.store = r
	return nil
}
