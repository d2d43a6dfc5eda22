package ptfile

import "io"

// Compact returns a tensor of the same elements in row-major order whose storage has nothing else. The bytes stay where
// they are; those of a tensor that is not contiguous are gathered whenever they are read, in constant memory.
func (t *Tensor) Compact() (*Tensor, error) {
	out := &Tensor{DType: t.DType, Shape: t.Shape, Strides: ContiguousStrides(t.Shape), Layout: Strided,
		RequiresGrad: t.RequiresGrad}
	s := t.Storage
	size := int64(t.DType.Size())
	if t.Contiguous() && !t.Conj && !t.Neg && !s.big {
		if t.Offset == 0 && t.Bytes() == s.Size {
			out.Storage = s
			return out, nil
		}
		from := int64(t.Offset) * size
		if s.mem != nil {
			out.Storage = NewMemoryStorage(s.mem[from:from+t.Bytes()], t.DType, s.Location)
		} else {
			out.Storage = NewReaderStorage(s.src, s.off+from, t.Bytes(), t.DType, s.Location)
			out.Storage.Describe(s.file, s.record)
		}
		return out, nil
	}
	if t.Layout != Strided {
		return nil, notPlain(t.Layout)
	}
	out.Storage = NewReaderStorage(rowMajor{t}, 0, t.Bytes(), t.DType, s.Location)
	out.Storage.Describe(s.file, s.record)
	return out, nil
}

// rowMajor reads the elements of a tensor as if they lay one after the other. Offsets and lengths are whole elements.
type rowMajor struct{ t *Tensor }

// ReadAt implements io.ReaderAt.
func (r rowMajor) ReadAt(p []byte, off int64) (int, error) {
	short := off+int64(len(p)) > r.t.Bytes()
	if short {
		p = p[:max(r.t.Bytes()-off, 0)]
	}
	width := r.t.DType.Size()
	b := &block{s: r.t.Storage, width: width}
	if err := b.part(p, r.t.Offset*width, r.t.axes(), int(off)/width, len(p)/width); err != nil {
		return 0, err
	}
	if r.t.Conj || r.t.Neg {
		r.t.applyBits(p)
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// part fills dst with n elements of a box, from the given one on in row-major order.
func (b *block) part(dst []byte, base int, axes []axis, from, n int) error {
	if n == 0 {
		return nil
	}
	if len(axes) == 0 {
		return b.fill(dst, base, nil)
	}
	a := axes[0]
	inner := a.dst / b.width
	take := func(index, from, n int) error {
		err := b.part(dst[:n*b.width], base+index*a.src, axes[1:], from, n)
		dst = dst[n*b.width:]
		return err
	}
	if lead := from % inner; lead != 0 {
		k := min(inner-lead, n)
		if err := take(from/inner, lead, k); err != nil {
			return err
		}
		from, n = from+k, n-k
	}
	if whole := n / inner; whole > 0 {
		box := append([]axis{{whole, a.src, a.dst}}, axes[1:]...)
		if err := b.fill(dst, base+from/inner*a.src, box); err != nil {
			return err
		}
		dst, from, n = dst[whole*a.dst:], from+whole*inner, n-whole*inner
	}
	if n > 0 {
		return take(from/inner, 0, n)
	}
	return nil
}

// CopyBox copies the elements of the box of t that begins at the given place to dst, which has the given strides, in
// elements. Conjugation and negation bits are not applied.
func (t *Tensor) CopyBox(dst []byte, strides, at, sizes []int) error {
	width := t.DType.Size()
	base := t.Offset
	box := make([]axis, len(sizes))
	for i, n := range sizes {
		if n == 0 {
			return nil
		}
		base += at[i] * t.Strides[i]
		box[i] = axis{n, t.Strides[i] * width, strides[i] * width}
	}
	b := &block{s: t.Storage, width: width}
	return b.fill(dst, base*width, box)
}
