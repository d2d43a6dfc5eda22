package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Named is a tensor with its name.
type Named struct {
	Name   string
	Tensor *ptfile.Tensor
}

// Archive is a file that is ready to be written.
type Archive struct {
	tensors  []Named // in the order of their bytes
	header   []byte
	size     int64
	digits   int // where the header's own checksum is
	sumsAt   int // where the tensors' checksums are
	dataFrom int64
}

// NewArchive lays out a file. Tensors keep their order in the header; their bytes are placed by falling element size,
// so that each is aligned. Tensors that share memory are written once each: the format has no aliases.
func NewArchive(tensors []Named, metadata map[string]string) (*Archive, error) {
	order := slices.Clone(tensors)
	slices.SortStableFunc(order, func(a, b Named) int { return b.Tensor.DType.Size() - a.Tensor.DType.Size() })
	place := map[string][2]int64{}
	at := int64(0)
	for _, n := range order {
		if _, twice := place[n.Name]; twice || n.Name == "__metadata__" {
			return nil, fmt.Errorf("the name %q can't be used, or is used twice", n.Name)
		}
		if names[n.Tensor.DType] == "" || n.Tensor.Layout != ptfile.Strided {
			return nil, &errs.ErrUnsupported{What: fmt.Sprintf("%s: safetensors of dtype %s and layout %s", n.Name,
				n.Tensor.DType, n.Tensor.Layout),
				Remedy: "use the .pt format"}
		}
		place[n.Name] = [2]int64{at, at + n.Tensor.Bytes()}
		at += n.Tensor.Bytes()
	}
	a := &Archive{tensors: order}
	if err := a.makeHeader(tensors, place, metadata); err != nil {
		return nil, err
	}
	a.dataFrom = 8 + int64(len(a.header))
	a.size = a.dataFrom + at
	return a, nil
}

// Size returns how long the file will be.
func (a *Archive) Size() int64 { return a.size }

func (a *Archive) makeHeader(tensors []Named, place map[string][2]int64, metadata map[string]string) error {
	var b bytes.Buffer
	b.WriteString(`{"__metadata__":{`)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range metadata {
			if !yield(k) {
				return
			}
		}
	}) {
		if strings.HasPrefix(k, "golite.") {
			return fmt.Errorf("metadata key %q is golite's own", k)
		}
		if err := writeJSON(&b, k, ':', metadata[k], ','); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "%q:\"", keyTensors)
	a.sumsAt = b.Len()
	b.WriteString(strings.Repeat("0", 8*len(tensors)))
	fmt.Fprintf(&b, "\",%q:\"", keyHeader)
	a.digits = b.Len()
	b.WriteString("00000000\"}")
	for _, n := range tensors {
		b.WriteByte(',')
		shape := n.Tensor.Shape
		if shape == nil {
			shape = []int{}
		}
		info := struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{names[n.Tensor.DType], shape, place[n.Name]}
		if err := writeJSON(&b, n.Name, ':', info, 0); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	a.header = b.Bytes()
	if len(a.header) > maxHeader {
		return &errs.ErrUnsupported{What: fmt.Sprintf("a safetensors header of %d bytes", len(a.header))}
	}
	return nil
}

func writeJSON(b *bytes.Buffer, key string, sep byte, value any, end byte) error {
	for _, v := range []any{key, value} {
		p, err := json.Marshal(v)
		if err != nil {
			return err
		}
		b.Write(p)
		if sep != 0 {
			b.WriteByte(sep)
		}
		sep = end
	}
	return nil
}

// WriteTo writes the file at offset base of w, in constant memory. Checksums of the tensors' storages are checked on
// the way where a tensor is its whole storage.
func (a *Archive) WriteTo(w io.WriterAt, base int64) error {
	at := base + a.dataFrom
	var sums strings.Builder
	for _, n := range a.tensors {
		var crc uint32
		err := n.Tensor.Dense(func(p []byte) error {
			crc = crc32.Update(crc, crc32.IEEETable, p)
			_, err := w.WriteAt(p, at)
			at += int64(len(p))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		fmt.Fprintf(&sums, "%08x", crc)
	}
	head := slices.Clone(a.header)
	copy(head[a.sumsAt:], sums.String())
	copy(head[a.digits:], fmt.Sprintf("%08x", crc32.ChecksumIEEE(head)))
	_, err := w.WriteAt(append(binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head...), base)
	return err
}
