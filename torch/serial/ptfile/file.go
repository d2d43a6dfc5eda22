package ptfile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// Format is a file's layout.
//
// The formats are Zip and Legacy.
type Format string

// The formats that Open reads.
const (
	Zip    Format = "zip"    // torch.save since 1.6
	Legacy Format = "legacy" // torch.save before 1.6
)

// File is an open checkpoint: its values, with tensors as *Tensor.
type File struct {
	// Path names the file in messages.
	Path string
	// Format is how the file is laid out.
	Format Format
	// Root is the saved value.
	Root any
	// BigEndian says that the file was written on a big-endian machine.
	BigEndian bool
	// Size is in bytes.
	Size int64

	storages map[string]*Storage
	order    []string
	dir      *zipDir
	src      io.ReaderAt
	closer   io.Closer
}

// Open opens a checkpoint and reads its values, not yet the tensors' bytes. Errors are *errs.ErrCorrupt,
// *errs.ErrUnsafe, *errs.ErrUnsupported or the operating system's.
func Open(path string) (*File, error) {
	f, st, err := regular.Open(path)
	if err != nil {
		if odd, ok := errors.AsType[*regular.Error](err); ok && odd.Mode.IsDir() {
			if named := ForeignFolder(path); named != nil {
				return nil, named
			}
		}
		return nil, errs.FileType(err)
	}
	out, err := Read(f, st.Size(), path)
	if err != nil {
		f.Close()
		return nil, err
	}
	out.closer = f
	return out, nil
}

// Read is Open for bytes that are already open; name is for messages. r must stay open while storages are read.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{Path: name, Size: size, src: r, storages: map[string]*Storage{}}
	if err := f.read(); err != nil {
		return nil, errs.InFile(err, name)
	}
	for _, s := range f.storages {
		s.file = name
	}
	return f, nil
}

// Close closes the file; the tensors' bytes can't be read after it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Storages returns the storages in the order in which the pickle names them.
func (f *File) Storages() []*Storage {
	out := make([]*Storage, len(f.order))
	for i, k := range f.order {
		out[i] = f.storages[k]
	}
	return out
}

func (f *File) read() error {
	head := make([]byte, min(f.Size, headSize))
	if _, err := f.src.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		f.Format = Zip
		return f.readZip()
	case bytes.HasPrefix(head, legacyMagic):
		f.Format = Legacy
		return f.readLegacy()
	}
	if err := foreign(head, f.src, f.Size, f.Path); err != nil {
		return err
	}
	if f.Size == 0 {
		return errs.Corrupt("header", 0, "this is no checkpoint: the file is empty")
	}
	return errs.Corrupt("header", 0, "this is no checkpoint: neither a zip archive nor torch's legacy magic number")
}

func (f *File) readZip() error {
	dir, err := readZipDir(f.src, f.Size)
	if err != nil {
		return err
	}
	f.dir = dir
	prefix, err := dir.prefix()
	if err != nil {
		return err
	}
	if err := f.zipHeader(prefix); err != nil {
		return err
	}
	pkl := dir.byName[prefix+"data.pkl"]
	values, err := f.pickled(pkl)
	if err != nil {
		return err
	}
	o := pickle.Options{Globals: Globals, Record: pkl.name, Base: pkl.data,
		Persistent: func(id any) (any, error) { return f.zipStorage(prefix, id) }}
	root, next, err := pickle.Decode(values, 0, pkl.size, o)
	if err != nil {
		return explained(err, values)
	}
	if next != pkl.size {
		return errs.Corrupt(pkl.name, pkl.data+next, "%d bytes after the pickle's end", pkl.size-next)
	}
	f.Root = root
	return nil
}

// prefix finds the archive's folder: where data.pkl is.
func (d *zipDir) prefix() (string, error) {
	found := ""
	for _, r := range d.records {
		if base, ok := strings.CutSuffix(r.name, "/data.pkl"); ok && !strings.Contains(base, "/") {
			if found != "" {
				return "", errs.Corrupt(r.name, r.header, "a second data.pkl, the first is in %q", found)
			}
			found = base + "/"
		}
	}
	_, script := d.byName[found+"constants.pkl"]
	if found != "" && !script {
		return found, nil
	}
	if err := foreignZip(d.names()); err != nil {
		return "", err
	}
	return "", errs.Corrupt("data.pkl", -1, "the zip archive has no data.pkl: it was not written by torch.save")
}

// zipHeader reads the small records that say how to read the others.
func (f *File) zipHeader(prefix string) error {
	if rec := f.dir.byName[prefix+"byteorder"]; rec != nil {
		raw, err := f.record(rec)
		if err != nil {
			return err
		}
		switch string(raw) {
		case "little":
		case "big":
			f.BigEndian = true
		default:
			return errs.Corrupt(rec.name, rec.data, "byte order %q", raw)
		}
	}
	if rec := f.dir.byName[prefix+"version"]; rec != nil {
		raw, err := f.record(rec)
		if err != nil {
			return err
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(raw))); err != nil || v < 1 || v > 10 {
			return &errs.ErrUnsupported{What: fmt.Sprintf("archive version %q", raw)}
		}
	}
	return nil
}

