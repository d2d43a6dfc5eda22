package lite

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/optim"
)

// captureWarmup is how many calls of a captured step run as they are before it is recorded: libraries set themselves
// up, optimizers make their state.
const captureWarmup = 3

// captureMin is how often recorded steps must be replayed before a change of their optimizers' settings is worth
// another recording.
const captureMin = 10

// captureGraphs is how many recordings a step may have, one for each kind of batch, and captureSeen how often batches
// of another kind than the first must have come before theirs is made.
const (
	captureGraphs = 4
	captureSeen   = 3
)

// Capture returns a step that is recorded on a GPU once, as a CUDA graph, and replayed from then on: what a small step
// costs is mostly the thousand calls that start its kernels, and a replay is one (torch.cuda.make_graphed_callables,
// for whole steps). The step is the body of a training loop: it takes a batch, and returns what the loop wants of it,
// tensors on the device or nothing.
//
//	step := lite.Capture(l, func(b data.Example) *torch.Tensor {
//		opt.ZeroGrad()
//		loss := F.CrossEntropy(model.Forward(b.Input), b.Target)
//		l.Backward(loss)
//		l.ClipGradNorm(model, opt, 1)
//		opt.Step()
//		return loss
//	})
//
// On the CPU it is the step itself, and nothing changes. On a GPU the first calls run as they are, and every call
// trains: none is lost. A replay runs no Go: what the step does besides tensors (counting, logging, branches) happens
// in the first calls only, and gradients aren't to be seen after it. The step must not wait for the device (Item,
// printing a tensor), and must not add to gradients of an earlier step: it calls ZeroGrad.
//
// Optimizers need Fused, unless they are plain SGD or a rule of one's own that can be captured (optim.Rule), without a
// scaler. Fused ones may have another learning rate at every step; other settings, and the rate of the others, are part
// of the recording, which is made anew when they change now and then. A state that is loaded makes it anew as well.
//
// Where it can't be replayed the step runs as it is, and one log line gives the reason: batches of another
// shape (the last one of a pass, say; those of up to 3 shapes that come often have recordings of their own), a step
// that can't be recorded, settings that change all the time, several ranks or replicas.
func Capture[B, R any](l *Lite, step func(batch B) R) func(batch B) R {
	if step == nil {
		torch.Fail("lite.Capture", "the function is nil")
	}
	c := &capture[B, R]{l: l, step: step, said: map[string]bool{}}
	recorder, ok := l.accelerator.(accelerator.Recorder)
	if !ok {
		return step
	}
	c.newGraphs = func() accelerator.Graphs { return recorder.Recorder(l.device) }
	c.graphs = c.newGraphs()
	if err := l.parts.capturable(); err != nil {
		c.giveUp(err)
		return step
	}
	return c.call
}

// capture is a step, and its recordings.
type capture[B, R any] struct {
	l    *Lite
	step func(B) R

	newGraphs func() accelerator.Graphs
	graphs    accelerator.Graphs // of all recordings: they share its memory

	calls, replays int
	eager          bool // it is not recorded any more
	full           bool // no other kinds of batches are recorded
	said           map[string]bool

	stepped   []*stepper // of the last call of the warm-up
	settings  string
	revisions int
	made      []*recording[B, R]
	seen      []*sighting[B]
}

func (c *capture[B, R]) call(b B) R {
	switch {
	case c.eager:
		return c.step(b)
	case len(c.made) > 0 && c.revisions != revisionsOf(c.stepped):
		c.drop()
		c.calls = captureWarmup - 1 // the optimizers may make new state, which is no part of a step
	case len(c.made) > 0 && c.settings != settingsOf(c.stepped):
		if c.replays < captureMin {
			c.giveUp(fmt.Errorf("its optimizers' settings changed after %d steps, and recording costs more than that", c.replays))
			return c.step(b)
		}
		c.drop()
	}
	if c.calls < captureWarmup {
		c.calls++
		return c.warmUp(b)
	}
	r, err := c.recordingFor(b)
	switch {
	case err != nil:
		c.giveUp(err)
		return c.step(b)
	case r == nil:
		return c.aside(b)
	}
	return c.run(r, b)
}

