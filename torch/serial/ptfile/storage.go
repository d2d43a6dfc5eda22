package ptfile

import (
	"hash/crc32"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/golite/golite/torch/serial/errs"
)

// Storage is a run of bytes that one or more tensors view: a record of a file, or memory.
type Storage struct {
	// Key names the storage in its file: "0", "1", ...
	Key string
	// DType is the typed storage's element type; empty for an untyped one.
	DType DType
	// Location is where the storage was when it was saved: "cpu", "cuda:0".
	Location string
	// Size is in bytes.
	Size int64

	src    io.ReaderAt
	off    int64
	mem    []byte // the bytes themselves, where they are in memory
	crc    uint32
	hasCRC bool
	swap   int // bytes that change places, for files of the other byte order; 0 or 1: none
	big    bool
	file   string
	record string
}

// NewMemoryStorage returns a storage whose bytes are p, which must stay as they are until they are written.
func NewMemoryStorage(p []byte, dtype DType, location string) *Storage {
	return &Storage{DType: dtype, Location: location, Size: int64(len(p)), mem: p}
}

// NewReaderStorage returns a storage of size bytes that are read from r at off when they are needed. Their checksum is
// not known, and not checked.
func NewReaderStorage(r io.ReaderAt, off, size int64, dtype DType, location string) *Storage {
	return &Storage{DType: dtype, Location: location, Size: size, src: r, off: off}
}

// Checksummed reports whether the file has a checksum of the storage's bytes.
func (s *Storage) Checksummed() bool { return s.hasCRC }

// CRC32 returns the checksum that the file gives for the bytes, and whether it gives one.
func (s *Storage) CRC32() (uint32, bool) { return s.crc, s.hasCRC }

// Record names the storage's record in its file, for messages.
func (s *Storage) Record() string { return s.record }

// chunkSize is what one worker reads at once: large enough for the disk, small enough for a processor cache.
const chunkSize = 1 << 20

// ReadAt reads raw bytes in this machine's byte order, without checking the checksum; off and len(p) must be
// multiples of the element size. Use Read or Verify where the checksum matters.
func (s *Storage) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > s.Size {
		return 0, io.ErrUnexpectedEOF
	}
	if err := s.raw(p, off); err != nil {
		return 0, err
	}
	s.fixOrder(p)
	return len(p), nil
}

func (s *Storage) raw(p []byte, off int64) error {
	if s.mem != nil {
		copy(p, s.mem[off:])
		return nil
	}
	if len(p) == 0 {
		return nil
	}
	if n, err := s.src.ReadAt(p, s.off+off); n < len(p) {
		return &errs.ErrCorrupt{File: s.file, Record: s.record, Offset: s.off + off + int64(n),
			Reason: "can't read the storage", Err: err}
	}
	return nil
}

// fixOrder swaps the bytes of elements from a big-endian file.
func (s *Storage) fixOrder(p []byte) {
	if !s.big || s.swap < 2 {
		return
	}
	for i := 0; i+s.swap <= len(p); i += s.swap {
		for a, b := i, i+s.swap-1; a < b; a, b = a+1, b-1 {
			p[a], p[b] = p[b], p[a]
		}
	}
}

// Job requests one storage's bytes: Dst has exactly its size. With a nil Dst the bytes are only read and their checksum
// checked.
type Job struct {
	Storage *Storage
	Dst     []byte
}

// Read fills dst, whose length is the storage's size, and checks the checksum.
func (s *Storage) Read(dst []byte) error { return ReadAll([]Job{{s, dst}}, 0) }

// ReadAll fills the destinations of all jobs with positioned reads on several goroutines, straight into
// place, and checks each storage's checksum on the way. workers 0 means one for each processor. On an
// error the destinations hold garbage.
func ReadAll(jobs []Job, workers int) error {
	parts := make([][]uint32, len(jobs))
	var list []chunk
	for i, j := range jobs {
		if j.Dst != nil && int64(len(j.Dst)) != j.Storage.Size {
			return errs.Corrupt(j.Storage.record, -1, "%d bytes of memory for a storage of %d", len(j.Dst), j.Storage.Size)
		}
		n := int((j.Storage.Size + chunkSize - 1) / chunkSize)
		parts[i] = make([]uint32, n)
		for k := range n {
			list = append(list, chunk{i, k})
		}
	}
	err := forEachChunk(list, workers, func(c chunk) error {
		j := jobs[c.job]
		from := int64(c.part) * chunkSize
		if j.Dst == nil {
			var err error
			parts[c.job][c.part], err = j.Storage.sum(from, min(chunkSize, j.Storage.Size-from))
			return err
		}
		p := j.Dst[from:min(from+chunkSize, j.Storage.Size)]
		if err := j.Storage.raw(p, from); err != nil {
			return err
		}
		if j.Storage.hasCRC {
			parts[c.job][c.part] = crc32.ChecksumIEEE(p)
		}
		j.Storage.fixOrder(p)
		return nil
	})
	if err != nil {
		return err
	}
	for i, j := range jobs {
		if err := j.Storage.checkParts(parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkSize is how many unneeded bytes are read at once: little, as every processor's worker has a buffer.
const checkSize = 64 << 10

var checkBuffers = sync.Pool{New: func() any { return new([checkSize]byte) }}

// sum is the checksum of n bytes.
func (s *Storage) sum(from, n int64) (crc uint32, err error) {
	buf := checkBuffers.Get().(*[checkSize]byte)
	defer checkBuffers.Put(buf)
	for to := from + n; from < to; from += checkSize {
		p := buf[:min(checkSize, to-from)]
		if err := s.raw(p, from); err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, crc32.IEEETable, p)
	}
	return crc, nil
}

// chunk is the part-th piece of a job.
type chunk struct{ job, part int }

func forEachChunk(list []chunk, workers int, f func(chunk) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, len(list))
	if workers <= 1 {
		for _, c := range list {
			if err := f(c); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var failed atomic.Bool
	found := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for !failed.Load() {
				i := next.Add(1) - 1
				if i >= int64(len(list)) {
					return
				}
				if err := f(list[i]); err != nil {
					found[w] = err
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range found {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Storage) checkParts(parts []uint32) error {
	if !s.hasCRC {
		return nil
	}
	crc := uint32(0)
	for i, p := range parts {
		crc = combineCRC(crc, p, min(chunkSize, s.Size-int64(i)*chunkSize))
	}
	if crc != s.crc {
		return s.checksumError(crc)
	}
	return nil
}

func (s *Storage) checksumError(got uint32) error {
	return &errs.ErrCorrupt{File: s.file, Record: s.record, Offset: s.off, Reason: checksumReason(s.crc, got)}
}

// Verify reads the storage in constant memory and checks its checksum, if it has one.
func (s *Storage) Verify() error {
	var crc uint32
	err := s.stream(func(p []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, p)
		return nil
	})
	if err != nil {
		return err
	}
	if s.hasCRC && crc != s.crc {
		return s.checksumError(crc)
	}
	return nil
}

// stream calls f with the file's bytes, in order.
func (s *Storage) stream(f func(p []byte) error) error {
	buf := make([]byte, min(chunkSize, s.Size))
	for off := int64(0); off < s.Size; off += chunkSize {
		p := buf[:min(chunkSize, s.Size-off)]
		if err := s.raw(p, off); err != nil {
			return err
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// Describe sets the names under which the storage appears in messages.
func (s *Storage) Describe(file, record string) { s.file, s.record = file, record }

// SetCRC32 gives the checksum that the bytes must have.
func (s *Storage) SetCRC32(crc uint32) { s.crc, s.hasCRC = crc, true }
