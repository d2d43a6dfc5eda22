// Package wire writes Go values as bytes for another rank of the same program, and reads them back.
//
// Both sides know the value's type, so that little but the values travels. Tensors travel as what they are, with their
// type, shape and elements, wherever they stand in the value, and arrive on the CPU. What an interface holds travels
// with its type, if that is made of Go's own types; another one needs gob.Register. A type that marshals itself
// (encoding.BinaryMarshaler, gob.GobEncoder, encoding.TextMarshaler) does so. What can't be carried over is refused by
// name, unexported fields first of all: the other side would miss them silently.
package wire