func (c *capture[B, R]) warmUp(b B) R {
	c.stepped = nil
	c.l.stepped = func(s *stepper) { c.stepped = append(c.stepped, s) }
	defer func() { c.l.stepped = nil }()
	return c.aside(b)
}

// aside runs the step as it is, where recordings are made.
func (c *capture[B, R]) aside(b B) (r R) {
	c.graphs.Warm(func() { r = c.step(b) })
	return r
}

func settingsOf(list []*stepper) (text string) {
	for _, s := range list {
		text += optim.Settings(s.o)
	}
	return text
}

func revisionsOf(list []*stepper) (n int) {
	for _, s := range list {
		n += optim.Revision(s.o)
	}
	return n
}

// run replays a recording on a batch. The results are copies: the next replay writes the recorded ones.
func (c *capture[B, R]) run(rec *recording[B, R], b B) (r R) {
	for _, s := range c.stepped {
		optim.WriteRates(s.o)
	}
	if scaler := c.l.precision.Scaler(); scaler != nil {
		scaler.Update() // what a step that ran as it is has found
	}
	torch.NoGrad(func() {
		for i, t := range tensorsOf(b) {
			rec.in[i].CopyNonBlocking_(t)
		}
		rec.graph.Replay()
		r = pytree.Map(rec.out, func(t *torch.Tensor) *torch.Tensor { return t.Detach().Clone() })
	})
	c.replays++
	for _, s := range c.stepped {
		optim.Replayed(s.o)
		s.made()
		s.Stepped()
	}
	return r
}

// drop gives the recordings and their memory back.
func (c *capture[B, R]) drop() {
	for _, r := range c.made {
		r.graph.Reset()
		for _, t := range r.in {
			t.Release()
		}
		torch.EachTensor(r.out, func(t *torch.Tensor) { t.Release() })
	}
	c.made, c.replays, c.graphs = nil, 0, c.newGraphs()
}

func (c *capture[B, R]) giveUp(err error) {
	c.eager = true
	c.drop()
	c.say("eager", "the step is not recorded as a CUDA graph, and runs as it is: "+err.Error())
}

func (c *capture[B, R]) say(about, text string) {
	if !c.said[about] {
		c.said[about] = true
		c.l.log.Warn("lite.Capture: " + text)
	}
}

// kind is what batches of one recording have in common: all but their tensors' values.
type kind[B any] struct {
	tensors []tensorKind
	rest    B // the batch without its tensors
}

type tensorKind struct {
	dtype torch.DType
	shape []int
}

func kindOf[B any](b B) (k kind[B]) {
	k.rest = pytree.Map(b, func(t *torch.Tensor) *torch.Tensor {
		k.tensors = append(k.tensors, tensorKind{t.DType(), t.Shape()})
		return nil
	})
	return k
}

// difference says what a batch has that k has not, "" if nothing.
func (k kind[B]) difference(other kind[B]) string {
	if len(other.tensors) != len(k.tensors) {
		return fmt.Sprintf("it has %d tensors, not %d", len(other.tensors), len(k.tensors))
	}
	for i, o := range other.tensors {
		if t := k.tensors[i]; !reflect.DeepEqual(o, t) {
			return fmt.Sprintf("a tensor is %s%v, not %s%v", o.dtype, o.shape, t.dtype, t.shape)
		}
	}
	if !reflect.DeepEqual(other.rest, k.rest) {
		return "it differs in something that is no tensor"
	}
	return ""
}

func tensorsOf[B any](b B) (list []*torch.Tensor) {
	pytree.Map(b, func(t *torch.Tensor) *torch.Tensor { list = append(list, t); return t })
	return list
}

// recording is the graph of a step with batches of one kind.
type recording[B, R any] struct {
	kind  kind[B]
	graph accelerator.Graph
	in    []*torch.Tensor // the recorded batch's tensors
	out   R
}

// sighting counts batches of a kind that has no recording.
type sighting[B any] struct {
	kind kind[B]
	n    int
}

