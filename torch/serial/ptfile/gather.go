package ptfile

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
)

const (
	// memoryBlock and fileBlock are how many bytes of output are gathered at once. From a file they are many, so that what
	// is read in one go is long where output and storage run across each other: 4 kB of each row of a transposed
	// 4096x4096.
	memoryBlock = 1 << 20
	fileBlock   = 16 << 20
	// panelBytes is how much of a file is held at once while it is spread over a block.
	panelBytes = chunkSize
	// readOver is how many unwanted bytes are rather read than skipped with a read of their own.
	readOver = 4 << 10
	// tileSide is the side of the squares in which two dimensions are exchanged. Lines that lie a power of two apart share
	// a few places of the cache: it is the number of those.
	tileSide = 8
)

// axis is a dimension of a box to copy: its steps, in bytes, in the source and in the destination.
type axis struct{ n, src, dst int }

// gather calls emit with the elements of a tensor of any strides, a block of leading dimensions at a time.
func (t *Tensor) gather(emit func([]byte) error) error {
	if t.Elements() == 0 {
		return nil
	}
	width, limit := t.DType.Size(), fileBlock
	if t.Storage.mem != nil {
		limit = memoryBlock
	}
	axes := t.axes()
	size := width // of the trailing dimensions that fit a block together
	cut := len(axes)
	for cut > 0 && axes[cut-1].n <= limit/size {
		cut--
		size *= axes[cut].n
	}
	b := &block{s: t.Storage, width: width}
	base := t.Offset * width
	if cut == 0 {
		return b.emit(base, axes, size, emit)
	}
	cut-- // the dimension that is taken in pieces
	step := max(1, limit/size)
	return walk(axes[:cut], base, func(base int) error {
		for from := 0; from < axes[cut].n; from += step {
			box := slices.Clone(axes[cut:])
			box[0].n = min(step, axes[cut].n-from)
			if err := b.emit(base+from*axes[cut].src, box, box[0].n*size, emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// axes gives the dimensions of a tensor that is to be laid out in row-major order.
func (t *Tensor) axes() []axis {
	width := t.DType.Size()
	out := make([]axis, len(t.Shape))
	for i, stride := range ContiguousStrides(t.Shape) {
		out[i] = axis{t.Shape[i], t.Strides[i] * width, stride * width}
	}
	return out
}

// walk visits the steps of axes in order, with each step's place in the source.
func walk(axes []axis, base int, f func(base int) error) error {
	if len(axes) == 0 {
		return f(base)
	}
	for range axes[0].n {
		if err := walk(axes[1:], base, f); err != nil {
			return err
		}
		base += axes[0].src
	}
	return nil
}

// block gathers boxes of a storage, with memory that it uses again.
type block struct {
	s          *Storage
	width      int
	out, panel []byte
}

func (b *block) emit(base int, box []axis, size int, emit func([]byte) error) error {
	if len(b.out) < size {
		b.out = make([]byte, size)
	}
	if err := b.fill(b.out[:size], base, box); err != nil {
		return err
	}
	return emit(b.out[:size])
}

// fill copies a box to dst.
func (b *block) fill(dst []byte, base int, box []axis) error {
	box = slices.DeleteFunc(slices.Clone(box), func(a axis) bool { return a.n == 1 })
	if b.s.mem != nil {
		copyBox(dst, b.s.mem[base:], box, b.width)
		return nil
	}
	slices.SortStableFunc(box, func(p, q axis) int { return cmp.Compare(p.src, q.src) })
	span, near := b.width, 0 // the bytes of the axes that lie near enough to each other to be read in one go
	for near < len(box) {
		a := box[near]
		if a.src > span+readOver {
			break
		}
		if long := span + (a.n-1)*a.src; long > panelBytes {
			return b.split(dst, base, box, near, max(1, (panelBytes-span)/max(a.src, 1)))
		}
		span += (a.n - 1) * a.src
		near++
	}
	return b.panels(dst, base, box, near, span)
}

// split fills a box in pieces of n steps of one of its axes.
func (b *block) split(dst []byte, base int, box []axis, which, n int) error {
	a := box[which]
	for from := 0; from < a.n; from += n {
		box[which].n = min(n, a.n-from)
		if err := b.fill(dst[from*a.dst:], base+from*a.src, box); err != nil {
			return err
		}
	}
	return nil
}

var panelBuffers = sync.Pool{New: func() any { b := make([]byte, panelBytes); return &b }}

// panels reads the first near axes of a box, which span bytes, again and again for the others. Many steps of the axis
// along which the output runs are read before they are spread.
func (b *block) panels(dst []byte, base int, box []axis, near, span int) error {
	if b.panel == nil {
		buf := panelBuffers.Get().(*[]byte)
		defer func() { panelBuffers.Put(buf); b.panel = nil }()
		b.panel = *buf
	}
	far := slices.Clone(box[near:])
	slices.SortFunc(far, func(p, q axis) int { return cmp.Compare(q.dst, p.dst) })
	one := axis{1, 0, 0}
	if len(far) > 0 {
		one, far = far[len(far)-1], far[:len(far)-1]
	}
	piece := append(slices.Clone(box[:near]), axis{})
	rows := max(1, panelBytes/span)
	var each func(far []axis, base, to int) error
	each = func(far []axis, base, to int) error {
		if len(far) > 0 {
			for i := range far[0].n {
				if err := each(far[1:], base+i*far[0].src, to+i*far[0].dst); err != nil {
					return err
				}
			}
			return nil
		}
		for from := 0; from < one.n; from += rows {
			n := min(rows, one.n-from)
			for i := range n {
				if _, err := b.s.ReadAt(b.panel[i*span:(i+1)*span], int64(base+(from+i)*one.src)); err != nil {
					return err
				}
			}
			piece[near] = axis{n, span, one.dst}
			copyBox(dst[to+from*one.dst:], b.panel, piece, b.width)
		}
		return nil
	}
	return each(far, base, 0)
}

// copyBox copies the elements of a box, in squares of the two dimensions along which source and destination run.
func copyBox(dst, src []byte, box []axis, width int) {
	box = slices.DeleteFunc(slices.Clone(box), func(a axis) bool { return a.n == 1 })
	slices.SortStableFunc(box, func(p, q axis) int { return cmp.Compare(q.dst, p.dst) })
	if len(box) == 0 {
		copy(dst[:width], src)
		return
	}
	row := box[len(box)-1]
	if row.dst == width && row.src == width { // a run of both
		width *= row.n
		copyEach(dst, src, box[:len(box)-1], func(dst, src []byte) { copy(dst[:width], src) })
		return
	}
	col, rest := axis{n: 1}, box[:len(box)-1]
	if len(rest) > 0 {
		k := 0
		for i := range rest {
			if rest[i].src < rest[k].src {
				k = i
			}
		}
		col, rest = rest[k], slices.Delete(slices.Clone(rest), k, k+1)
	}
	copyEach(dst, src, rest, func(dst, src []byte) { copyTiles(dst, src, row, col, width) })
}

func copyEach(dst, src []byte, box []axis, f func(dst, src []byte)) {
	if len(box) == 0 {
		f(dst, src)
		return
	}
	for i := range box[0].n {
		copyEach(dst[i*box[0].dst:], src[i*box[0].src:], box[1:], f)
	}
}

func copyTiles(dst, src []byte, row, col axis, width int) {
	for c := 0; c < col.n; c += tileSide {
		for r := 0; r < row.n; r += tileSide {
			for i := c; i < min(c+tileSide, col.n); i++ {
				copyRow(dst[i*col.dst+r*row.dst:], src[i*col.src+r*row.src:], axis{min(tileSide, row.n-r), row.src, row.dst}, width)
			}
		}
	}
}

// copyRow copies the elements of one axis.
func copyRow(dst, src []byte, a axis, width int) {
	le := binary.LittleEndian
	switch width {
	case 1:
		for i := range a.n {
			dst[i*a.dst] = src[i*a.src]
		}
	case 2:
		for i := range a.n {
			le.PutUint16(dst[i*a.dst:], le.Uint16(src[i*a.src:]))
		}
	case 4:
		for i := range a.n {
			le.PutUint32(dst[i*a.dst:], le.Uint32(src[i*a.src:]))
		}
	case 8:
		for i := range a.n {
			le.PutUint64(dst[i*a.dst:], le.Uint64(src[i*a.src:]))
		}
	default:
		for i := range a.n {
			copy(dst[i*a.dst:i*a.dst+width], src[i*a.src:])
		}
	}
}
