package pickle

import (
	"encoding/binary"
	"io"

	"github.com/golite/golite/torch/serial/errs"
)

const bufferSize = 32 << 10

// input reads a section of a file forward. No length that the file claims is believed beyond the bytes
// that are left.
type input struct {
	r      io.ReaderAt
	record string
	base   int64 // file offset of the section, for messages
	pos    int64 // offset in r of buf[0]
	end    int64
	buf    []byte
	at     int // the next byte is buf[at]
}

func (in *input) offset() int64 { return in.base + in.pos + int64(in.at) }

func (in *input) left() int64 { return in.end - in.pos - int64(in.at) }

func (in *input) corrupt(format string, args ...any) error {
	return errs.Corrupt(in.record, in.offset(), format, args...)
}

// need makes at least n bytes available in buf, for n up to bufferSize.
func (in *input) need(n int) error {
	if len(in.buf)-in.at >= n {
		return nil
	}
	if in.left() < int64(n) {
		return in.corrupt("the pickle ends early: %d bytes wanted, %d left", n, in.left())
	}
	in.pos += int64(in.at)
	in.at = 0
	if in.buf == nil {
		in.buf = make([]byte, 0, min(bufferSize, in.end-in.pos))
	}
	in.buf = in.buf[:min(int64(cap(in.buf)), in.end-in.pos)]
	return in.readFull(in.buf, in.pos)
}

func (in *input) readFull(p []byte, off int64) error {
	if n, err := in.r.ReadAt(p, off); n < len(p) {
		return &errs.ErrCorrupt{Record: in.record, Offset: in.base + off, Reason: "can't read the pickle", Err: err}
	}
	return nil
}

func (in *input) byte() (byte, error) {
	if err := in.need(1); err != nil {
		return 0, err
	}
	in.at++
	return in.buf[in.at-1], nil
}

// small returns the next n bytes, n at most 8, valid until the next call.
func (in *input) small(n int) ([]byte, error) {
	if err := in.need(n); err != nil {
		return nil, err
	}
	in.at += n
	return in.buf[in.at-n : in.at], nil
}

func (in *input) uint(n int) (uint64, error) {
	p, err := in.small(n)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	copy(b[:], p)
	return binary.LittleEndian.Uint64(b[:]), nil
}

// bytes returns a fresh copy of the next n bytes.
func (in *input) bytes(n uint64) ([]byte, error) {
	if n > uint64(in.left()) {
		return nil, in.corrupt("a length of %d bytes is claimed, %d are left", n, in.left())
	}
	p := make([]byte, n)
	k := copy(p, in.buf[in.at:])
	in.at += k
	if k == len(p) {
		return p, nil
	}
	from := in.pos + int64(in.at)
	if err := in.readFull(p[k:], from); err != nil {
		return nil, err
	}
	in.pos, in.buf, in.at = from+int64(len(p)-k), in.buf[:0], 0
	return p, nil
}

// sized reads a length of width bytes, then as many bytes.
func (in *input) sized(width int) ([]byte, error) {
	n, err := in.uint(width)
	if err != nil {
		return nil, err
	}
	return in.bytes(n)
}

const maxLine = 4096

// line reads up to a newline, which it swallows.
func (in *input) line() (string, error) {
	var b []byte
	for len(b) < maxLine {
		c, err := in.byte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(b), nil
		}
		b = append(b, c)
	}
	return "", in.corrupt("a line of more than %d bytes", maxLine)
}
