package lite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// LoaderOptions are SetupDataLoader's optional arguments.
type LoaderOptions struct {
	// NoMove leaves batches on the CPU.
	NoMove bool
	// KeepSampler leaves the sampler as it is: every rank then reads what it says. A pass that another number of ranks
	// began goes on after as many batches of each rank.
	KeepSampler bool
	// Exact divides the samples among the ranks so that none is read twice: ranks may differ by one sample, and so
	// in their number of batches. It is for evaluation, where no collective runs inside the loop. It is refused where lite
	// doesn't divide: with KeepSampler, for an Iterable, and for a sampler.Distributed of the program's own, which has an Exact
	// of its own.
	Exact bool
}

// SetupDataLoader prepares a loader for the run: on several ranks each reads its own part (a shuffled loader in
// another order each pass, as by torch's DistributedSampler; a loader that was not shuffled stays in order; a user's
// own sampler or batch sampler is sharded; a sampler.Distributed of the user's own is left as it is; an Iterable gives each
// rank its Shard), its workers draw differently from other ranks' (SeedOptions.NoWorkers), and batches arrive on the rank's
// device. Where the run was asked to stop and has not called Stopping, its passes end with ErrStopped. The loader that
// is returned takes the place of the one given, and Batches counts the passes by itself. Of a Zip the two loaders are
// set up, and then zipped.
//
// A loader in the State of Save and Load resumes where it was. On another number of ranks the samples that are left of
// its pass are divided anew, in the order in which the pass was begun, so that each still comes once; the parts of an
// Iterable can't be, which Load logs.
//
// One rank alone reads in the loader's own order whatever the strategy is, where Fabric's "ddp" takes a
// DistributedSampler's on one device as well: a program has the same batches under every strategy of one device.
func SetupDataLoader[B any](l *Lite, ld *data.Loader[B], opts ...LoaderOptions) (*data.Loader[B], error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if ld == nil {
		return nil, errors.New("lite: SetupDataLoader: the loader is nil")
	}
	if err := ld.Err(); err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if !noteLoader(l, ld) {
		return nil, errors.New("lite: SetupDataLoader: this loader was set up already: a loader is passed once")
	}
	out, err := shardLoader(l, ld, o)
	if err != nil {
		return nil, err
	}
	out = out.WithGate(l.rank.Stop.AtBatch)
	if !l.noWorkers {
		out = out.WithRank(l.rank.GlobalRank)
	}
	if !o.NoMove {
		out = moveBatches(l, out)
	}
	noteLoader(l, out)
	if o.KeepSampler {
		n := loaderNote(out)
		n.kept, n.own = true, ownSampler(out)
	}
	return out, nil
}

// moveBatches has the batches of a loader on the rank's device: copied beside its computation, started by the goroutine
// that reads them, where the accelerator is a Stager. The CPU's are moved as well: a data set may hold its tensors on a GPU.
func moveBatches[B any](l *Lite, ld *data.Loader[B]) *data.Loader[B] {
	a, device := l.accelerator, l.device
	stager, ok := a.(accelerator.Stager)
	if !ok {
		return ld.WithFinish(func(_ context.Context, b *B) error {
			*b = moveTo(*b, a, device)
			return nil
		})
	}
	stage := stager.Stage(device)
	return ld.WithTransfer(func(ctx context.Context, b *B) (func(), error) {
		ready, err := stage(ctx, func() { *b = moveTo(*b, a, device) })
		if ready == nil {
			return nil, err
		}
		return func() {
			var batch []*torch.Tensor
			torch.EachTensor(*b, func(t *torch.Tensor) { batch = append(batch, t) })
			ready(batch)
		}, err
	})
}

