package ptfile

// Compact returns a tensor of the same elements in row-major order whose storage has nothing else. A contiguous tensor keeps
// its bytes where they are; another is gathered in memory.
func (t *Tensor) Compact() (*Tensor, error) {
	out := &Tensor{DType: t.DType, Shape: t.Shape, Strides: ContiguousStrides(t.Shape), Layout: Strided, RequiresGrad: t.RequiresGrad}
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
	mem := make([]byte, 0, t.Bytes())
	if err := t.Dense(func(p []byte) error { mem = append(mem, p...); return nil }); err != nil {
		return nil, err
	}
	out.Storage = NewMemoryStorage(mem, t.DType, s.Location)
	return out, nil
}
