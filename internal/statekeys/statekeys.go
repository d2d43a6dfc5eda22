// Package statekeys gives the keys of a saved state dict the names that they have in a model.
package statekeys

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golite/golite/torch"
)

// The names that PyTorch's wrappers put before, or between, the keys of the module that they wrap.
const (
	compiled = "_orig_mod" // torch.compile: of the whole module, or of one inside
	wrapped  = "module."   // DistributedDataParallel, DataParallel, AveragedModel
	averaged = "n_averaged"
)

// Rename gives each key of a state dict another name; one that becomes empty is left out. Two keys of the same name are
// an error. With a nil function it returns sd itself.
func Rename(sd *torch.StateDict, name func(key string) string) (*torch.StateDict, error) {
	if name == nil {
		return sd, nil
	}
	out, from := &torch.StateDict{}, map[string]string{}
	for key, t := range sd.All() {
		to := name(key)
		if to == "" {
			continue
		}
		if first, twice := from[to]; twice {
			return nil, fmt.Errorf("Rename gives the keys %q and %q the same name, %q: want one for each, or \"\" to leave "+
				"one out", first, key, to)
		}
		from[to] = key
		out.Set(to, t)
	}
	return out, nil
}

// Unwrap drops from the keys of a state dict what PyTorch's wrappers add to those of a model: "_orig_mod." of
// torch.compile wherever it stands, and "module." of DistributedDataParallel, DataParallel and AveragedModel where
// every key has it, together with AveragedModel's own n_averaged. Wrappers in wrappers are dropped one after the other,
// until the most keys are the model's own. A state dict without such keys is returned as it is.
func Unwrap(sd *torch.StateDict, own func() []string) *torch.StateDict {
	if !slices.ContainsFunc(sd.Keys(), isWrapped) {
		return sd
	}
	names := map[string]bool{}
	for _, name := range own() {
		names[name] = true
	}
	known := func(sd *torch.StateDict) (n int) {
		for key := range sd.All() {
			if names[key] {
				n++
			}
		}
		return n
	}
	best, most := sd, known(sd)
	for sd = unwrapOnce(sd); sd != nil; sd = unwrapOnce(sd) {
		if n := known(sd); n > most {
			best, most = sd, n
		}
	}
	return best
}

// unwrapOnce drops one kind of wrapper, and returns nil where there is none.
func unwrapOnce(sd *torch.StateDict) *torch.StateDict {
	name := withoutModule
	if keys := sd.Keys(); slices.ContainsFunc(keys, isCompiled) {
		name = withoutCompiled
	} else if !allWrapped(keys) {
		return nil
	}
	bare, err := Rename(sd, name)
	if err != nil { // two keys would become one: they are no wrapper's
		return nil
	}
	return bare
}

func isWrapped(key string) bool { return strings.HasPrefix(key, wrapped) || isCompiled(key) }

func isCompiled(key string) bool {
	return strings.HasPrefix(key, compiled+".") || strings.Contains(key, "."+compiled+".")
}

func withoutCompiled(key string) string {
	for strings.HasPrefix(key, compiled+".") {
		key = key[len(compiled)+1:]
	}
	for strings.Contains(key, "."+compiled+".") {
		key = strings.ReplaceAll(key, "."+compiled+".", ".")
	}
	return key
}

func withoutModule(key string) string {
	if key == averaged {
		return ""
	}
	return key[len(wrapped):]
}

// allWrapped reports whether all keys begin with "module.", but for AveragedModel's counter.
func allWrapped(keys []string) bool {
	found := false
	for _, key := range keys {
		bare, ok := strings.CutPrefix(key, wrapped)
		if ok && bare != "" {
			found = true
		} else if key != averaged {
			return false
		}
	}
	return found
}
