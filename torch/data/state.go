package data

import (
	"fmt"
	"slices"
	"sync"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
)

// position is where one pass of a loader is, and what its order is drawn from.
type position struct {
	epoch int    // passes begun before this one
	given int    // batches given in this pass
	seed  uint64 // of this pass's samples
	// The generators' states when the pass began: from them its order can be drawn once more.
	start, own []byte
	seeded     bool   // the order that the ranks share follows from orderSeed and epoch, not from a generator
	orderSeed  uint64 // of a sampler.Distributed
	resumed    bool   // it goes on with a pass that a checkpoint left
	ended      bool   // no pass is under way
	other      []byte // of a resumed pass: what the default generator is while the order is drawn, see exchange

	// Of a resumed pass: what of the order that the ranks share had been given when the checkpoint was made, by however
	// many ranks, and how many of today's batches that is.
	from, base int
}

// passes is a loader's state across its passes. Several may be open at once, such as those of nested loops.
type passes struct {
	mu    sync.Mutex
	next  int         // the number of the next pass
	under []*position // open passes, the outermost first
	last  *position   // the outermost pass that ended last; nil: none did
	store *position   // set by LoadStateDict, taken by the next pass
}

// open begins a pass, or goes on with one that a checkpoint left.
func (s *passes) open() *position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &position{epoch: s.next}
	if s.store != nil {
		p, s.store = s.store, nil
		if p.ended { // a new pass, which draws from where the ended one left the loader's generator
			p = &position{epoch: p.epoch + 1, own: p.own}
		}
	}
	s.next = p.epoch + 1
	s.under = append(s.under, p)
	return p
}

// close ends a pass: the next Batches begins another.
func (s *passes) close(p *position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ended = true
	s.under = slices.DeleteFunc(s.under, func(q *position) bool { return q == p })
	if len(s.under) == 0 {
		s.last = p
	}
}

// saved returns the position that StateDict saves, and whether it is one that LoadStateDict set and no pass has taken
// up.
func (s *passes) saved() (p position, loaded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.store != nil:
		return *s.store, true
	case len(s.under) > 0:
		return *s.under[0], false
	case s.last != nil:
		p := *s.last
		p.epoch = s.next - 1 // passes inside of it were counted, too
		return p, false
	}
	return position{epoch: s.next}, false
}

// underWay reports whether the next pass goes on with one that a checkpoint left.
func (s *passes) underWay() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store != nil && !s.store.ended && s.store.resumed
}

// copy returns a loader like this one, whose passes are its own.
func (l *Loader[B]) copy() *Loader[B] {
	c := *l
	l.at.mu.Lock()
	defer l.at.mu.Unlock()
	c.at = &passes{next: l.at.next, last: l.at.last}
	if l.at.store != nil {
		p := *l.at.store
		c.at.store = &p
	}
	return &c
}

// part is a loader of any type.
type part interface {
	StateDict() map[string]any
	restore(s map[string]any) (put func(), err error)
	leave()
}

// parts are the loaders that a Zip walks, nil for others.
func (l *Loader[B]) parts() []part {
	if z, ok := l.src.(interface{ parts() []part }); ok {
		return z.parts()
	}
	return nil
}

// leave ends the pass that LoadStateDict set, if it had not ended, without reading what is left of it. The loader's
// generator is then where that pass leaves it.
func (l *Loader[B]) leave() {
	if !l.at.underWay() {
		return
	}
	p := l.at.open()
	defer l.at.close(p)
	l.draw(p)
	for _, part := range l.parts() {
		part.leave()
	}
	if l.batches != nil {
		for range l.order(p) {
			break
		}
	}
}

// draw prepares the drawing of a pass's order: the generators are where the pass began.
func (l *Loader[B]) draw(p *position) {
	if l.IsZip() { // it draws nothing itself
		return
	}
	if g := l.ownGenerator(); g != nil {
		if len(p.own) > 0 {
			setGeneratorState(g, p.own)
		} else {
			p.own = generatorState(g)
		}
	}
	switch {
	case len(p.start) == 0:
		p.start = generatorState(nil)
	case p.resumed:
		p.other = p.start
	}
	if !p.resumed {
		p.orderSeed, p.seeded = l.division().seed()
	}
	// PyTorch draws the pass's base seed before it draws the order.
	p.exchange()
	p.seed = sampler.DrawSeed(l.o.Generator)
	p.exchange()
}

// ownGenerator is the generator that the loader or its sampler was given, nil if none.
func (l *Loader[B]) ownGenerator() *torch.Generator {
	if l.o.Generator != nil {
		return l.o.Generator
	}
	var from any = l.batches
	if b, ok := l.batches.(*sampler.Batch); ok {
		from = b.Sampler()
	}
	if s, ok := from.(interface{ Generator() *torch.Generator }); ok {
		return s.Generator()
	}
	return nil
}

