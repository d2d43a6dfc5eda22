package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// maxHeader is the longest header that the format allows.
const maxHeader = 100_000_000

// names gives the format's names of the dtypes.
var names = map[ptfile.DType]string{
	"bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16", "bfloat16": "BF16",
	"int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
	"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ",
	"float8_e5m2fnuz": "F8_E5M2FNUZ", "complex64": "C64",
}

var dtypes = func() map[string]ptfile.DType {
	m := map[string]ptfile.DType{}
	for d, n := range names {
		m[n] = d
	}
	return m
}()

// entry is one tensor of a header.
type entry struct {
	name       string
	dtype      ptfile.DType
	shape      []int
	begin, end int64
}

// header is a parsed header: tensors in the order of the file's JSON.
type header struct {
	entries  []entry
	metadata map[string]string
}

const headerPart = "header"

func bad(format string, args ...any) error { return errs.Corrupt(headerPart, 8, format, args...) }

// parseHeader reads the JSON and checks that the tensors fill exactly dataSize bytes, without gap or overlap.
func parseHeader(raw []byte, dataSize int64) (*header, error) {
	h := &header{metadata: map[string]string{}}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	seen := map[string]bool{}
	err := object(d, func(key string) error {
		if seen[key] {
			return fmt.Errorf("key %q is there twice", key)
		}
		seen[key] = true
		if key == "__metadata__" {
			return object(d, func(k string) error {
				v, err := d.Token()
				s, ok := v.(string)
				if err != nil || !ok {
					return fmt.Errorf("metadata %q is no string", k)
				}
				h.metadata[k] = s
				return nil
			})
		}
		e := entry{name: key}
		if err := e.parse(d); errs.Typed(err) {
			return err
		} else if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		h.entries = append(h.entries, e)
		return nil
	})
	if err != nil {
		if errs.Typed(err) {
			return nil, err
		}
		return nil, bad("%v", err)
	}
	if rest := bytes.TrimSpace(raw[d.InputOffset():]); len(rest) > 0 {
		return nil, bad("%d bytes after the JSON", len(rest))
	}
	return h, h.check(dataSize)
}

// object reads a JSON object and calls f at each key's value.
func object(d *json.Decoder, f func(key string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("an object was expected, not %v (%v)", t, err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("a key was expected, not %v", t)
		}
		if err := f(key); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (e *entry) parse(d *json.Decoder) error {
	fields := 0
	err := object(d, func(key string) error {
		fields++
		switch key {
		case "dtype":
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, ok := t.(string)
			if !ok {
				return fmt.Errorf("the dtype %v is no name", t)
			}
			dtype, ok := dtypes[name]
			if !ok { // F4, F6_E2M3 and F6_E3M2, which share bytes, or of a later version of the format
				return &errs.ErrUnsupported{What: fmt.Sprintf("the safetensors dtype %q, of tensor %q,", name, e.name),
					Remedy: "in Python, convert the tensor to another dtype before it is saved, such as torch.bfloat16"}
			}
			e.dtype = dtype
			return nil
		case "shape":
			shape, err := numbers(d)
			e.shape = shape
			return err
		case "data_offsets":
			o, err := numbers(d)
			if err == nil && len(o) != 2 {
				err = fmt.Errorf("%d data offsets", len(o))
			}
			if err == nil {
				e.begin, e.end = int64(o[0]), int64(o[1])
			}
			return err
		}
		return fmt.Errorf("unknown field %q", key)
	})
	if err != nil {
		return err
	}
	if fields != 3 || e.dtype == "" || e.shape == nil {
		return fmt.Errorf("dtype, shape and data_offsets were expected")
	}
	return e.checkSize()
}

// checkSize compares the offsets with what shape and dtype need.
func (e *entry) checkSize() error {
	want := uint64(e.dtype.Size())
	for _, n := range e.shape {
		hi, lo := bits.Mul64(want, uint64(n))
		if hi != 0 || lo > 1<<62 {
			return fmt.Errorf("shape %v overflows", e.shape)
		}
		want = lo
	}
	if e.begin > e.end || uint64(e.end-e.begin) != want {
		return fmt.Errorf("%s%v needs %d bytes, its offsets are [%d, %d]", e.dtype, e.shape, want, e.begin, e.end)
	}
	return nil
}

const maxDims = 64

func numbers(d *json.Decoder) ([]int, error) {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, fmt.Errorf("a list was expected")
	}
	out := []int{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok || len(out) >= maxDims {
			return nil, fmt.Errorf("a list of at most %d numbers was expected", maxDims)
		}
		v, err := n.Int64()
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s is no size", n)
		}
		out = append(out, int(v))
	}
	_, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return out, err
}

func (h *header) check(dataSize int64) error {
	order := make([]*entry, len(h.entries))
	for i := range h.entries {
		order[i] = &h.entries[i]
	}
	slices.SortStableFunc(order, func(a, b *entry) int {
		if a.begin != b.begin {
			return int(min(max(a.begin-b.begin, -1), 1))
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	at := int64(0)
	for _, e := range order {
		if e.begin != at {
			return bad("tensor %q begins at %d, the one before it ends at %d", e.name, e.begin, at)
		}
		at = e.end
	}
	if at != dataSize {
		return bad("the tensors take %d bytes, the file has %d", at, dataSize)
	}
	return nil
}
