package ddp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/callsite"
	"github.com/golite/golite/internal/distabi"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/text"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// ParallelOptions are the optional arguments of New; the zero value is PyTorch's default.
type ParallelOptions struct {
	// FindUnusedParameters searches each forward pass for parameters that have no part in it, so that reduction does not
	// wait for their gradients.
	FindUnusedParameters bool
	// StaticGraph asserts that each step uses the same parameters, in the same order.
	StaticGraph bool
	// GradientAsBucketView makes gradients views of their buckets, which saves their memory once.
	GradientAsBucketView bool
	// NoBroadcastBuffers keeps each rank's own buffers, from the start on (broadcast_buffers=False).
	NoBroadcastBuffers bool
	// NoInitSync leaves the parameters as they are at the start, which must then be equal (init_sync=False).
	NoInitSync bool
	// BucketCapMB is the size of a bucket in MiB; 0 is 25, with a first bucket of 1.
	BucketCapMB float64
	// Hook sends gradients in another form: HookFP16, HookBF16, PowerSGD, or one of the program's own. The default is
	// to sum them as they are.
	Hook Hook
	// Name is the model's, for messages.
	Name string
}

// DistributedDataParallel keeps the ranks' copies of a model equal: the gradients of each backward pass become their
// mean over all ranks, while backward still runs (torch.nn.parallel.DistributedDataParallel). It is c10d's own Reducer.
//
// The model's forward pass runs between PreForward and PostForward:
//
//	d, err := ddp.Wrap(ctx, group, net)
//	...
//	d.PreForward()
//	out := d.PostForward(net.Forward(x))[0]
//	loss := F.CrossEntropy(out, y)
//	group.TranslateErrors(loss.Backward)
type DistributedDataParallel struct {
	g       *dist.Group
	r       cgotorch.Reducer
	opts    ParallelOptions
	params  []*torch.Tensor                  // all, in the model's order
	buffers iter.Seq2[string, *torch.Tensor] // none where each rank keeps its own
	trained []*torch.Tensor                  // those that have gradients
	names   []string                         // of those
	forget  func()
	closing sync.Once

	sync             bool // backward reduces: false in NoSync
	paramSync        bool // the last forward's backward reduced: buffers are broadcast before the next
	staticGraphReady bool // a forward pass has led to one that reduces
	// PostForward has prepared for a backward pass since the last PreForward; not with FindUnusedParameters
	prepared bool
	local    bool // there were forward passes in NoSync
	rebuilt  int
	join     *join
}

const (
	stateBytes  = 250 << 20 // a message at the start
	bufferBytes = 250 << 20
)

// Wrap is New for a module.
func Wrap(ctx context.Context, g *dist.Group, m nn.Module, opts ...ParallelOptions) (*DistributedDataParallel, error) {
	params := func(yield func(string, *torch.Tensor) bool) {
		for name, p := range nn.NamedParameters(m) {
			if !yield(name, p.Tensor) {
				return
			}
		}
	}
	buffers := func(yield func(string, *torch.Tensor) bool) {
		for name, b := range nn.NamedBuffers(m) {
			if !yield(name, b.Tensor) {
				return
			}
		}
	}
	o, err := options.Named("ddp.Wrap", opts)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = fmt.Sprintf("%T", m)
	}
	return New(ctx, g, params, buffers, o)
}

// ErrNothingToTrain is New's error, on all ranks, for a model of which no parameter requires a gradient. Nothing was
// broadcast then.
var ErrNothingToTrain = errors.New("no parameter requires a gradient: there is nothing to train together")

