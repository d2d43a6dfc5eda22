package ptfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
)

// Signatures and sizes of the zip format (APPNOTE 6.3.10).
const (
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd        = 0x06054b50
	sigEnd64      = 0x06064b50
	sigLocator64  = 0x07064b50

	sizeLocal     = 30
	sizeCentral   = 46
	sizeEnd       = 22
	sizeEnd64     = 56
	sizeLocator64 = 20

	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11

	max32 = 1<<32 - 1
)

// zipRecord is one stored record of a zip archive.
type zipRecord struct {
	name   string
	header int64 // offset of the local header
	data   int64 // offset of the bytes
	size   int64
	crc    uint32
}

// end is one past the record's last byte.
func (r *zipRecord) end() int64 { return r.data + r.size }

// zipDir is a zip archive's table of contents, checked against the local headers.
type zipDir struct {
	records []zipRecord
	byName  map[string]*zipRecord
}

const zipPart = "zip directory"

func checksumReason(want, got uint32) string {
	return fmt.Sprintf("checksum mismatch: the file says %08x, its bytes give %08x", want, got)
}

// maxDirectory is the longest zip directory that is read; one of a million tensors takes a tenth.
const maxDirectory = 1 << 30

// readZipDir reads and checks the directory of an archive of size bytes.
func readZipDir(r io.ReaderAt, size int64) (*zipDir, error) {
	start, length, count, err := findDirectory(r, size)
	if err != nil {
		return nil, err
	}
	if start < 0 || length < 0 || start > size-length || count < 0 || count > length/sizeCentral {
		return nil, errs.Corrupt(zipPart, size-sizeEnd, "%d records in %d bytes at %d of a file of %d bytes", count, length,
			start, size)
	}
	if length > maxDirectory {
		return nil, &errs.ErrUnsafe{Reason: fmt.Sprintf("its zip directory has %d bytes, for %d records; at most %d are read",
			length, count, maxDirectory)}
	}
	raw := make([]byte, length)
	if _, err := r.ReadAt(raw, start); err != nil && err != io.EOF {
		return nil, &errs.ErrCorrupt{Record: zipPart, Offset: start, Reason: "can't read it", Err: err}
	}
	d := &zipDir{records: make([]zipRecord, 0, count), byName: make(map[string]*zipRecord, count)}
	at := start
	for range count {
		rec, n, err := parseCentral(raw, at)
		if err != nil {
			if foreign := foreignZip(append(d.names(), centralNames(raw)...)); foreign != nil {
				return nil, foreign
			}
			return nil, err
		}
		d.records = append(d.records, rec)
		raw, at = raw[n:], at+int64(n)
	}
	if len(raw) != 0 {
		return nil, errs.Corrupt(zipPart, at, "%d bytes after the last of %d records", len(raw), count)
	}
	return d, d.check(r, start)
}

// findDirectory reads the end records and returns where the central directory is.
func findDirectory(r io.ReaderAt, size int64) (start, length, count int64, err error) {
	end, at, err := findEnd(r, size)
	if err != nil {
		return 0, 0, 0, err
	}
	le := binary.LittleEndian
	disks := le.Uint32(end[4:])
	onDisk, total := int64(le.Uint16(end[8:])), int64(le.Uint16(end[10:]))
	length, start = int64(le.Uint32(end[12:])), int64(le.Uint32(end[16:]))
	if disks != 0 || onDisk != total {
		return 0, 0, 0, errs.Corrupt(zipPart, at, "an archive of several disks")
	}
	expectEnd := at
	if at >= sizeLocator64+sizeEnd64 {
		e64, at64, found, err := findEnd64(r, at)
		if err != nil {
			return 0, 0, 0, err
		}
		if found {
			n, l, s := int64(le.Uint64(e64[32:])), int64(le.Uint64(e64[40:])), int64(le.Uint64(e64[48:]))
			if total != 0xffff && total != n || length != max32 && length != l || start != max32 && start != s {
				return 0, 0, 0, errs.Corrupt(zipPart, at64, "the two end records disagree")
			}
			total, length, start, expectEnd = n, l, s, at64
		}
	}
	if start < 0 || length < 0 || start+length != expectEnd {
		return 0, 0, 0, errs.Corrupt(zipPart, at, "the directory does not end where the end record begins")
	}
	return start, length, total, nil
}

