package ptfile

import (
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// legacyMagic is how a legacy file begins: a pickle of the number 0x1950a86a20f9469cfc6c.
var legacyMagic = []byte{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

const legacyProtocol = 1001

// readLegacy reads the format of torch.save before 1.6: five pickles (magic number, protocol, system, value, storage
// keys), then for each key the number of its elements and its bytes. It has no checksum. Storage bytes are
// little-endian whatever the machine was.
func (f *File) readLegacy() error {
	at := int64(0)
	next := func(record string, o pickle.Options) (any, error) {
		o.Record = record
		v, end, err := pickle.Decode(f.src, at, f.Size, o)
		at = end
		return v, err
	}
	magic, err := next("magic number", pickle.Options{})
	if err != nil {
		return err
	}
	if n, ok := magic.(*big.Int); !ok || n.Text(16) != "1950a86a20f9469cfc6c" {
		return errs.Corrupt("magic number", 0, "it is %s", pickle.Describe(magic))
	}
	version, err := next("protocol", pickle.Options{})
	if err != nil {
		return err
	}
	if version != legacyProtocol {
		return &errs.ErrUnsupported{What: "legacy protocol " + pickle.Describe(version)}
	}
	system, err := next("system", pickle.Options{})
	if err != nil {
		return err
	}
	if d, ok := system.(*pickle.Dict); ok {
		little, _ := d.Get("little_endian")
		f.BigEndian = little == false
	}
	if f.Root, err = next("value", pickle.Options{Globals: Globals, Persistent: f.legacyStorage}); err != nil {
		return explained(err, f.src)
	}
	keys, err := next("storage keys", pickle.Options{})
	if err != nil {
		return err
	}
	return f.placeLegacy(keys, at)
}

// legacyStorage answers a persistent id: the storage's place in the file is known only after the value.
func (f *File) legacyStorage(id any) (any, error) {
	if t, ok := id.(pickle.Tuple); ok && len(t) > 0 && t[0] == "module" {
		return nil, &errs.ErrUnsupported{What: "a whole pickled module (torch.save(model))", Remedy: saveStateDict}
	}
	sid, err := parseStorageID(id)
	if err != nil {
		return nil, err
	}
	if sid.size > f.Size {
		return nil, fmt.Errorf("storage %s of %d bytes in a file of %d", sid.key, sid.size, f.Size)
	}
	s, ok := f.storages[sid.key]
	if !ok {
		s = &Storage{Key: sid.key, DType: sid.dtype, Location: sid.location, Size: sid.size, src: f.src, off: -1,
			record: "storage " + sid.key}
		f.storages[sid.key] = s
		f.order = append(f.order, sid.key)
	}
	if s.Size < sid.size {
		return nil, fmt.Errorf("storage %s has %d bytes in one place and %d in another", sid.key, s.Size, sid.size)
	}
	view := storageView{Storage: s, dtype: sid.dtype}
	if sid.view != nil {
		v, ok := pickle.Items(sid.view)
		if !ok || len(v) != 3 {
			return nil, fmt.Errorf("the view of storage %s is %s", sid.key, pickle.Describe(sid.view))
		}
		start, ok := v[1].(int)
		if !ok || start < 0 || start > 1<<56 {
			return nil, fmt.Errorf("the view of storage %s is %s", sid.key, pickle.Describe(sid.view))
		}
		view.start = start
	}
	return view, nil
}

// placeLegacy walks over the storages after the pickles.
func (f *File) placeLegacy(keys any, at int64) error {
	list, ok := keys.([]any)
	if !ok {
		return errs.Corrupt("storage keys", at, "they are %s", pickle.Describe(keys))
	}
	for _, k := range list {
		key, _ := k.(string)
		s := f.storages[key]
		if s == nil || s.off >= 0 {
			return errs.Corrupt("storage keys", at, "key %s is unknown, or there twice", pickle.Describe(k))
		}
		var head [8]byte
		if at > f.Size-8 {
			return errs.Corrupt(s.record, at, "the file ends before it")
		}
		if _, err := f.src.ReadAt(head[:], at); err != nil {
			return &errs.ErrCorrupt{Record: s.record, Offset: at, Reason: "can't read its length", Err: err}
		}
		order := binary.ByteOrder(binary.LittleEndian)
		n, width := int64(order.Uint64(head[:])), int64(max(s.DType.Size(), 1))
		if n < 0 || n > (f.Size-at)/width || n*width != s.Size {
			return errs.Corrupt(s.record, at, "%d elements of %d bytes, %d bytes were announced", n, width, s.Size)
		}
		if at+8+s.Size > f.Size {
			return errs.Corrupt(s.record, at, "%d bytes are wanted, %d are left", s.Size, f.Size-at-8)
		}
		s.off = at + 8
		at += 8 + s.Size
	}
	if at != f.Size {
		return errs.Corrupt("storages", at, "%d bytes after the last storage", f.Size-at)
	}
	for key, s := range f.storages {
		if s.off < 0 {
			return errs.Corrupt(s.record, at, "storage %s is referred to, and not in the file", key)
		}
	}
	return nil
}