// exchange puts the default generator where the drawing of a resumed pass's order has come to, and back again: the
// order is drawn from a state of its own then, and the model's dropout from the one that the checkpoint left. States
// change places, not generators, as a generator of one's own would hold the goroutine to its thread while the loop's
// body runs.
func (p *position) exchange() {
	if len(p.other) == 0 {
		return
	}
	now := generatorState(nil)
	setGeneratorState(torch.DefaultGenerator(torch.CPU), p.other)
	p.other = now
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
// given (the one in hand is done; those read ahead don't count), and what its order was drawn from. Of passes that are
// nested it is the outer one: those inside it begin anew after a resume. Its values are integers, truth values and byte
// tensors.
//
// A pass is under way inside of the loop over Batches. It has ended once that loop was left, in any way: what is saved
// then says that the next pass begins, and a program that counts its epochs counts this one before it saves.
func (l *Loader[B]) StateDict() map[string]any {
	at, loaded := l.at.saved()
	d := l.division()
	s := map[string]any{"epoch": at.epoch, "batches": at.given, "ended": at.ended, "replicas": d.replicas}
	if l.batches != nil {
		s["consumed"] = d.consumed(&at)
	}
	if at.seeded {
		s["seed"] = int(at.orderSeed)
	}
	if len(at.start) > 0 {
		s["generator"] = torch.From(at.start)
	}
	if g := l.ownGenerator(); g != nil && at.ended && !loaded {
		at.own = generatorState(g) // the next pass goes on from here
	}
	if len(at.own) > 0 {
		s["own_generator"] = torch.From(at.own)
	}
	for i, p := range l.parts() {
		s[fmt.Sprint("loader", i)] = p.StateDict()
	}
	return s
}

// LoadStateDict puts the loader where StateDict found it. Of a pass that was under way the next Batches gives the rest,
// which is nothing if the last batch was in hand; after one that had ended it begins the next pass. The passes after it
// go on as they would have. Where another number of ranks (see lite.SetupDataLoader) shares the order, or the batch
// size is another, what is left of the order is divided anew, and no sample comes twice or is left out; of an Iterable,
// whose ranks read parts of their own, that isn't so: as many samples are passed over as whole batches allow. States of
// earlier versions are read as well.
func (l *Loader[B]) LoadStateDict(s map[string]any) error {
	put, err := l.restore(s)
	if err == nil {
		put()
	}
	return err
}

// isState reports what is wrong with the state of a generator.
func (l *Loader[B]) isState(key string, state *torch.Tensor) error {
	g := torch.NewGenerator(0) // of the order: one like the process's own
	if key == "own_generator" {
		if g = l.ownGenerator(); g == nil {
			return nil
		}
	}
	before := g.State()
	defer g.SetState(before)
	return torch.Try(func() { g.SetState(state) })
}

// restore reads a state; put makes it the loader's. Nothing is changed before all of it was found to be well.
func (l *Loader[B]) restore(s map[string]any) (put func(), err error) {
	epoch, ok1 := s["epoch"].(int)
	given, ok2 := s["batches"].(int)
	ended, ok3 := s["ended"].(bool)
	if !ok1 || !ok2 || !ok3 || epoch < 0 || given < 0 {
		return nil, fmt.Errorf("data: no loader's state: want the numbers epoch and batches and the truth value ended, "+
			"got %v", s)
	}
	p := &position{epoch: epoch, given: given, ended: ended}
	for key, to := range map[string]*[]byte{"generator": &p.start, "own_generator": &p.own} {
		if v, there := s[key]; there {
			t, ok := v.(*torch.Tensor)
			if !ok {
				return nil, fmt.Errorf("data: a loader's state: %s is a %s, want a tensor of bytes", key, typename.Of(v))
			}
			*to = t.ToBytes()
			if err := l.isState(key, t); err != nil {
				return nil, fmt.Errorf("data: a loader's state: %s is no generator's state: %w", key, err)
			}
		}
	}
	p.resumed = given > 0 || len(p.start) > 0 // else no pass had begun
	if err := l.division().place(p, s); err != nil {
		return nil, err
	}
	puts := []func(){func() {
		l.at.mu.Lock()
		defer l.at.mu.Unlock()
		l.at.store = p
	}}
	for i, c := range l.parts() {
		state, ok := s[fmt.Sprint("loader", i)].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("data: a state of zipped loaders has none for loader %d", i)
		}
		one, err := c.restore(state)
		if err != nil {
			return nil, err
		}
		puts = append(puts, one)
	}
	return func() {
		for _, f := range puts {
			f()
		}
	}, nil
}