// findEnd finds the end record: the last bytes of the file, before a comment if there is one.
func findEnd(r io.ReaderAt, size int64) ([]byte, int64, error) {
	n := min(size, sizeEnd+0xffff)
	tail := make([]byte, n)
	if _, err := r.ReadAt(tail, size-n); err != nil && err != io.EOF {
		return nil, 0, &errs.ErrCorrupt{Record: zipPart, Offset: size - n, Reason: "can't read it", Err: err}
	}
	for i := len(tail) - sizeEnd; i >= 0; i-- {
		if binary.LittleEndian.Uint32(tail[i:]) == sigEnd &&
			int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail)-i-sizeEnd {
			return tail[i : i+sizeEnd], size - n + int64(i), nil
		}
	}
	return nil, 0, errs.Corrupt(zipPart, size, "no zip end record: the file is cut short, or damaged at its end")
}

func findEnd64(r io.ReaderAt, end int64) (rec []byte, at int64, found bool, err error) {
	buf := make([]byte, sizeLocator64)
	if _, err := r.ReadAt(buf, end-sizeLocator64); err != nil {
		return nil, 0, false, &errs.ErrCorrupt{Record: zipPart, Offset: end - sizeLocator64, Reason: "can't read it",
			Err: err}
	}
	if binary.LittleEndian.Uint32(buf) != sigLocator64 {
		return nil, 0, false, nil
	}
	at = int64(binary.LittleEndian.Uint64(buf[8:]))
	if at != end-sizeLocator64-sizeEnd64 {
		return nil, 0, false, errs.Corrupt(zipPart, end-sizeLocator64, "the zip64 end record is said to be at %d", at)
	}
	rec = make([]byte, sizeEnd64)
	if _, err := r.ReadAt(rec, at); err != nil {
		return nil, 0, false, &errs.ErrCorrupt{Record: zipPart, Offset: at, Reason: "can't read it", Err: err}
	}
	if binary.LittleEndian.Uint32(rec) != sigEnd64 {
		return nil, 0, false, errs.Corrupt(zipPart, at, "no zip64 end record where one was announced")
	}
	return rec, at, true, nil
}

// parseCentral reads one record of the central directory and returns its length.
func parseCentral(p []byte, at int64) (rec zipRecord, n int, err error) {
	le := binary.LittleEndian
	if len(p) < sizeCentral || le.Uint32(p) != sigCentral {
		return rec, 0, errs.Corrupt(zipPart, at, "no directory entry where one was announced")
	}
	nameLen, extraLen, commentLen := int(le.Uint16(p[28:])), int(le.Uint16(p[30:])), int(le.Uint16(p[32:]))
	n = sizeCentral + nameLen + extraLen + commentLen
	if len(p) < n {
		return rec, 0, errs.Corrupt(zipPart, at, "a directory entry of %d bytes, %d are left", n, len(p))
	}
	name := string(p[sizeCentral : sizeCentral+nameLen])
	if le.Uint16(p[8:])&flagEncrypted != 0 {
		return rec, 0, &errs.ErrUnsupported{What: "the encrypted zip record " + name}
	}
	if m := le.Uint16(p[10:]); m != 0 {
		return rec, 0, &errs.ErrUnsupported{What: fmt.Sprintf("zip record %q, compressed with method %d,", name, m),
			Remedy: "torch.save stores records uncompressed: pack the archive again with zip -0"}
	}
	rec = zipRecord{name: name, crc: le.Uint32(p[16:])}
	sizes := []int64{int64(le.Uint32(p[24:])), int64(le.Uint32(p[20:])), int64(le.Uint32(p[42:]))}
	if err := zip64Sizes(p[sizeCentral+nameLen:sizeCentral+nameLen+extraLen], sizes); err != nil {
		return rec, 0, errs.Corrupt(zipPart, at, "%v", err)
	}
	rec.size, rec.header = sizes[0], sizes[2]
	if sizes[0] != sizes[1] || sizes[0] < 0 || sizes[2] < 0 {
		return rec, 0, errs.Corrupt(zipPart, at, "stored record %q has %d bytes packed and %d unpacked", name, sizes[1],
			sizes[0])
	}
	return rec, n, nil
}

