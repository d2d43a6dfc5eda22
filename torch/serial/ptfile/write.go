package ptfile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// Options says how Layout writes.
type Options struct {
	// Name is the archive's folder, by default "archive", as torch.save calls it for files without a name.
	Name string
	// FullPickle allows values that only torch.load(weights_only=False) reads: numpy arrays, defaultdicts, frozensets,
	// argparse.Namespace.
	FullPickle bool
	// Convert turns values of other packages into those of this one (torch.Tensor into *Tensor); ok is false for values
	// that it does not know. May be nil.
	Convert func(v any) (out any, ok bool, err error)
	// Workers is how many goroutines write; 0 means one for each processor.
	Workers int
}

// Archive is a checkpoint that is ready to be written: its pickle is made, its records have their places. Its bytes are
// laid out as torch.save lays them out, storages at multiples of 64, so that Python can map them.
type Archive struct {
	workers int
	records []outRecord
	size    int64
	tail    int64 // where the central directory begins
}

// outRecord is one record to be written, with its place.
type outRecord struct {
	name    string
	storage *Storage
	header  int64
	extra   []byte // padding, after the zip64 field if there is one
	data    int64
	crc     uint32
}

const (
	alignment  = 64
	fieldZip64 = 1
)

// NewArchive encodes root, whose tensors are *Tensor with storages from files or memory.
func NewArchive(root any, o Options) (*Archive, error) {
	e := newEncoder(o)
	pkl, err := e.pickle.Encode(root)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "archive"
	}
	a := &Archive{workers: o.Workers}
	text := func(name, body string) { a.add(o.Name+"/"+name, NewMemoryStorage([]byte(body), "", "")) }
	text("data.pkl", string(pkl))
	text(".format_version", "1")
	text(".storage_alignment", "64")
	text("byteorder", "little")
	id := crc32.ChecksumIEEE(pkl)
	for i, s := range e.storages {
		if s.big { // read in this machine's order; its checksum is of other bytes
			s = NewReaderStorage(s, 0, s.Size, s.DType, s.Location)
		}
		a.add(fmt.Sprintf("%s/data/%d", o.Name, i), s)
	}
	text("version", "3\n")
	text(".data/serialization_id", fmt.Sprintf("%020d%020d", id, a.size))
	a.place()
	return a, nil
}

// Size returns how long the file will be, in bytes.
func (a *Archive) Size() int64 { return a.size }

// add appends a record behind those there are.
func (a *Archive) add(name string, s *Storage) {
	r := outRecord{name: name, storage: s, header: a.size}
	start := r.header + sizeLocal + int64(len(name)) + 4
	if r.zip64() {
		start += 4
		if s.Size >= max32 {
			start += 16
		}
		if r.header >= max32 {
			start += 8
		}
		r.extra = r.zip64Extra()
	}
	pad := (alignment - start%alignment) % alignment
	fb := make([]byte, 4+pad)
	copy(fb, "FB")
	binary.LittleEndian.PutUint16(fb[2:], uint16(pad))
	for i := range fb[4:] {
		fb[4+i] = 'Z'
	}
	r.extra = append(r.extra, fb...)
	r.data = start + pad
	a.records = append(a.records, r)
	a.size = r.data + s.Size + r.descriptorSize()
}

// zip64 reports whether the record's size or place needs 64 bits.
func (r *outRecord) zip64() bool { return r.storage.Size >= max32 || r.header >= max32 }

func (r *outRecord) descriptorSize() int64 {
	if r.zip64() {
		return 24
	}
	return 16
}

// zip64Extra is the extra field with what does not fit in 32 bits: sizes, then place.
func (r *outRecord) zip64Extra() []byte {
	var body []byte
	if r.storage.Size >= max32 {
		body = binary.LittleEndian.AppendUint64(body, uint64(r.storage.Size))
		body = binary.LittleEndian.AppendUint64(body, uint64(r.storage.Size))
	}
	if r.header >= max32 {
		body = binary.LittleEndian.AppendUint64(body, uint64(r.header))
	}
	out := binary.LittleEndian.AppendUint16(nil, fieldZip64)
	return append(binary.LittleEndian.AppendUint16(out, uint16(len(body))), body...)
}

// place computes the size with the directory and the end records.
func (a *Archive) place() {
	a.tail = a.size
	for i := range a.records {
		r := &a.records[i]
		a.size += sizeCentral + int64(len(r.name))
		if r.zip64() {
			a.size += int64(len(r.zip64Extra()))
		}
	}
	a.size += sizeEnd64 + sizeLocator64 + sizeEnd
}