// recordingFor finds or makes the recording for a batch; nil: the step is to run as it is.
func (c *capture[B, R]) recordingFor(b B) (*recording[B, R], error) {
	k := kindOf(b)
	why := ""
	for _, r := range c.made {
		d := r.kind.difference(k)
		if d == "" {
			return r, nil
		}
		if why == "" {
			why = d
		}
	}
	if why != "" {
		c.say("kind", "a batch is not like the one that the step was recorded with, and runs as it is (its like is recorded, too, if it comes often): "+why)
		if !c.often(k) {
			return nil, nil
		}
	}
	r, err := c.recordWith(b, k)
	if err != nil && len(c.made) > 0 {
		c.full = true
		c.say("full", "batches of other kinds run as they are: "+err.Error())
		return nil, nil
	}
	return r, err
}

// often tells whether batches of a kind have come often enough for a recording of theirs, and counts them. Of batches that are all different it keeps few.
func (c *capture[B, R]) often(k kind[B]) bool {
	if c.full || len(c.made) == captureGraphs {
		return false
	}
	for _, s := range c.seen {
		if s.kind.difference(k) == "" {
			s.n++
			return s.n > captureSeen
		}
	}
	if len(c.seen) < 4*captureGraphs {
		c.seen = append(c.seen, &sighting[B]{k, 1})
	}
	return false
}

// recordWith records the step with copies of a batch's tensors. Where that fails all is as before.
func (c *capture[B, R]) recordWith(b B, k kind[B]) (*recording[B, R], error) {
	scaler := c.l.precision.Scaler()
	for _, s := range c.stepped {
		if err := optim.Capturable(s.o, scaler != nil); err != nil {
			return nil, err
		}
	}
	r := &recording[B, R]{kind: k}
	var static B
	torch.NoGrad(func() {
		static = pytree.Map(b, func(t *torch.Tensor) *torch.Tensor {
			kept := t.Detach().Clone().Keep()
			r.in = append(r.in, kept)
			return kept
		})
	})
	c.settings, c.revisions = settingsOf(c.stepped), revisionsOf(c.stepped)
	back := before(c.stepped, scaler)
	c.l.recording = true
	defer func() { c.l.recording = false }()
	var err error
	record := func() {
		r.graph, err = c.graphs.Record(func() {
			torch.Scope(func() {
				r.out = c.step(static)
				if scaler != nil {
					scaler.Update() // each replay changes the scale itself, at its end
				}
				torch.EachTensor(r.out, func(t *torch.Tensor) { t.Keep() })
			})
		}, c.l.rankGen)
	}
	for _, s := range c.stepped {
		optim.WriteRates(s.o)
		inner := record
		record = func() { optim.Recording(s.o, inner) }
	}
	record()
	if err == nil {
		if err = back.check(); err != nil {
			r.graph.Reset()
		}
	}
	if err != nil {
		return nil, errors.Join(err, back.restore())
	}
	c.made = append(c.made, r)
	return r, nil
}

// undo is what a recording changes in Go, though nothing runs.
type undo struct {
	stepped       []*stepper
	params, grads []*torch.Tensor
	scaler        *amp.GradScaler // or nil
	scale         map[string]any
}

func before(stepped []*stepper, scaler *amp.GradScaler) *undo {
	u := &undo{stepped: stepped, scaler: scaler}
	for _, s := range stepped {
		u.params = append(u.params, s.o.Tensors()...)
	}
	u.grads = torch.Grads(u.params)
	if scaler != nil {
		scaler.Update()
		u.scale = scaler.StateDict()
	}
	return u
}

// check refuses a recording that adds to gradients which were there before: they are not its own, and whoever drops them frees what it writes to.
func (u *undo) check() error {
	for i, g := range torch.Grads(u.params) {
		if was := u.grads[i]; g != nil && was != nil && g.SameStorage(was) {
			return errors.New("it adds to gradients that were there before: call ZeroGrad in it, before Backward")
		}
	}
	return nil
}

func (u *undo) restore() error {
	for i, p := range u.params {
		p.SetGrad(u.grads[i])
	}
	for _, s := range u.stepped {
		optim.Replayed(s.o)
	}
	if u.scaler == nil {
		return nil
	}
	return u.scaler.LoadStateDict(u.scale)
}