func (d *zipDir) names() []string {
	names := make([]string, len(d.records))
	for i, r := range d.records {
		names[i] = r.name
	}
	return names
}

// centralNames lists the names of a central directory, whether or not the records can be read, up to the first entry
// that is damaged.
func centralNames(p []byte) (names []string) {
	le := binary.LittleEndian
	for len(p) >= sizeCentral && le.Uint32(p) == sigCentral {
		name := int(le.Uint16(p[28:]))
		n := sizeCentral + name + int(le.Uint16(p[30:])) + int(le.Uint16(p[32:]))
		if len(p) < n {
			break
		}
		names = append(names, string(p[sizeCentral:sizeCentral+name]))
		p = p[n:]
	}
	return names
}

// zip64Sizes replaces those of the values (unpacked size, packed size, offset) that did not fit in 32 bits.
func zip64Sizes(extra []byte, values []int64) error {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if len(extra) < 4+n {
			return fmt.Errorf("an extra field of %d bytes, %d are left", n, len(extra)-4)
		}
		if id == 1 {
			body := extra[4 : 4+n]
			for i := range values {
				if values[i] == max32 {
					if len(body) < 8 {
						return fmt.Errorf("a zip64 field without its value")
					}
					values[i], body = int64(le.Uint64(body)), body[8:]
				}
			}
		}
		extra = extra[4+n:]
	}
	return nil
}

// check compares every record with its local header, and refuses records that overlap or escape.
func (d *zipDir) check(r io.ReaderAt, end int64) error {
	for i := range d.records {
		rec := &d.records[i]
		if err := checkName(rec.name); err != nil {
			return err
		}
		if d.byName[rec.name] != nil {
			return errs.Corrupt(rec.name, rec.header, "the record is there twice")
		}
		d.byName[rec.name] = rec
		if err := rec.readLocal(r, end); err != nil {
			return err
		}
	}
	order := slices.Clone(d.records)
	slices.SortFunc(order, func(a, b zipRecord) int {
		return int(min(max(a.header-b.header, -1), 1))
	})
	for i := 1; i < len(order); i++ {
		if order[i-1].end() > order[i].header {
			return errs.Corrupt(order[i].name, order[i].header, "the record overlaps with %q", order[i-1].name)
		}
	}
	return nil
}

// checkName refuses names that would leave the folder when unpacked.
func checkName(name string) error {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\\\x00") ||
		slices.Contains(strings.Split(name, "/"), "..") {
		return &errs.ErrUnsafe{Reason: fmt.Sprintf("record name %q leads out of the archive", name)}
	}
	return nil
}

func (rec *zipRecord) readLocal(r io.ReaderAt, end int64) error {
	if rec.header > end-sizeLocal {
		return errs.Corrupt(rec.name, rec.header, "the record lies beyond the archive's end")
	}
	buf := make([]byte, min(sizeLocal+int64(len(rec.name)), end-rec.header))
	if _, err := r.ReadAt(buf, rec.header); err != nil {
		return &errs.ErrCorrupt{Record: rec.name, Offset: rec.header, Reason: "can't read its header", Err: err}
	}
	le := binary.LittleEndian
	if le.Uint32(buf) != sigLocal || le.Uint16(buf[8:]) != 0 || int(le.Uint16(buf[26:])) != len(rec.name) ||
		!bytes.Equal(buf[sizeLocal:], []byte(rec.name)) {
		return errs.Corrupt(rec.name, rec.header, "the record's own header disagrees with the directory")
	}
	rec.data = rec.header + sizeLocal + int64(len(rec.name)) + int64(le.Uint16(buf[28:]))
	if rec.data > end || rec.size > end-rec.data {
		return errs.Corrupt(rec.name, rec.header, "the record's %d bytes reach beyond the archive's end", rec.size)
	}
	if le.Uint16(buf[6:])&flagDescriptor == 0 {
		if le.Uint32(buf[14:]) != rec.crc {
			return errs.Corrupt(rec.name, rec.header, "the record's own header disagrees with the directory")
		}
	}
	return nil
}
