package safetensors

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Keys of golite's checksums in a file's metadata.
const (
	keyTensors = "golite.crc32"  // eight hexadecimal digits for each tensor, in the order of their bytes
	keyHeader  = "golite.header" // the checksum of the header, with its own digits as zeros
)

// File is an open safetensors file.
type File struct {
	// Path names the file in messages.
	Path string
	// Names are the tensors' names, in the order of the header, or of the index.
	Names []string
	// Files are the names of the files that an index names; nil for a single file.
	Files []string
	// Metadata is the header's text, without golite's checksums.
	Metadata map[string]string
	// Checksummed says that golite wrote the file, and that its checksums are checked.
	Checksummed bool

	tensors map[string]*ptfile.Tensor
	closer  io.Closer
}

// Open opens a file and reads its header. Of a sharded model, as Hugging Face's save_pretrained writes it, it opens the
// index (model.safetensors.index.json, or pytorch_model.bin.index.json), and all files that it names, in the same
// folder, as one. Errors are *errs.ErrCorrupt, *errs.ErrUnsafe, *errs.ErrUnsupported or the operating system's.
func Open(path string) (*File, error) {
	if isIndex(path) {
		return openIndex(path)
	}
	f, st, err := regular.Open(path)
	if err != nil {
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

// Looks reports whether a file that begins with head, of at least nine bytes, may be a safetensors file, or the index
// of several.
func Looks(head []byte) bool {
	return looksIndex(head) || len(head) >= 9 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= maxHeader
}

// Read is Open for bytes that are already open; name is for messages.
func Read(r io.ReaderAt, size int64, name string) (*File, error) {
	f, err := read(r, size, name)
	return f, errs.InFile(err, name)
}

func read(r io.ReaderAt, size int64, name string) (*File, error) {
	var head [8]byte
	if size < 8 {
		return nil, errs.Corrupt(headerPart, 0, "a file of %d bytes has no header", size)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, errs.Corrupt(headerPart, 0, "a header of %d bytes in a file of %d", n, size)
	}
	raw := make([]byte, n)
	if k, err := r.ReadAt(raw, 8); k < len(raw) {
		return nil, err
	}
	if n == 0 || raw[0] != '{' {
		return nil, errs.Corrupt(headerPart, 8, "the header is no JSON object")
	}
	start := 8 + int64(n)
	h, err := parseHeader(raw, size-start)
	if err != nil {
		return nil, err
	}
	sums, err := checkHeader(raw, h)
	if err != nil {
		return nil, err
	}
	f := &File{Path: name, Metadata: h.metadata, tensors: map[string]*ptfile.Tensor{}, Checksummed: sums != nil}
	for _, e := range h.entries {
		s := ptfile.NewReaderStorage(r, start+e.begin, e.end-e.begin, e.dtype, "cpu")
		s.Key = e.name
		s.Describe(name, e.name)
		if crc, ok := sums[e.name]; ok {
			s.SetCRC32(crc)
		}
		f.Names = append(f.Names, e.name)
		f.tensors[e.name] = &ptfile.Tensor{DType: e.dtype, Shape: e.shape, Strides: ptfile.ContiguousStrides(e.shape),
			Storage: s, Layout: ptfile.Strided}
	}
	return f, nil
}

// checkHeader checks golite's checksums of the header, if there are any, takes them out of the metadata and returns
// those of the tensors.
func checkHeader(raw []byte, h *header) (map[string]uint32, error) {
	own, ok1 := h.metadata[keyHeader]
	list, ok2 := h.metadata[keyTensors]
	if !ok1 && !ok2 {
		if strings.Contains(string(raw), "golite.") {
			return nil, bad("golite's checksum is damaged")
		}
		return nil, nil
	}
	delete(h.metadata, keyHeader)
	delete(h.metadata, keyTensors)
	if !ok1 || !ok2 || len(own) != 8 || len(list) != 8*len(h.entries) {
		return nil, bad("golite's checksum is damaged")
	}
	mark := fmt.Sprintf("%q:%q", keyHeader, own)
	at := strings.Index(string(raw), mark)
	if at < 0 {
		return nil, bad("golite's checksum is damaged")
	}
	digits := at + len(mark) - 9
	blank := slices.Clone(raw)
	copy(blank[digits:], "00000000")
	if got := fmt.Sprintf("%08x", crc32.ChecksumIEEE(blank)); got != own {
		return nil, bad("checksum mismatch: the header says %s, its bytes give %s", own, got)
	}
	sums := map[string]uint32{}
	for i, e := range byOffset(h.entries) {
		v, err := strconv.ParseUint(list[8*i:8*i+8], 16, 32)
		if err != nil {
			return nil, bad("golite's checksum is damaged")
		}
		sums[e.name] = uint32(v)
	}
	return sums, nil
}

func byOffset(entries []entry) []entry {
	order := slices.Clone(entries)
	slices.SortStableFunc(order, func(a, b entry) int {
		if a.begin != b.begin {
			return int(min(max(a.begin-b.begin, -1), 1))
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	return order
}

// Tensor returns a tensor's description by name, and whether it is there.
func (f *File) Tensor(name string) (*ptfile.Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Verify reads every tensor and checks the checksums, in constant memory; checked is how many bytes a checksum vouches
// for.
func (f *File) Verify() (checked int64, err error) {
	for _, n := range f.Names {
		s := f.tensors[n].Storage
		if err := s.Verify(); err != nil {
			return checked, err
		}
		if s.Checksummed() {
			checked += s.Size
		}
	}
	return checked, nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}