// SetupDataLoaders is SetupDataLoader for several loaders of one type.
func SetupDataLoaders[B any](l *Lite, lds []*data.Loader[B], opts ...LoaderOptions) ([]*data.Loader[B], error) {
	if len(lds) == 0 {
		return nil, errors.New("lite: SetupDataLoaders was given no loader")
	}
	out := make([]*data.Loader[B], len(lds))
	for i, ld := range lds {
		var err error
		if out[i], err = SetupDataLoader(l, ld, opts...); err != nil {
			return nil, fmt.Errorf("loader %d: %w", i, err)
		}
	}
	return out, nil
}

// shardLoader gives a rank its part.
func shardLoader[B any](l *Lite, ld *data.Loader[B], o LoaderOptions) (*data.Loader[B], error) {
	if err := checkExact(ld, o); err != nil {
		return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
	}
	if l.rank.WorldSize == 1 || o.KeepSampler {
		return ld, nil
	}
	rank, world := l.rank.GlobalRank, l.rank.WorldSize
	switch {
	case ld.IsZip():
		return nil, errors.New("lite: SetupDataLoader: set up the two loaders first and Zip the results: each has a sampler of its own")
	case ld.IsIterable():
		part, err := ld.Shard(rank, world)
		if err != nil {
			return nil, fmt.Errorf("lite: SetupDataLoader: %w", err)
		}
		return part, nil
	}
	batch, ok := ld.BatchSampler().(*sampler.Batch)
	if !ok {
		return ld.WithBatchSampler(sampler.NewShardBatches(ld.BatchSampler(), world, rank, o.Exact)), nil
	}
	given := batch.Sampler()
	_, own := given.(*sampler.Distributed)
	_, inOrder := given.(*sampler.Sequential)
	_, shuffled := given.(*sampler.Random)
	var s sampler.Sampler
	switch {
	case own:
		return ld, nil
	case inOrder, shuffled && ld.Options().Sampler == nil: // Shuffle's own, without settings of the user's
		s = sampler.NewDistributed(ld.Samples(), world, rank, sampler.DistributedOptions{NoShuffle: inOrder, Seed: l.seed, Exact: o.Exact})
	default:
		s = sampler.NewShard(given, world, rank, o.Exact)
	}
	return ld.WithBatchSampler(batch.WithSampler(s)), nil
}

// checkExact refuses Exact where nobody would see to it.
func checkExact[B any](ld *data.Loader[B], o LoaderOptions) error {
	if !o.Exact {
		return nil
	}
	if o.KeepSampler {
		return errors.New("options Exact and KeepSampler exclude each other: a sampler that stays as it is divides by itself")
	}
	if ld.IsIterable() {
		return errors.New("option Exact is for a data set that is read by index: of an Iterable, Shard decides which samples a rank reads")
	}
	if b, ok := ld.BatchSampler().(*sampler.Batch); ok {
		if _, own := b.Sampler().(*sampler.Distributed); own {
			return errors.New("option Exact is for a sampler that lite makes: the loader has a sampler.Distributed of its own, so set DistributedOptions.Exact there")
		}
	}
	return nil
}

// notes are the loaders that are set up in this process, by address. They keep none alive: a program may set up a
// loader in each epoch.
var notes sync.Map // of uintptr to *note

// note is what is known of a loader that was set up.
type note struct {
	l    *Lite
	is   func(loader any) bool // reports whether a loader is the one, and not another that lies where it was
	kept bool                  // with KeepSampler
	own  bool                  // and a sampler of the program's own
}

// noteLoader notes a loader for the run, until it is collected or the run ends. It reports false where there is a note of
// it already.
func noteLoader[B any](l *Lite, ld *data.Loader[B]) bool {
	at := reflect.ValueOf(ld).Pointer()
	w := weak.Make(ld)
	n := &note{l: l, is: func(loader any) bool { p, ok := loader.(*data.Loader[B]); return ok && p == w.Value() }}
	for {
		old, found := notes.LoadOrStore(at, n)
		if !found {
			break
		}
		if old.(*note).is(ld) {
			return false
		}
		notes.CompareAndDelete(at, old)
	}
	runtime.AddCleanup(ld, func(n *note) { notes.CompareAndDelete(at, n) }, n)
	if !l.noted {
		l.noted = true
		l.atEnd(func() {
			notes.Range(func(at, n any) bool {
				if n.(*note).l == l {
					notes.CompareAndDelete(at, n)
				}
				return true
			})
		})
	}
	return true
}

