package lite

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/optim"
)

// captureWarmup is how many calls of a captured step run as they are before it is recorded: libraries set themselves up, optimizers make their state.
const captureWarmup = 3

// captureMin is how often a recorded step must be replayed before a change of its optimizers' settings is worth another recording.
const captureMin = 10

// Capture returns a step that is recorded on a GPU once, as a CUDA graph, and replayed from then on: what a small step costs is mostly the thousand calls
// that start its kernels, and a replay is one (torch.cuda.make_graphed_callables, for whole steps). The step is the body of a training loop: it takes a
// batch, and returns what the loop wants of it, tensors on the device or nothing.
//
//	step := lite.Capture(l, func(b mnist.Batch) *torch.Tensor {
//		opt.ZeroGrad()
//		loss := F.CrossEntropy(model.Forward(b.Input), b.Target)
//		l.Backward(loss)
//		l.ClipGradNorm(model, opt, 1)
//		opt.Step()
//		return loss
//	})
//
// On the CPU it is the step itself, and nothing changes. On a GPU the first calls run as they are, and every call trains: none is lost. A replay runs no
// Go: what the step does besides tensors (counting, logging, branches) happens in the first calls only, and gradients aren't to be seen after it. The
// step must not wait for the device (Item, printing a tensor). Optimizers need Fused, unless they are plain SGD without a scaler; the settings that they
// had are recorded, so a learning rate that changes now and then is recorded anew.
//
// Where it can't be replayed the step runs as it is, and the log says so once, with the reason: a batch of another shape (it alone; the last of a pass,
// say), a step that can't be recorded, rates that change all the time, several ranks.
func Capture[B, R any](l *Lite, step func(batch B) R) func(batch B) R {
	c := &capture[B, R]{l: l, step: step, said: map[string]bool{}}
	if l.device.Type != torch.CUDAType {
		return step
	}
	if l.peers != nil {
		c.giveUp(errors.New("several ranks average their gradients in it"))
		return step
	}
	c.warm = func(f func()) { besideStream(l.device.Index, f) }
	c.record = func(f func()) (func(), error) {
		g := cuda.NewGraph(l.device.Index)
		return g.Replay, g.Capture(f, cuda.CaptureOptions{Generators: []*torch.Generator{l.rankGen}})
	}
	return c.call
}

// capture is a step, and its recording.
type capture[B, R any] struct {
	l      *Lite
	step   func(B) R
	warm   func(f func())                            // runs a call of the warm-up
	record func(f func()) (replay func(), err error) // records f, which doesn't run

	calls, replays int
	eager          bool // it is not recorded any more
	said           map[string]bool

	replay   func() // nil: not recorded
	stepped  []*stepper
	settings string
	in       []*torch.Tensor // the recorded batch's tensors
	rest     B               // the batch without its tensors
	out      R
}

func (c *capture[B, R]) call(b B) R {
	switch {
	case c.eager:
		return c.step(b)
	case c.calls < captureWarmup:
		c.calls++
		return c.warmUp(b)
	case c.replay != nil && c.changed() && c.replays < captureMin:
		c.giveUp(fmt.Errorf("its optimizers' settings changed after %d steps, and recording costs more than that", c.replays))
		return c.step(b)
	case c.replay == nil || c.changed():
		if err := c.recordWith(b); err != nil {
			c.giveUp(err)
			return c.step(b)
		}
	}
	if !c.fits(b) {
		return c.step(b)
	}
	return c.run(b)
}

func (c *capture[B, R]) warmUp(b B) (r R) {
	c.stepped = nil
	c.l.stepped = func(s *stepper) { c.stepped = append(c.stepped, s) }
	defer func() { c.l.stepped = nil }()
	c.warm(func() { r = c.step(b) })
	return r
}

// besideStream runs f in a stream of its own, as what is to be recorded wants it.
func besideStream(device int, f func()) {
	now, side := cuda.CurrentStream(device), cuda.NewStream(device)
	side.WaitStream(now)
	defer now.WaitStream(side)
	cuda.WithStream(side, f)
}

