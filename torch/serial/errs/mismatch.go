package errs

import (
	"fmt"
	"strings"
)

// Mismatch is a key whose tensors differ in shape.
type Mismatch struct {
	Key         string
	Saved, Want []int // the shapes in the checkpoint and in what it is loaded into
}

// ErrMismatch says that a sound checkpoint doesn't fit what it is loaded into: everything that doesn't fit, at once.
// What it was to be loaded into is unchanged.
type ErrMismatch struct {
	// File is the path of the file, empty where the values came from memory.
	File string
	// Model is the Go type of what was loaded into, or another name for it.
	Model string
	// Missing are the keys that it has and the checkpoint doesn't, Unexpected those the other way round.
	Missing    []string
	Unexpected []string
	// Mismatched are those whose shapes differ.
	Mismatched []Mismatch
}

// Error lists all keys.
func (e *ErrMismatch) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	fmt.Fprintf(&b, "the state dict doesn't fit %s", e.Model)
	if len(e.Missing) > 0 {
		fmt.Fprintf(&b, "; missing: %s", strings.Join(e.Missing, ", "))
	}
	if len(e.Unexpected) > 0 {
		fmt.Fprintf(&b, "; unexpected: %s", strings.Join(e.Unexpected, ", "))
	}
	for i, m := range e.Mismatched {
		sep := ", "
		if i == 0 {
			sep = "; of another shape: "
		}
		fmt.Fprintf(&b, "%s%s is %v, want %v", sep, m.Key, m.Saved, m.Want)
	}
	switch {
	case len(e.Missing) > 0 && len(e.Unexpected) > 0:
		b.WriteString(" (LoadOptions.Rename gives saved keys the model's names; NonStrict: true accepts missing and " +
			"unexpected keys)")
	case len(e.Missing)+len(e.Unexpected) > 0:
		b.WriteString(" (LoadOptions{NonStrict: true} accepts missing and unexpected keys)")
	}
	return b.String()
}