// loaderNote returns the note of a loader, nil where it was not set up.
func loaderNote(loader any) *note {
	v := reflect.ValueOf(loader)
	if v.Kind() != reflect.Pointer {
		return nil
	}
	if n, ok := notes.Load(v.Pointer()); ok && n.(*note).is(loader) {
		return n.(*note)
	}
	return nil
}

// rescale prepares the states of loaders in a checkpoint that another number of ranks has written. The loaders divide
// anew what is left of their passes; this adds what states of earlier versions lack, and logs which loaders can't go on
// exactly.
func (l *Lite) rescale(content map[string]any, into State) {
	run, _ := content[reservedKey].(map[string]any)
	world, ok := run["world_size"].(int)
	if !ok || world < 1 || world == l.rank.WorldSize {
		return
	}
	seed, _ := run["seed"].(int)
	for _, key := range slices.Sorted(maps.Keys(into)) {
		s, ok := content[key].(map[string]any)
		if !ok || !isLoaderState(s) {
			continue
		}
		own := false
		if n := loaderNote(into[key]); n != nil && n.kept {
			own = n.own
		} else {
			completeLoader(s, world, seed)
		}
		if why := inexact(into[key], s, own); why != "" && l.IsGlobalZero() {
			l.log.Warn(fmt.Sprintf("the checkpoint is of another number of ranks, %d in place of %d: "+
				"what is left of the pass of %q is not exact, samples may come twice or be left out: %s", world, l.rank.WorldSize, key, why))
		}
	}
}

func isLoaderState(s map[string]any) bool {
	_, epoch := s["epoch"].(int)
	_, ended := s["ended"].(bool)
	_, batches := s["batches"].(int)
	return epoch && ended && batches
}

// completeLoader adds the number of ranks and the seed of the run to a loader's state of an earlier version, and to
// those of the loaders that a Zip walks.
func completeLoader(s map[string]any, world, seed int) {
	if _, today := s["replicas"]; !today {
		s["run_replicas"], s["run_seed"] = world, seed
	}
	for _, v := range s {
		if part, ok := v.(map[string]any); ok && isLoaderState(part) {
			completeLoader(part, world, seed)
		}
	}
}

// inexact returns why a pass that another number of ranks began can't be divided anew, empty where it can or has ended.
// own reports whether each rank's sampler is the program's own.
func inexact(loader any, s map[string]any, own bool) string {
	if ended, _ := s["ended"].(bool); ended || s["batches"] == 0 {
		return ""
	}
	_, consumed := s["consumed"]
	_, today := s["replicas"]
	parts := 0
	for _, v := range s {
		if part, ok := v.(map[string]any); ok && isLoaderState(part) {
			parts++
			if why := inexact(nil, part, false); why != "" {
				return why
			}
		}
	}
	stream, _ := loader.(interface{ IsIterable() bool })
	switch {
	case stream != nil && stream.IsIterable() || today && !consumed && parts == 0:
		return "the ranks of an Iterable read parts of their own, which another number of ranks has not; save at the end of a pass"
	case own:
		return "its sampler is the program's own, under KeepSampler, and each rank goes on after as many batches"
	}
	return ""
}

// ownSampler reports whether a loader's order is known to the program alone: its ranks may then read parts of it.
func ownSampler[B any](ld *data.Loader[B]) bool {
	b, ok := ld.BatchSampler().(*sampler.Batch)
	if !ok {
		return !ld.IsIterable() && !ld.IsZip()
	}
	switch b.Sampler().(type) {
	case *sampler.Sequential, *sampler.Random, *sampler.SubsetRandom, *sampler.WeightedRandom, interface{ Replicas() int }:
		return false
	}
	return true
}
