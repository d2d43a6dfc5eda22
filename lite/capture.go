package lite

import (
	"fmt"

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
