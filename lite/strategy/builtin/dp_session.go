package builtin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/pytree"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/strategy"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// dpSession is DP on several devices: parts of the batch pass through replicas at the same time. The first device's part
// runs on the rank's own goroutine, each other's on a thread that lives as long as the run.
type dpSession struct {
	e       *strategy.Env
	threads []*torch.Pool      // of the devices after the first: one thread each
	random  []*torch.Generator // theirs: what they draw on the CPU
	intraOp int
	running atomic.Bool
	scalars sync.Once // a warning
}

// newDPSession starts the threads. Their default generators begin as the process's is.
func newDPSession(e *strategy.Env) *dpSession {
	s := &dpSession{e: e, intraOp: max(1, e.Threads/len(e.Devices))}
	torch.Scope(func() {
		begin := torch.DefaultGenerator(torch.CPU).State()
		for range e.Devices[1:] {
			g := torch.NewGenerator(0)
			g.SetState(begin)
			s.random = append(s.random, g)
			s.threads = append(s.threads, torch.NewPool(torch.PoolOptions{Threads: 1, IntraOp: s.intraOp}))
		}
	})
	return s
}

func (s *dpSession) SetupModule(_ context.Context, m nn.Module, o strategy.ModuleOptions) (strategy.Module, error) {
	return &dpModule{s, m}, s.e.Place(m, o)
}

func (s *dpSession) Capturable() error { return errors.New("replicas on several devices compute it") }

func (s *dpSession) Close(error) error {
	for _, t := range s.threads {
		t.Close()
	}
	return nil
}

// Seed restarts the CPU's generators of the devices after the first: all draw alike, as ranks do and as PyTorch's
// replicas. Lite.SeedEverything restarts the devices' own.
func (s *dpSession) Seed(seed uint64) {
	for _, g := range s.random {
		g.ManualSeed(seed)
	}
}

// generators are those whose state a checkpoint needs besides the rank's own.
func (s *dpSession) generators() (list []*torch.Generator) {
	for k, g := range s.random {
		list = append(list, g)
		if g := accelerator.Generator(s.e.Accelerator, s.e.Devices[k+1]); g != nil {
			list = append(list, g)
		}
	}
	return list
}

func (s *dpSession) StateDict() map[string]any {
	var list []any
	for _, g := range s.generators() {
		list = append(list, g.State())
	}
	return map[string]any{"replicas": list}
}

func (s *dpSession) LoadStateDict(state map[string]any) error {
	replicas, _ := state["replicas"].([]any)
	generators := s.generators()
	if len(replicas) != len(generators) {
		if len(replicas) > 0 {
			s.e.Log.Warn("the checkpoint is of another number of replicas: their random streams are not restored")
		}
		return nil
	}
	return torch.Try(func() {
		for i, g := range generators {
			if t, ok := replicas[i].(*torch.Tensor); ok && t.Numel() == g.State().Numel() {
				g.SetState(t)
				continue
			}
			s.e.Log.Warn("the checkpoint is of another kind of device: the random streams of replicas are not restored")
		}
	})
}

var (
	_ strategy.Capturer = (*dpSession)(nil)
	_ strategy.Seeder   = (*dpSession)(nil)
	_ strategy.Stateful = (*dpSession)(nil)
)

// dpModule is a module of which each pass makes replicas.
type dpModule struct {
	s      *dpSession
	module nn.Module
}

func (m *dpModule) Forward(_ strategy.Pass, f func() []*torch.Tensor) []*torch.Tensor { return f() }

// Synced: gradients add up on the first device in each pass.
func (m *dpModule) Synced(strategy.Pass) bool { return true }

var _ strategy.Dispatcher = (*dpModule)(nil)

// Dispatch runs a method on all devices.
func (m *dpModule) Dispatch(method strategy.Method, args []reflect.Value) []reflect.Value {
	s := m.s
	if !s.running.CompareAndSwap(false, true) {
		torch.Fail(dpName, "%s was called while a forward pass is running: inside of one call the module's own methods, and no two at a time", method.Name)
	}
	defer s.running.Store(false)
	for i := range args {
		args[i], _ = (&pytree.Mapper{Tensor: s.e.Precision.Input, Shallow: true}).Value(args[i])
	}
	results := m.forward(method, args)
	for i := range results {
		results[i] = pytree.MapValue(results[i], s.e.Precision.Output)
	}
	return results
}

