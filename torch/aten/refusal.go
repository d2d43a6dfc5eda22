package aten

import "slices"

// Refusal is an operator that golite does not call, and why.
type Refusal struct {
	Op     string // "aten::record_stream"
	Reason string // in words, for a message
}

// Refused lists the operators of namespace aten that have no function in this package, sorted by name.
func Refused() []Refusal { return slices.Clone(refused) }