func (c *capture[B, R]) changed() bool { return c.settings != settingsOf(c.stepped) }

func settingsOf(list []*stepper) (text string) {
	for _, s := range list {
		text += optim.Settings(s.o)
	}
	return text
}

// recordWith records the step with copies of a batch's tensors.
func (c *capture[B, R]) recordWith(b B) error {
	scaler := c.l.precision.Scaler()
	for _, s := range c.stepped {
		if err := optim.Capturable(s.o, scaler != nil); err != nil {
			return err
		}
	}
	c.replay, c.in, c.replays = nil, nil, 0
	var static B
	torch.NoGrad(func() {
		static = mapTensors(b, func(t *torch.Tensor) *torch.Tensor {
			kept := t.Detach().Clone().Keep()
			c.in = append(c.in, kept)
			return kept
		})
	})
	c.rest = withoutTensors(b)
	c.settings = settingsOf(c.stepped)
	var before map[string]any
	if scaler != nil {
		scaler.Update() // each replay changes the scale itself, at its end
		before = scaler.StateDict()
	}
	c.l.recording = true
	defer func() { c.l.recording = false }()
	replay, err := c.record(func() {
		torch.Scope(func() {
			c.out = c.step(static)
			if scaler != nil {
				scaler.Update()
			}
			torch.EachTensor(c.out, func(t *torch.Tensor) { t.Keep() })
		})
	})
	if err != nil {
		if scaler != nil { // it has heard of steps that never ran
			err = errors.Join(err, scaler.LoadStateDict(before))
		}
		return err
	}
	c.replay = replay
	return nil
}

// fits tells whether a batch differs from the recorded one in nothing but its tensors' values, and says once where it does.
func (c *capture[B, R]) fits(b B) bool {
	tensors := tensorsOf(b)
	why := ""
	if len(tensors) != len(c.in) {
		why = fmt.Sprintf("it has %d tensors, not %d", len(tensors), len(c.in))
	}
	for i := 0; why == "" && i < len(tensors); i++ {
		if t, r := tensors[i], c.in[i]; t.DType() != r.DType() || !reflect.DeepEqual(t.Shape(), r.Shape()) {
			why = fmt.Sprintf("a tensor is %s%v, not %s%v", t.DType(), t.Shape(), r.DType(), r.Shape())
		}
	}
	if why == "" && !reflect.DeepEqual(withoutTensors(b), c.rest) {
		why = "it differs in something that is no tensor"
	}
	if why != "" {
		c.say("shape", "a batch is not like the one that the step was recorded with, and runs as it is: "+why)
	}
	return why == ""
}

func tensorsOf[B any](b B) (list []*torch.Tensor) {
	mapTensors(b, func(t *torch.Tensor) *torch.Tensor { list = append(list, t); return t })
	return list
}

func withoutTensors[B any](b B) B {
	return mapTensors(b, func(*torch.Tensor) *torch.Tensor { return nil })
}

// run replays the step on a batch. The results are copies: the next replay writes the recorded ones.
func (c *capture[B, R]) run(b B) (r R) {
	torch.NoGrad(func() {
		for i, t := range tensorsOf(b) {
			c.in[i].CopyNonBlocking_(t)
		}
		c.replay()
		r = mapTensors(c.out, func(t *torch.Tensor) *torch.Tensor { return t.Detach().Clone() })
	})
	c.replays++
	for _, s := range c.stepped {
		optim.Replayed(s.o)
		s.made()
		s.Stepped()
	}
	return r
}

func (c *capture[B, R]) giveUp(err error) {
	c.eager, c.replay = true, nil
	c.say("eager", "the step is not recorded as a CUDA graph, and runs as it is: "+err.Error())
}

func (c *capture[B, R]) say(about, text string) {
	if !c.said[about] {
		c.said[about] = true
		c.l.log.Warn("lite.Capture: " + text)
	}
}