// forward is one forward pass. A batch of one part, or none, needs no replica.
func (m *dpModule) forward(method strategy.Method, args []reflect.Value) []reflect.Value {
	s := m.s
	parts := scatter(args, s.e.Accelerator, s.e.Devices)
	methods := []reflect.Value{method.Value}
	if len(parts) > 1 {
		methods = methods[:0]
		for _, replica := range nn.Replicate(m.module, s.e.Devices[:len(parts)]) {
			f, err := method.On(replica)
			if err != nil {
				torch.Fail(dpName, "%v", err)
			}
			methods = append(methods, f)
		}
	}
	results := make([][]reflect.Value, max(1, len(parts)))
	errs := s.each(len(methods), func(k int) {
		given := args
		if len(parts) > 0 {
			given = parts[k]
		}
		s.e.Precision.Forward(s.e.Devices[k].Type, func() { results[k] = callWith(methods[k], given) })
	})
	s.raise(method.Name, errs)
	if len(parts) == 0 {
		return results[0]
	}
	return m.collect(results)
}

func callWith(f reflect.Value, args []reflect.Value) []reflect.Value {
	if f.Type().IsVariadic() {
		return f.CallSlice(args)
	}
	return f.Call(args)
}

// each runs f for the first n devices at the same time and waits for all. What the calling goroutine's operations depend on
// holds for the others' as well, and what they make belongs to its scope.
func (s *dpSession) each(n int, f func(k int)) []error {
	errs := make([]error, n)
	fork := torch.NewThreadContext()
	around := s.surroundings(n)
	var others sync.WaitGroup
	defer fork.Join() // also where f ends this goroutine
	defer others.Wait()
	for k := 1; k < n; k++ {
		others.Go(func() {
			lost := s.threads[k-1].Do(context.Background(), func() {
				errs[k] = try(func() { fork.Do(func() { around(k, func() { f(k) }) }) })
			})
			if lost != nil {
				errs[k] = lost
			}
		})
	}
	torch.WithNumThreads(s.intraOp, func() { errs[0] = try(func() { f(0) }) })
	return errs
}

// surroundings returns what runs a function for one of the devices: with its generator, as the current device with the
// calling goroutine's stream of it, under the calling goroutine's autocast.
func (s *dpSession) surroundings(n int) func(k int, f func()) {
	kind := s.e.Devices[0].Type
	dtype, cast := amp.Enabled(kind)
	branch := func(_ int, f func()) { f() }
	if b, ok := s.e.Accelerator.(accelerator.Brancher); ok {
		branch = b.Branch(s.e.Devices[:n])
	}
	return func(k int, f func()) {
		run := f
		if cast {
			run = func() { amp.Autocast(kind, dtype, f) }
		}
		torch.WithGenerator(s.random[k-1], func() {
			branch(k, run)
		})
	}
}

// raise makes one panic of what replicas failed with: that of the first, and how many more.
func (s *dpSession) raise(name string, errs []error) {
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
	e := &torch.Error{Op: name, Message: s.title(failed[0]) + ": " + first.Error(), Cause: first}
	if more := len(failed) - 1; more > 0 {
		e.Message = fmt.Sprintf("%s (and %d more of %d): %s", s.title(failed[0]), more, len(errs), first)
	}
	if te, ok := errors.AsType[*torch.Error](first); ok {
		e.OutOfMemory = te.OutOfMemory
	}
	panic(e)
}

func (s *dpSession) title(k int) string { return fmt.Sprintf("replica %d on %s", k, s.e.Devices[k]) }

// try runs f, and returns what it panics with as an error: an operation's own, or one with the stack.
func try(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *torch.Error:
			err = v
		case error:
			err = fmt.Errorf("panic: %w\n%s", v, debug.Stack())
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	f()
	return nil
}