// New ties a model's parameters to those of the other ranks: it checks that all ranks have the same, by name, shape,
// type and order, gives them rank 0's values, buffers included, and from then on averages their gradients. Both
// sequences may be read again later; parameters must stay the same tensors. Where the models differ every rank gets an
// error that names the first difference. ctx bounds the check.
func New(ctx context.Context, g *dist.Group, params, buffers iter.Seq2[string, *torch.Tensor],
	opts ...ParallelOptions) (*DistributedDataParallel, error) {
	o, err := options.Named("ddp.New", opts)
	if err != nil {
		return nil, err
	}
	if o.BucketCapMB < 0 {
		return nil, fmt.Errorf("ddp.New: BucketCapMB is %v: want more than 0, or 0 for 25", o.BucketCapMB)
	}
	if buffers == nil || o.NoBroadcastBuffers {
		buffers = func(func(string, *torch.Tensor) bool) {}
	}
	d := &DistributedDataParallel{g: g, opts: o, buffers: buffers, sync: true, paramSync: true}
	var mine modelSpec
	for name, p := range params {
		mine.Parameters = append(mine.Parameters, paramSpec{name, p.Shape(), p.DType().String(), !p.RequiresGrad()})
		d.params = append(d.params, p)
		if p.RequiresGrad() {
			d.trained = append(d.trained, p)
			d.names = append(d.names, name)
		}
	}
	for name, b := range buffers {
		mine.Buffers = append(mine.Buffers, paramSpec{name, b.Shape(), b.DType().String(), false})
	}
	if err := d.agree(ctx, mine); err != nil {
		return nil, err
	}
	if err := d.reducer(); err != nil {
		return nil, err
	}
	return d, nil
}

// agree compares the ranks' models and makes their parameters equal.
func (d *DistributedDataParallel) agree(ctx context.Context, mine modelSpec) error {
	stop := context.AfterFunc(ctx, func() { d.g.Abort(fmt.Sprintf("ddp.New was cancelled: %v", context.Cause(ctx))) })
	defer stop()
	var wrong error
	err := dist.Try(func() {
		if wrong = d.verify(mine); wrong != nil {
			return
		}
		if len(d.trained) == 0 {
			wrong = fmt.Errorf("ddp.New: %s: %w", cmp.Or(d.opts.Name, "the model"), ErrNothingToTrain)
			return
		}
		if !d.opts.NoInitSync {
			d.synchronize(0)
		}
	})
	if err != nil {
		return err
	}
	return wrong
}