// WriteTo writes the archive's Size bytes, at offset base of w, on several goroutines: each byte is read, summed and
// written once.
func (a *Archive) WriteTo(w io.WriterAt, base int64) error {
	parts := make([][]uint32, len(a.records))
	var list []chunk
	for i := range a.records {
		n := int((a.records[i].storage.Size + writeChunk - 1) / writeChunk)
		parts[i] = make([]uint32, n)
		for k := range n {
			list = append(list, chunk{i, k})
		}
	}
	err := forEachChunk(list, a.workers, func(c chunk) (err error) {
		parts[c.job][c.part], err = a.records[c.job].writePart(w, base, int64(c.part)*writeChunk)
		return err
	})
	if err != nil {
		return err
	}
	for i := range a.records {
		r := &a.records[i]
		for k, crc := range parts[i] {
			r.crc = combineCRC(r.crc, crc, min(writeChunk, r.storage.Size-int64(k)*writeChunk))
		}
		if s := r.storage; s.hasCRC && s.crc != r.crc {
			return s.checksumError(r.crc)
		}
		if err := r.writeEnds(w, base); err != nil {
			return err
		}
	}
	_, err = w.WriteAt(a.directory(), base+a.tail)
	return err
}

const writeChunk = 4 << 20

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, writeChunk); return &b }}

func (r *outRecord) writePart(w io.WriterAt, base, from int64) (uint32, error) {
	n := min(writeChunk, r.storage.Size-from)
	var p []byte
	if r.storage.mem != nil {
		p = r.storage.mem[from : from+n]
	} else {
		buf := copyBuffers.Get().(*[]byte)
		defer copyBuffers.Put(buf)
		p = (*buf)[:n]
		if err := r.storage.raw(p, from); err != nil {
			return 0, err
		}
	}
	_, err := w.WriteAt(p, base+r.data+from)
	return crc32.ChecksumIEEE(p), err
}

// writeEnds writes what stands around the record's bytes: its header, and the descriptor with checksum and sizes.
func (r *outRecord) writeEnds(w io.WriterAt, base int64) error {
	le := binary.LittleEndian
	h := make([]byte, sizeLocal, sizeLocal+len(r.name)+len(r.extra))
	le.PutUint32(h, sigLocal)
	le.PutUint16(h[6:], flagDescriptor|flagUTF8)
	le.PutUint16(h[26:], uint16(len(r.name)))
	le.PutUint16(h[28:], uint16(len(r.extra)))
	h = append(append(h, r.name...), r.extra...)
	if _, err := w.WriteAt(h, base+r.header); err != nil {
		return err
	}
	d := le.AppendUint32(le.AppendUint32(nil, sigDescriptor), r.crc)
	if r.zip64() {
		d = le.AppendUint64(le.AppendUint64(d, uint64(r.storage.Size)), uint64(r.storage.Size))
	} else {
		d = le.AppendUint32(le.AppendUint32(d, uint32(r.storage.Size)), uint32(r.storage.Size))
	}
	_, err := w.WriteAt(d, base+r.data+r.storage.Size)
	return err
}

// directory returns the central directory and the end records.
func (a *Archive) directory() []byte {
	le := binary.LittleEndian
	out := make([]byte, 0, a.size-a.tail)
	for i := range a.records {
		out = a.records[i].appendCentral(out)
	}
	size := uint64(len(out))
	n := uint64(len(a.records))
	e := make([]byte, sizeEnd64)
	le.PutUint32(e, sigEnd64)
	le.PutUint64(e[4:], sizeEnd64-12)
	le.PutUint16(e[12:], 0x031e)
	le.PutUint16(e[14:], 0x002d)
	le.PutUint64(e[24:], n)
	le.PutUint64(e[32:], n)
	le.PutUint64(e[40:], size)
	le.PutUint64(e[48:], uint64(a.tail))
	out = append(out, e...)
	l := make([]byte, sizeLocator64)
	le.PutUint32(l, sigLocator64)
	le.PutUint64(l[8:], uint64(a.tail)+size)
	le.PutUint32(l[16:], 1)
	out = append(out, l...)
	t := make([]byte, sizeEnd)
	le.PutUint32(t, sigEnd)
	le.PutUint16(t[8:], uint16(min(n, 0xffff)))
	le.PutUint16(t[10:], uint16(min(n, 0xffff)))
	le.PutUint32(t[12:], uint32(min(size, max32)))
	le.PutUint32(t[16:], uint32(min(uint64(a.tail), max32)))
	return append(out, t...)
}

func (r *outRecord) appendCentral(out []byte) []byte {
	le := binary.LittleEndian
	h := make([]byte, sizeCentral)
	le.PutUint32(h, sigCentral)
	le.PutUint16(h[8:], flagDescriptor|flagUTF8)
	le.PutUint32(h[16:], r.crc)
	le.PutUint32(h[20:], uint32(min(r.storage.Size, max32)))
	le.PutUint32(h[24:], uint32(min(r.storage.Size, max32)))
	le.PutUint16(h[28:], uint16(len(r.name)))
	le.PutUint32(h[42:], uint32(min(r.header, max32)))
	var extra []byte
	if r.zip64() {
		extra = r.zip64Extra()
	}
	le.PutUint16(h[30:], uint16(len(extra)))
	return append(append(append(out, h...), r.name...), extra...)
}
