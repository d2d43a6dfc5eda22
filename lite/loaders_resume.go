package lite

import (
	"fmt"
	"maps"
	"slices"

	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch/data"
)

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
