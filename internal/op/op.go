// Package op calls libtorch's operators: Op finds one by its schema's name, Args holds its arguments in the flat form
// that the shim reads, Results its results. It deals in handles and words, not in tensors: package torch puts those on
// top, for itself and for generated code.
package op

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/golite/golite/cgotorch"
)

// Op is one overload of an operator, by its full name ("aten::add.Tensor"). Its zero id is looked up at
// the first call, so a table of thousands costs nothing until it is used. It must not be copied after that.
type Op struct {
	Name string
	id   atomic.Uint32 // the shim's id + 1; 0: not looked up yet
}

// Unknown is the error for an operator that libtorch does not have.
type Unknown struct{ Name string }

// Error names it.
func (e *Unknown) Error() string { return fmt.Sprintf("libtorch has no operator %q", e.Name) }

// Find looks the operator up.
func (o *Op) Find() (uint32, error) {
	if id := o.id.Load(); id != 0 {
		return id - 1, nil
	}
	name, overload, _ := strings.Cut(o.Name, ".")
	id, ok := cgotorch.Find(name, overload)
	if !ok {
		return 0, &Unknown{o.Name}
	}
	o.id.Store(id + 1)
	return id, nil
}

// Call runs the operator. The arguments must be in the schema's order and of its types.
func (o *Op) Call(a *Args, r *Results) *cgotorch.Error {
	id := o.id.Load()
	if id == 0 {
		if _, err := o.Find(); err != nil {
			return &cgotorch.Error{Message: err.Error()}
		}
		id = o.id.Load()
	}
	w, err := cgotorch.Call(id-1, a.Words(), r.buf[:])
	if err != nil {
		return err
	}
	r.take(w)
	return nil
}