func (d *DistributedDataParallel) reducer() error {
	flags, bytes := 0, 25<<20
	for _, f := range []struct {
		on   bool
		flag int
	}{
		{d.opts.FindUnusedParameters, cgotorch.FindUnused},
		{d.opts.GradientAsBucketView, cgotorch.BucketView},
		{d.opts.StaticGraph, cgotorch.StaticGraph},
		{d.opts.BucketCapMB > 0, cgotorch.OwnCap},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	if d.opts.BucketCapMB > 0 {
		bytes = int(d.opts.BucketCapMB * (1 << 20))
	}
	r, err := cgotorch.NewReducer(distabi.Handle(d.g), flags, bytes, d.opts.Name, torch.ABI{}.Handles(d.trained), d.names)
	if err != nil {
		return fmt.Errorf("ddp.New: %s", text.FirstLine(err.Message))
	}
	d.r = r
	if d.opts.Hook != nil {
		if err := d.opts.Hook.install(d); err != nil {
			d.Close()
			return err
		}
	}
	return nil
}

// Group returns the ranks' group.
func (d *DistributedDataParallel) Group() *dist.Group { return d.g }

// PreForward precedes a forward pass in training: it broadcasts rank 0's buffers. Without gradients it does nothing,
// and makes no collective: ranks may then have different numbers of batches. For a module in evaluation mode neither
// PreForward nor PostForward is called.
func (d *DistributedDataParallel) PreForward() {
	if !torch.GradEnabled() {
		return
	}
	d.g.TranslateErrors(func() {
		torch.NoScope(func() {
			d.notifyJoin()
			d.prepared = false
			var missing []int
			var err *cgotorch.Error
			if d.sync {
				var anew bool
				if anew, missing, err = d.r.Forward(d.join != nil); anew {
					d.rebuilt++
				}
			} else {
				missing, err = d.r.Rebuild()
			}
			d.refuseUnused(missing)
			if err != nil {
				argumentError("DistributedDataParallel", err)
			}
			if d.paramSync {
				d.broadcastBuffers()
			}
			d.notifyBackward()
		})
	})
}

// refuseUnused names the parameters that the last backward pass gave no gradient to, if there are any.
func (d *DistributedDataParallel) refuseUnused(missing []int) {
	if len(missing) == 0 {
		return
	}
	names := make([]string, len(missing))
	for i, p := range missing {
		names[i] = d.names[p]
	}
	torch.Fail("ddp.DistributedDataParallel", "the last backward pass gave no gradient to %s of %s, and so their means "+
		"are still waited for: they had no part in the loss; set FindUnusedParameters (strategy %q) or StaticGraph",
		strings.Join(names, ", "), cmp.Or(d.opts.Name, "the model"), "ddp_find_unused_parameters")
}

// PostForward follows the forward pass and takes its outputs; use what it returns in their place. A backward pass
// inside of the forward pass takes a PostForward of its own ahead of it, which is given the loss.
func (d *DistributedDataParallel) PostForward(outputs ...*torch.Tensor) []*torch.Tensor {
	if !torch.GradEnabled() {
		return outputs
	}
	if !d.sync {
		if d.opts.StaticGraph && !d.staticGraphReady {
			torch.Fail("ddp.DistributedDataParallel", "StaticGraph learns the graph from the first backward pass, which must "+
				"reduce: NoSync comes after it")
		}
		d.paramSync, d.local = false, true
		return d.attachDDPSink(outputs, d.opts.FindUnusedParameters && !d.opts.StaticGraph, "", nil)
	}
	d.paramSync, d.staticGraphReady = true, true
	site := "the backward of the forward pass at " + callsite.Site()
	if d.opts.FindUnusedParameters && !d.opts.StaticGraph {
		// The search for unused parameters is made when a backward pass begins: this forward pass may have none, or one that
		// another forward pass has a part in.
		return d.attachDDPSink(outputs, true, site, d.leftover())
	}
	if d.prepared {
		d.rebuild()
		if d.opts.StaticGraph {
			return d.attachDDPSink(outputs, true, site, nil)
		}
	}
	needed := d.prepare(outputs, site, !d.prepared)
	d.prepared = true
	return d.attachDDPSink(outputs, needed, "", nil)
}

// leftover lists the parameters that have gradients of passes in NoSync, where unused parameters are looked for. The
// Reducer leaves the gradient of a parameter as it is that no rank uses in the pass that reduces, and so these must
// have a part in that.
func (d *DistributedDataParallel) leftover() (list []*torch.Tensor) {
	if !d.local {
		return nil
	}
	for i, g := range torch.Grads(d.trained) {
		if g != nil && d.trained[i].RequiresGrad() {
			list = append(list, d.trained[i])
		}
	}
	return list
}

// prepare makes the Reducer wait for the gradients of a backward pass, with now for those of the next one, and reports
// whether the outputs must go through its node.
func (d *DistributedDataParallel) prepare(outputs []*torch.Tensor, site string, now bool) (needed bool) {
	var graph []*torch.Tensor
	if !d.opts.StaticGraph {
		graph = withGraph(outputs)
	}
	needed, err := d.r.Backward(site, now, torch.ABI{}.Handles(graph))
	runtime.KeepAlive(outputs)
	if err != nil {
		panic(torch.ABI{}.Error("ddp.DistributedDataParallel", err, outputs...))
	}
	return needed
}

// Reductions returns the number of backward passes that have averaged gradients since New.
func (d *DistributedDataParallel) Reductions() int {
	n, err := d.r.Reductions()
	if err != nil {
		argumentError("DistributedDataParallel", err)
	}
	return n
}

// rebuild lays the buckets out anew where that is due: the Reducer can't do it any more once it has prepared for
// another backward pass.
func (d *DistributedDataParallel) rebuild() {
	d.g.TranslateErrors(func() {
		missing, err := d.r.Rebuild()
		d.refuseUnused(missing)
		if err != nil {
			argumentError("DistributedDataParallel", err)
		}
	})
}

func withGraph(list []*torch.Tensor) (graph []*torch.Tensor) {
	for _, t := range list {
		if t != nil && t.RequiresGrad() {
			graph = append(graph, t)
		}
	}
	return graph
}

// attachDDPSink passes outputs that have a graph through the Reducer's node, which prepares the Reducer where there is
// a site. The backward pass through it also reaches the parameters in left.
func (d *DistributedDataParallel) attachDDPSink(outputs []*torch.Tensor, needed bool, site string,
	left []*torch.Tensor) []*torch.Tensor {
	graph := withGraph(outputs)
	if !needed || len(graph) == 0 {
		return outputs
	}
	var r op.Results
	w, err := d.r.Sink(site, torch.ABI{}.Handles(graph), torch.ABI{}.Handles(left), r.Buffer())
	runtime.KeepAlive(graph)
	runtime.KeepAlive(left)
	if err != nil {
		panic(torch.ABI{}.Error("ddp.DistributedDataParallel", err, graph...))
	}
	r.Set(w)
	passed := torch.ABI{}.ResultList(&r)
	all := make([]*torch.Tensor, len(outputs))
	for i, t := range outputs {
		all[i] = t
		if t != nil && t.RequiresGrad() {
			all[i], passed = passed[0], passed[1:]
		}
	}
	return all
}

// Forward runs f, a forward pass, between PreForward and PostForward.
func (d *DistributedDataParallel) Forward(f func() *torch.Tensor) *torch.Tensor {
	if f == nil {
		torch.Fail("ddp.DistributedDataParallel.Forward", "the function is nil")
	}
	d.PreForward()
	return d.PostForward(f())[0]
}

// NoSync runs f, in which backward passes add up gradients on this rank alone; the first backward after it reduces
// their sum (DistributedDataParallel.no_sync). The forward pass belongs into f as well.
func (d *DistributedDataParallel) NoSync(f func()) {
	if f == nil {
		torch.Fail("ddp.DistributedDataParallel.NoSync", "the function is nil")
	}
	before := d.sync
	d.sync = false
	defer func() { d.sync = before }()
	f()
}

// SetSync is NoSync without a function: it sets whether backward passes reduce from now on, and returns whether they
// did.
func (d *DistributedDataParallel) SetSync(on bool) (before bool) {
	before, d.sync = d.sync, on
	return before
}

// Rebuilt returns how often buckets were laid out anew, in the order in which gradients came: once, usually.
func (d *DistributedDataParallel) Rebuilt() int { return d.rebuilt }

// synchronize gives all ranks a rank's parameters and buffers.
func (d *DistributedDataParallel) synchronize(src int) {
	d.broadcastCoalesced(append(slices.Clone(d.params), d.syncedBuffers()...), src, stateBytes)
}

// syncedBuffers lists the buffers that are broadcast.
func (d *DistributedDataParallel) syncedBuffers() (list []*torch.Tensor) {
	for _, b := range d.buffers {
		list = append(list, b)
	}
	return list
}

func (d *DistributedDataParallel) broadcastBuffers() {
	if list := d.syncedBuffers(); len(list) > 0 {
		src := 0
		if d.join != nil {
			src = d.commonRank(true)
		}
		d.broadcastCoalesced(list, src, bufferBytes)
	}
}

func (d *DistributedDataParallel) broadcastCoalesced(list []*torch.Tensor, src, bytes int) {
	if len(list) == 0 || d.g.Size() == 1 {
		return
	}
	detached := make([]*torch.Tensor, len(list))
	torch.NoGrad(func() {
		for i, t := range list {
			detached[i] = t.Detach()
		}
	})
	err := distabi.Handle(d.g).BroadcastCoalesced(src, bytes, callsite.Site(), torch.ABI{}.Handles(detached))
	for _, t := range detached {
		t.Release()
	}
	if err != nil {
		if failure := distabi.Failure(d.g, "Broadcast", callsite.Site()); failure != nil {
			panic(failure)
		}
		argumentError("DistributedDataParallel", err, list...)
	}
}

// Close takes the Reducer out of the model, whose parameters stay.
func (d *DistributedDataParallel) Close() {
	d.closing.Do(func() {
		if d.r != 0 {
			d.r.Free()
		}
		if d.forget != nil {
			d.forget()
		}
	})
}

// Stats returns the figures of c10d's Logger about the model: sizes of buckets, average times in nanoseconds of
// forward, backward, communication and their overlap (torch's DDPLoggingData). Times are taken in the first ten steps
// and every hundredth.
func (d *DistributedDataParallel) Stats() (numbers map[string]int64, texts map[string]string) {
	numbers, texts, err := d.r.Stats()
	if err != nil {
		argumentError("DistributedDataParallel", err)
	}
	return numbers, texts
}

// argumentError panics with libtorch's, or the shim's, error about a call's arguments.
func argumentError(op string, err *cgotorch.Error, tensors ...*torch.Tensor) {
	panic(torch.ABI{}.Error("ddp."+op, err, tensors...))
}
