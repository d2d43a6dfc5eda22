package dist

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist/internal/health"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
)

// Backend makes a group's collectives on tensors of one type of device, on one rank (torch.distributed's Backend). The
// Group checks calls, watches them, aborts and attributes failures; other collectives are composed of these, but Send,
// Recv and AllToAll, which a Backend does not have. A method runs on the goroutine, or the thread of autograd, that
// calls the collective, blocks until it has ended, and writes into the tensors that it is given. It is called for one
// collective at a time, in the same order on all ranks. An error ends the group, as a lost peer does.
type Backend interface {
	// AllReduce combines t over all ranks, in place.
	AllReduce(t *torch.Tensor, op Op) error
	// Broadcast gives every rank's t the values of rank src's.
	Broadcast(t *torch.Tensor, src int) error
	// AllGather fills out with the tensors of all ranks, in their order.
	AllGather(out []*torch.Tensor, t *torch.Tensor) error
	// ReduceScatter combines the lists of all ranks item by item, and fills rank i's out with the i-th.
	ReduceScatter(out *torch.Tensor, in []*torch.Tensor, op Op) error
	// Abort ends the collective that the rank is in, which then returns an error. It is called from any goroutine, once.
	Abort(reason string)
	// Close comes last, when no collective is under way.
	Close()
}

// attacher attaches a backend for tensors on a type of device, and returns the function that ends it after the group.
type attacher func(g *Group, d torch.Device) (end func(), err error)

var backends = struct {
	sync.Mutex
	byName map[string]attacher
}{byName: map[string]attacher{}}

// RegisterBackend registers a backend, by a name for Attach (torch.distributed.Backend.register_backend). make is
// called on each rank. A name is given once: a second time panics.
func RegisterBackend(name string, make func(g *Group, d torch.Device) (Backend, error)) {
	register(name, func(g *Group, d torch.Device) (func(), error) {
		b, err := make(g, d)
		if err != nil {
			return nil, err
		}
		return g.attachGo(name, d, b)
	})
}

func register(name string, a attacher) {
	backends.Lock()
	defer backends.Unlock()
	if backends.byName[name] != nil || name == "gloo" || name == "" {
		torch.Fail("dist.RegisterBackend", "there is a backend %q already", name)
	}
	backends.byName[name] = a
}

// attachment is a backend that was attached.
type attachment struct {
	name   string
	device torch.Device
}

// Attach makes a registered backend carry the group's collectives on tensors on a type of device, the Reducer's among
// them. All ranks call it before they use such tensors; groups that Sub makes afterwards have it too. golite's own is
// "nccl", for CUDA tensors; tensors on the CPU have one from the start.
func (g *Group) Attach(name string, d torch.Device) error {
	backends.Lock()
	attach := backends.byName[name]
	known := slices.Sorted(maps.Keys(backends.byName))
	backends.Unlock()
	if attach == nil {
		return fmt.Errorf("dist.Group.Attach: there is no backend %q: want %s, or one of dist.RegisterBackend", name,
			strings.Join(known, ", "))
	}
	if !g.unopened() { // one of Alone attaches when it is used
		end, err := attach(g, d)
		if err != nil {
			return fmt.Errorf("dist.Group.Attach: %s: %w", name, err)
		}
		g.ends = append(g.ends, end)
	}
	g.attached = append(g.attached, attachment{name, d})
	return nil
}

// attachAll attaches the backends of a list, of the parent's or of a group of Alone.
func (g *Group) attachAll(list []attachment) error {
	for _, a := range list {
		if err := g.Attach(a.name, a.device); err != nil {
			return err
		}
	}
	return nil
}

// attachGo attaches a Backend.
func (g *Group) attachGo(name string, d torch.Device, b Backend) (end func(), err error) {
	forget, cerr := g.c.AttachGo(name, int32(d.Type)-1, &cgotorch.GoBackend{
		Abort: b.Abort,
		Collective: func(kind, op, root int, in, out []cgotorch.Handle) (err error) {
			torch.Scope(func() {
				torch.NoGrad(func() { err = collective(b, kind, Op(op), root, wrap(in), wrap(out)) })
			})
			if err != nil { // the shim ends this rank's collective, and does not reach other processes
				// A backend that was aborted on another rank may fail here before the reason is published.
				why, _ := g.monitor.Board().Failure()
				if why == nil {
					why = &health.Record{Rank: g.rank, Detail: fmt.Sprintf("rank %d, backend %s: %v", g.rank, name, err)}
				}
				g.abort(why)
			}
			return err
		},
	})
	if cerr != nil {
		b.Close()
		return nil, fmt.Errorf("%s", text.FirstLine(cerr.Message))
	}
	return func() { forget(); b.Close() }, nil
}

// wrap makes tensors of handles, which the scope releases.
func wrap(list []cgotorch.Handle) []*torch.Tensor {
	scope := cgotorch.Scope()
	tensors := make([]*torch.Tensor, len(list))
	for i, h := range list {
		tensors[i] = torch.ABI{}.Wrap(h, 0, scope)
	}
	return tensors
}

func collective(b Backend, kind int, op Op, root int, in, out []*torch.Tensor) error {
	switch kind {
	case cgotorch.AllReduce:
		return b.AllReduce(in[0], op)
	case cgotorch.Broadcast:
		return b.Broadcast(in[0], root)
	case cgotorch.AllGather:
		return b.AllGather(out, in[0])
	default:
		return b.ReduceScatter(out[0], in, op)
	}
}
