package lite

import (
	"reflect"
	"runtime"
	"sync"
	"weak"

	"github.com/golite/golite/torch/data"
)

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