// largest is how long a record may be that is read whole: a sparse file costs its maker nothing, whatever its
// size.
const largest = 64 << 20

// pickled checks a pickle's checksum and returns its bytes: from memory, or where they are many from the file, a second
// time.
func (f *File) pickled(rec *zipRecord) (io.ReaderAt, error) {
	if rec.size <= largest {
		raw, err := f.record(rec)
		return bytes.NewReader(raw), err
	}
	s := NewReaderStorage(f.src, rec.data, rec.size, "uint8", "cpu")
	s.Describe(f.Path, rec.name)
	s.SetCRC32(rec.crc)
	return io.NewSectionReader(f.src, rec.data, rec.size), s.Verify()
}

// record reads a small record whole and checks its checksum.
func (f *File) record(rec *zipRecord) ([]byte, error) {
	if rec.size > largest {
		return nil, errs.Corrupt(rec.name, rec.data, "%d bytes, want %d at most", rec.size, largest)
	}
	raw := make([]byte, rec.size)
	if n, err := f.src.ReadAt(raw, rec.data); n < len(raw) {
		return nil, &errs.ErrCorrupt{Record: rec.name, Offset: rec.data + int64(n), Reason: "can't read it", Err: err}
	}
	if crc := crc32.ChecksumIEEE(raw); crc != rec.crc {
		return nil, &errs.ErrCorrupt{Record: rec.name, Offset: rec.data, Reason: checksumReason(rec.crc, crc)}
	}
	return raw, nil
}

// storageID is what a persistent id says: ("storage", type, key, location, elements).
type storageID struct {
	dtype         DType
	key, location string
	size          int64
	view          any // legacy: (key, offset, elements) or nil
}

func parseStorageID(id any) (storageID, error) {
	var s storageID
	t, ok := id.(pickle.Tuple)
	if !ok || (len(t) != 5 && len(t) != 6) || t[0] != "storage" {
		return s, fmt.Errorf("a persistent id is %s: no storage", pickle.Describe(id))
	}
	kind, ok := t[1].(storageType)
	key, ok2 := t[2].(string)
	loc, ok3 := t[3].(string)
	n, ok4 := t[4].(int)
	if !ok || !ok2 || !ok3 || !ok4 || n < 0 || n > 1<<56 {
		return s, fmt.Errorf("a persistent id is %s: no storage", pickle.Describe(id))
	}
	s = storageID{dtype: kind.dtype, key: key, location: loc, size: int64(n)}
	if s.dtype != untyped {
		s.size *= int64(s.dtype.Size())
	}
	if len(t) == 6 {
		s.view = t[5]
	}
	return s, nil
}

// zipStorage answers a persistent id of a zip file.
func (f *File) zipStorage(prefix string, id any) (any, error) {
	sid, err := parseStorageID(id)
	if err != nil {
		return nil, err
	}
	if s, ok := f.storages[sid.key]; ok {
		if sid.size > s.Size {
			return nil, fmt.Errorf("storage %s has %d bytes in one place and %d in another", sid.key, s.Size, sid.size)
		}
		return storageView{Storage: s, dtype: sid.dtype}, nil
	}
	rec := f.dir.byName[prefix+"data/"+sid.key]
	if rec == nil {
		return nil, errs.Corrupt(prefix+"data/"+sid.key, -1, "the pickle refers to the record, which is not there")
	}
	if rec.size < sid.size {
		return nil, errs.Corrupt(rec.name, rec.data, "the record has %d bytes, the pickle says %d", rec.size, sid.size)
	}
	s := &Storage{Key: sid.key, DType: sid.dtype, Location: sid.location, Size: rec.size,
		src: f.src, off: rec.data, crc: rec.crc, hasCRC: true, big: f.BigEndian, swap: sid.dtype.SwapUnit(), record: rec.name}
	f.storages[sid.key] = s
	f.order = append(f.order, sid.key)
	return storageView{Storage: s, dtype: sid.dtype}, nil
}

// Verify reads every record and checks every checksum, in constant memory. checked is how many bytes a
// checksum vouches for; it is 0 for formats without one.
func (f *File) Verify() (checked int64, err error) {
	if f.dir == nil {
		for _, s := range f.Storages() {
			if err := s.Verify(); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
	recs := append([]zipRecord(nil), f.dir.records...)
	sort.Slice(recs, func(i, j int) bool { return recs[i].data < recs[j].data })
	for _, r := range recs {
		s := Storage{Size: r.size, src: f.src, off: r.data, crc: r.crc, hasCRC: true, record: r.name, file: f.Path}
		if err := s.Verify(); err != nil {
			return checked, err
		}
		checked += r.size
	}
	return checked, nil
}
