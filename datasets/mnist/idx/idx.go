// Package idx reads the idx files of MNIST and its kin (Fashion-MNIST, KMNIST, EMNIST): bytes in a box of one or more
// dimensions. It is plain Go and knows nothing of tensors.
//
// A file is two zero bytes, a byte for the element type, a byte for the number of dimensions, each dimension as a big-endian
// 32-bit number, then the elements. Only elements of type byte (0x08) are read: no data set of this family has others.
package idx

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/golite/golite/internal/regular"
)

// What is wrong with a file; an *Error wraps one of them.
var (
	ErrMagic     = errors.New("not an idx file of bytes")
	ErrSize      = errors.New("impossible dimensions")
	ErrTruncated = errors.New("truncated")
	ErrTrailing  = errors.New("bytes after the end")
)

// maxDims is the most dimensions that a file may have; a data set of colour images has four.
const maxDims = 8

// maxElements bounds what a header may claim.
const maxElements = 1 << 31

// Error says what is wrong with a file, and where.
type Error struct {
	Path   string // the file, "" for a stream
	Detail string // what was found, and what was expected
	Err    error  // ErrMagic, ErrSize, ErrTruncated, ErrTrailing, or the reader's own
}

// Error names the file and the fault.
func (e *Error) Error() string {
	where := e.Path
	if where == "" {
		where = "idx"
	}
	return fmt.Sprintf("%s: %v: %s", where, e.Err, e.Detail)
}

// Unwrap returns the kind of fault.
func (e *Error) Unwrap() error { return e.Err }

// Array is the content of a file: bytes in row-major order.
type Array struct {
	Dims []int  // the size of each dimension
	Data []byte // one byte for each element
}

// Read reads an idx file to its end, from plain bytes or gzip. Memory grows with the bytes that come, not with what the header
// claims.
func Read(r io.Reader) (*Array, error) {
	head := make([]byte, 4)
	if n, err := io.ReadFull(r, head); err != nil {
		return nil, shortRead(err, "the magic number", n, 4)
	}
	if head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(head), r))
		if err != nil {
			return nil, shortRead(err, "the gzip header", 0, 10)
		}
		return readPlain(z)
	}
	return readPlain(io.MultiReader(bytes.NewReader(head), r))
}

// ReadFile reads a file, plain or gzip.
func ReadFile(path string) (*Array, error) {
	f, _, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	a, err := Read(f)
	var e *Error
	if errors.As(err, &e) {
		e.Path = path
	}
	return a, err
}

func readPlain(r io.Reader) (*Array, error) {
	dims, total, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(int(min(total+bytes.MinRead, 64<<20)))
	n, err := io.Copy(&b, io.LimitReader(r, total))
	if err != nil || n < total {
		return nil, shortRead(err, fmt.Sprintf("the elements of %v", dims), int(n), int(total))
	}
	// One more read also makes gzip check its checksum.
	switch extra, err := io.ReadFull(r, make([]byte, 1)); {
	case extra > 0:
		return nil, &Error{Detail: fmt.Sprintf("the header says %v, %d bytes, and more follow", dims, total), Err: ErrTrailing}
	case !errors.Is(err, io.EOF):
		return nil, shortRead(err, "the end", int(n), int(total))
	}
	return &Array{Dims: dims, Data: b.Bytes()}, nil
}

func readHeader(r io.Reader) (dims []int, total int64, err error) {
	var magic [4]byte
	if n, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, 0, shortRead(err, "the magic number", n, 4)
	}
	if magic[0] != 0 || magic[1] != 0 || magic[2] != 0x08 {
		return nil, 0, &Error{Detail: fmt.Sprintf("it begins with %#x, not with 0x000008 and the number of dimensions", magic), Err: ErrMagic}
	}
	if magic[3] == 0 || magic[3] > maxDims {
		return nil, 0, &Error{Detail: fmt.Sprintf("%d dimensions; 1 to %d are read", magic[3], maxDims), Err: ErrSize}
	}
	sizes := make([]byte, 4*int(magic[3]))
	if n, err := io.ReadFull(r, sizes); err != nil {
		return nil, 0, shortRead(err, "the dimensions", n, len(sizes))
	}
	total = 1
	for i := 0; i < len(sizes); i += 4 {
		d := binary.BigEndian.Uint32(sizes[i:])
		dims = append(dims, int(d))
		if total *= int64(d); total > maxElements { // which is small enough that the product never overflows
			return nil, 0, &Error{Detail: fmt.Sprintf("dimensions %v make more than %d elements", dims, int64(maxElements)), Err: ErrSize}
		}
	}
	return dims, total, nil
}

// shortRead is the error of a read that ended early.
func shortRead(err error, what string, got, want int) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Detail: fmt.Sprintf("%s: %d bytes of %d", what, got, want), Err: ErrTruncated}
	}
	return &Error{Detail: "reading " + what, Err: err}
}
