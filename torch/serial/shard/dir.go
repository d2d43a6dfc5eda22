package shard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Dir is an open sharded checkpoint.
type Dir struct {
	// Path names the folder.
	Path string
	// Entries are its tensors and other values, in the order of the metadata.
	Entries []*Entry

	files map[string]*os.File
	sizes map[string]int64
}

// maxMetadata is the most that is read of a folder's metadata; that of the largest models takes a tenth.
const maxMetadata = 1 << 30

// Open reads a folder's metadata and opens its parts. A folder without metadata is an unfinished save: the error is
// fs.ErrNotExist.
func Open(path string) (*Dir, error) {
	name := filepath.Join(path, metadataName)
	raw, err := regular.ReadFile(name, maxMetadata)
	if err != nil {
		if foreign := ptfile.ForeignFolder(path); foreign != nil {
			return nil, foreign
		}
		return nil, fmt.Errorf("no complete sharded checkpoint: %w", err)
	}
	d := &Dir{Path: path, files: map[string]*os.File{}, sizes: map[string]int64{}}
	if d.Entries, err = parseMetadata(raw); err != nil {
		return nil, errs.InFile(err, name)
	}
	if err := d.openParts(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Dir) openParts() error {
	for _, e := range d.Entries {
		for _, c := range e.Chunks {
			if d.files[c.File] == nil {
				f, st, err := regular.Open(filepath.Join(d.Path, c.File))
				if err != nil {
					reason := "a part can't be opened"
					return &errs.ErrCorrupt{File: d.Path, Record: c.File, Offset: -1, Reason: reason, Err: err}
				}
				d.files[c.File], d.sizes[c.File] = f, st.Size()
			}
			if c.Offset > d.sizes[c.File]-c.Length {
				return &errs.ErrCorrupt{File: d.Path, Record: c.File, Offset: c.Offset,
					Reason: fmt.Sprintf("%s: %d bytes are wanted, the part has %d", e.Name, c.Length, d.sizes[c.File])}
			}
		}
	}
	return nil
}

// Close closes the parts.
func (d *Dir) Close() error {
	var err error
	for _, f := range d.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// read opens the torch.save file at a place.
func (d *Dir) read(p Place) (*ptfile.File, error) {
	name := fmt.Sprintf("%s[%d:%d]", filepath.Join(d.Path, p.File), p.Offset, p.Offset+p.Length)
	return ptfile.Read(io.NewSectionReader(d.files[p.File], p.Offset, p.Length), p.Length, name)
}

// Value reads an entry that is no tensor.
func (d *Dir) Value(e *Entry) (any, error) {
	f, err := d.read(e.Chunks[0].Place)
	if err != nil {
		return nil, err
	}
	return f.Root, nil
}

// tensor opens a chunk.
func (d *Dir) tensor(e *Entry, c *Chunk) (*ptfile.Tensor, error) {
	f, err := d.read(c.Place)
	if err != nil {
		return nil, err
	}
	t, ok := f.Root.(*ptfile.Tensor)
	if !ok || t.Layout != ptfile.Strided || t.DType != e.DType || fmt.Sprint(t.Shape) != fmt.Sprint(c.Sizes) ||
		t.Bytes() > c.Length {
		return nil, &errs.ErrCorrupt{File: f.Path, Record: e.Name, Offset: c.Offset,
			Reason: fmt.Sprintf("the part is not the tensor %s%v that the metadata describes", e.DType, c.Sizes)}
	}
	return t, nil
}

// ReadBox reads the elements of a tensor's box into dst, in row-major order, whatever the boxes in which it was saved.
// Checksums are checked. dst must have exactly the box's bytes. Memory is constant beside it.
func (d *Dir) ReadBox(e *Entry, offsets, sizes []int, dst []byte) error {
	width := e.DType.Size()
	if want := product(sizes) * width; want != len(dst) || len(offsets) != len(e.Shape) || len(sizes) != len(e.Shape) {
		return fmt.Errorf("%s: %d bytes of memory for the box %v of %s", e.Name, len(dst), sizes, e.DType)
	}
	for i := range e.Chunks {
		c := &e.Chunks[i]
		at, box := intersect(offsets, sizes, c.Offsets, c.Sizes)
		if at == nil {
			continue
		}
		if err := d.readChunk(e, c, at, box, offsets, sizes, dst); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) readChunk(e *Entry, c *Chunk, at, box, offsets, sizes []int, dst []byte) error {
	t, err := d.tensor(e, c)
	if err != nil {
		return err
	}
	width := e.DType.Size()
	whole := t.Contiguous() && t.Offset == 0 && t.Storage.Size == t.Bytes() && product(box) == product(c.Sizes)
	if from, ok := runWithin(at, box, offsets, sizes); whole && ok {
		return t.Storage.Read(dst[from*width : (from+product(box))*width])
	}
	if err := t.Storage.Verify(); err != nil {
		return err
	}
	if t.Conj || t.Neg { // of some other writer: their bits are settled on the way
		if t, err = t.Compact(); err != nil {
			return err
		}
	}
	from, strides, inside := 0, ptfile.ContiguousStrides(sizes), make([]int, len(box))
	for i := range box {
		from += (at[i] - offsets[i]) * strides[i]
		inside[i] = at[i] - c.Offsets[i]
	}
	return t.CopyBox(dst[from*width:], strides, inside, box)
}

// VerifyBox checks the checksums of all bytes that ReadBox would read of a box.
func (d *Dir) VerifyBox(e *Entry, offsets, sizes []int) error {
	for i := range e.Chunks {
		c := &e.Chunks[i]
		if at, _ := intersect(offsets, sizes, c.Offsets, c.Sizes); at == nil {
			continue
		}
		t, err := d.tensor(e, c)
		if err == nil {
			err = t.Storage.Verify()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func product(ns []int) int {
	p := 1
	for _, n := range ns {
		p *= n
	}
	return p
}

// runWithin reports whether the box at lies in one run within the outer box, and where the run begins, in elements.
func runWithin(at, box, offsets, sizes []int) (from int, ok bool) {
	split := false // a dimension with more than one step was met: all after it must be whole
	for i := range box {
		from = from*sizes[i] + at[i] - offsets[i]
		if split && box[i] != sizes[i] {
			return 0, false
		}
		split = split || box[i] > 1
	}
	return from, true
}

// Verify reads every piece and checks its checksums, in constant memory but for the metadata.
func (d *Dir) Verify() (checked int64, err error) {
	for _, e := range d.Entries {
		for i := range e.Chunks {
			f, err := d.read(e.Chunks[i].Place)
			if err != nil {
				return checked, err
			}
			n, err := f.Verify()
			checked += n
			if err != nil {
				return checked, err
			}
			if e.IsTensor() {
				if _, err := d.tensor(e, &e.Chunks[i]); err != nil {
					return checked, err
				}
			}
		}
	}
	return checked, nil
}
