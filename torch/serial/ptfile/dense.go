package ptfile

import (
	"github.com/golite/golite/torch/serial/errs"
)

// Dense calls f with the bytes of t's elements in row-major order, piece by piece, whatever its strides; conjugation
// and negation bits are applied. Memory is constant: a contiguous tensor is streamed, another is gathered in blocks, so
// that each byte of a file is read once or nearly so. f must not keep p. Checksums are not checked; call Storage.Verify
// first where they matter.
func (t *Tensor) Dense(f func(p []byte) error) error {
	if t.Layout != Strided {
		return notPlain(t.Layout)
	}
	emit := f
	if t.Conj || t.Neg {
		emit = func(p []byte) error { t.applyBits(p); return f(p) }
	}
	size := int64(t.DType.Size())
	if t.Contiguous() {
		return t.denseRun(int64(t.Offset)*size, t.Bytes(), emit)
	}
	return t.gather(emit)
}

func notPlain(l Layout) error {
	return &errs.ErrUnsupported{What: "a tensor of layout " + string(l) + " as plain elements"}
}

func (t *Tensor) denseRun(off, n int64, f func([]byte) error) error {
	buf := make([]byte, min(chunkSize, n))
	for n > 0 {
		p := buf[:min(n, chunkSize)]
		if _, err := t.Storage.ReadAt(p, off); err != nil {
			return err
		}
		if err := f(p); err != nil {
			return err
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// applyBits flips the sign bits that a lazy conjugation or negation stands for: of imaginary parts, of both parts.
func (t *Tensor) applyBits(p []byte) {
	half := t.DType.SwapUnit()
	complexNumber := half < t.DType.Size()
	for i := 0; i+half <= len(p); i += half {
		imaginary := complexNumber && (i/half)%2 == 1
		if (t.Conj && imaginary) != t.Neg {
			p[i+half-1] ^= 0x80
		}
	}
}
