package lite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// replicas run the forward passes of strategy "dp": parts of the batch on several devices at the same time. The first
// device's part runs on the rank's own goroutine, each other's on a thread that lives as long as the run.
type replicas struct {
	accelerator accelerator.Accelerator // of devices
	devices     []torch.Device
	threads     []*torch.Pool      // of the devices after the first: one thread each
	random      []*torch.Generator // theirs: what they draw on the CPU
	intraOp     int
	running     atomic.Bool
	scalars     sync.Once // a warning
}

// newReplicas starts the threads; nil where there is one device. Their default generators begin as the process's is.
func newReplicas(a accelerator.Accelerator, devices []torch.Device, intraOp int) *replicas {
	if len(devices) < 2 {
		return nil
	}
	r := &replicas{accelerator: a, devices: devices, intraOp: max(1, intraOp/len(devices))}
	torch.Scope(func() {
		begin := torch.DefaultGenerator(torch.CPU).State()
		for range devices[1:] {
			g := torch.NewGenerator(0)
			g.SetState(begin)
			r.random = append(r.random, g)
			r.threads = append(r.threads, torch.NewPool(torch.PoolOptions{Threads: 1, IntraOp: r.intraOp}))
		}
	})
	return r
}

func (r *replicas) close() {
	for _, t := range r.threads {
		t.Close()
	}
}

// seed restarts the CPU's generators of the devices after the first, whose own cuda.ManualSeedAll restarts: all draw alike, as
// ranks do and as PyTorch's replicas.
func (r *replicas) seed(seed uint64) {
	if r == nil {
		return
	}
	for _, g := range r.random {
		g.ManualSeed(seed)
	}
}

// generators are those whose state a checkpoint needs besides the rank's own.
func (r *replicas) generators() (list []*torch.Generator) {
	if r == nil {
		return nil
	}
	for k, g := range r.random {
		list = append(list, g)
		if g := accelerator.Generator(r.accelerator, r.devices[k+1]); g != nil {
			list = append(list, g)
		}
	}
	return list
}

// wrap gives a function of f's type that runs f, a method of h's module, on all devices.
func (r *replicas) wrap(h *handle, m strategy.Method) reflect.Value {
	f := m.Value
	in, out := h.l.precision.Input, h.l.precision.Output
	return reflect.MakeFunc(f.Type(), func(args []reflect.Value) []reflect.Value {
		if !r.running.CompareAndSwap(false, true) {
			torch.Fail(dpName, "%s was called while a forward pass is running: inside of one call the module's own methods, and no two at a time", m.Name)
		}
		defer r.running.Store(false)
		h.passed()
		for i := range args {
			args[i], _ = (&pytree.Mapper{Tensor: in, Shallow: true}).Value(args[i])
		}
		results := r.forward(h, m, args)
		for i := range results {
			results[i] = pytree.MapValue(results[i], out)
		}
		return results
	})
}

// forward is one forward pass. A batch of one part, or none, needs no replica.
func (r *replicas) forward(h *handle, method strategy.Method, args []reflect.Value) []reflect.Value {
	parts := scatter(args, r.accelerator, r.devices)
	methods := []reflect.Value{method.Value}
	if len(parts) > 1 {
		methods = methods[:0]
		for _, m := range nn.Replicate(h.module, r.devices[:len(parts)]) {
			f, err := method.On(m)
			if err != nil {
				torch.Fail(dpName, "%v", err)
			}
			methods = append(methods, f)
		}
	}
	results := make([][]reflect.Value, max(1, len(parts)))
	errs := r.each(len(methods), func(k int) {
		given := args
		if len(parts) > 0 {
			given = parts[k]
		}
		h.l.precision.Forward(r.devices[k].Type, func() { results[k] = callWith(methods[k], given) })
	})
	r.raise(method.Name, errs)
	if len(parts) == 0 {
		return results[0]
	}
	return r.collect(h, results)
}

func callWith(f reflect.Value, args []reflect.Value) []reflect.Value {
	if f.Type().IsVariadic() {
		return f.CallSlice(args)
	}
	return f.Call(args)
}

// each runs f for the first n devices at the same time and waits for all. What the calling goroutine's operations depend on
// holds for the others' as well, and what they make belongs to its scope.
func (r *replicas) each(n int, f func(k int)) []error {
	errs := make([]error, n)
	fork := torch.NewFork()
	around := r.surroundings(n)
	var others sync.WaitGroup
	defer fork.Join() // also where f ends this goroutine
	defer others.Wait()
	for k := 1; k < n; k++ {
		others.Go(func() {
			lost := r.threads[k-1].Do(context.Background(), func() {
				errs[k] = try(func() { fork.Do(func() { around(k, func() { f(k) }) }) })
			})
			if lost != nil {
				errs[k] = lost
			}
		})
	}
	torch.WithNumThreads(r.intraOp, func() { errs[0] = try(func() { f(0) }) })
	return errs
}

// surroundings tells how a function is run for one of the devices: with its generator, as the current device with the calling
// goroutine's stream of it, under the calling goroutine's autocast.
func (r *replicas) surroundings(n int) func(k int, f func()) {
	kind := r.devices[0].Type
	dtype, cast := amp.Enabled(kind)
	branch := func(_ int, f func()) { f() }
	if b, ok := r.accelerator.(accelerator.Brancher); ok {
		branch = b.Branch(r.devices[:n])
	}
	return func(k int, f func()) {
		run := f
		if cast {
			run = func() { amp.Autocast(kind, dtype, f) }
		}
		torch.WithGenerator(r.random[k-1], func() {
			branch(k, run)
		})
	}
}

// raise makes one panic of what replicas failed with: that of the first, and how many more.
func (r *replicas) raise(name string, errs []error) {
	var failed []int
	for k, err := range errs {
		if err != nil {
			failed = append(failed, k)
		}
	}
	if len(failed) == 0 {
		return
	}
	first := errs[failed[0]]
	e := &torch.Error{Op: name, Message: r.title(failed[0]) + ": " + first.Error(), Cause: first}
	if more := len(failed) - 1; more > 0 {
		e.Message = fmt.Sprintf("%s (and %d more of %d): %s", r.title(failed[0]), more, len(errs), first)
	}
	if te, ok := errors.AsType[*torch.Error](first); ok {
		e.OutOfMemory = te.OutOfMemory
	}
	panic(e)
}

func (r *replicas) title(k int) string { return fmt.Sprintf("replica %d on %s", k, r.devices[k]) }
