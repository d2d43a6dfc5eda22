// Package pickle reads and writes Python pickles without Python, as data and never as a program.
//
// A pickle is a program for a stack machine whose GLOBAL, REDUCE and BUILD instructions can call any
// Python function. Decode runs that machine with a closed table of globals that the caller supplies:
// whatever is not in the table is refused by its name (*errs.ErrUnsafe) before anything happens. Each
// length is checked against the bytes that are left, nesting and expansion are bounded, and so memory is
// bounded by a small multiple of the input, however hostile it is.
//
// Protocols 2 to 5 are read; protocol 2 is written, with the instructions that
// torch.load(weights_only=True) accepts and no others.
//
// # Values
//
// Python's None is nil, bool is bool, int is int (or *big.Int where it does not fit), float is float64,
// complex is complex128, str is string, bytes is Bytes, bytearray is ByteArray, list is []any, tuple is
// Tuple, set and frozenset are *Set, and every kind of dict is *Dict, which keeps its order.
package pickle
