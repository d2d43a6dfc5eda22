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
