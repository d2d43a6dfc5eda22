package shard

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// What metadata may claim: no writer makes longer names, or deeper paths.
const (
	maxName = 2048
	maxPath = 200
)

// metadataName is DCP's name of the file that makes a folder a checkpoint.
const metadataName = ".metadata"

// The modules of DCP whose dataclasses metadata is made of.
const (
	moduleMetadata   = "torch.distributed.checkpoint.metadata"
	moduleFilesystem = "torch.distributed.checkpoint.filesystem"
)

// Place is where the bytes of a piece are: a whole torch.save file within a part file.
type Place struct {
	File           string
	Offset, Length int64 // in bytes
}

// Chunk is a box of a tensor, and where it is.
type Chunk struct {
	Offsets, Sizes []int // for each dimension, in elements
	Place
}

// Entry is one tensor, or one other value.
type Entry struct {
	// Name is the value's path in the state, joined by dots.
	Name string
	// Path is the same as keys (strings) and list positions (ints).
	Path []any
	// DType and Shape are the whole tensor's; Chunks cover it. DType is empty for other values, whose one chunk has no
	// sizes.
	DType  ptfile.DType
	Shape  []int
	Chunks []Chunk
}

// IsTensor reports whether the entry is a tensor.
func (e *Entry) IsTensor() bool { return e.DType != "" }

// object is an instance of one of DCP's dataclasses: its attributes, and nothing of its behaviour.
type object struct {
	class string
	state any
}

// SetState implements pickle.Builder.
func (o *object) SetState(state any) error { o.state = state; return nil }

// Resolve implements pickle.Holder.
func (o *object) Resolve(f func(any) (any, error)) (err error) {
	o.state, err = f(o.state)
	return err
}

// field returns an attribute.
func (o *object) field(name string) any {
	d, _ := o.state.(*pickle.Dict)
	v, _ := d.Get(name)
	return v
}

// HashKey lets a MetadataIndex be a key, as it is of DCP's storage_data. One without a proper name is refused later, by
// readPlaces; here it must only not cost more than it is worth.
func (o *object) HashKey() string {
	offset, _ := o.field("offset").(ptfile.Size)
	fqn, _ := o.field("fqn").(string)
	if len(fqn) > maxName {
		fqn = fqn[:maxName]
	}
	return fmt.Sprintf("%s %q %v", o.class, fqn, []int(offset))
}

var classes = map[string]*pickle.Class{}

func init() {
	for _, name := range []string{"Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata",
		"BytesStorageMetadata",
		"MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING"} {
		classes[moduleMetadata+"."+name] = &pickle.Class{Name: name, Call: func(pickle.Tuple) (any,
			error) {
			return &object{class: name}, nil
		}}
	}
	classes[moduleFilesystem+"._StorageInfo"] = &pickle.Class{Name: "_StorageInfo",
		Call: func(pickle.Tuple) (any, error) { return &object{class: "_StorageInfo"}, nil }}
}

func globals(module, name string) (any, bool, error) {
	if c, ok := classes[module+"."+name]; ok {
		return c, true, nil
	}
	return ptfile.Globals(module, name)
}

// saveIDMark begins golite's save id in the metadata; the checksum of the file, with its own digits as zeros, follows.
const saveIDMark = "golite-crc32-"

// parseMetadata reads a .metadata file.
func parseMetadata(raw []byte) ([]*Entry, error) {
	if err := checkSum(raw); err != nil {
		return nil, err
	}
	v, end, err := pickle.Decode(bytes.NewReader(raw), 0, int64(len(raw)), pickle.Options{Globals: globals,
		Record: metadataName})
	if err != nil {
		return nil, err
	}
	if end != int64(len(raw)) {
		return nil, errs.Corrupt(metadataName, end, "%d bytes after the pickle's end", int64(len(raw))-end)
	}
	root, ok := v.(*object)
	if !ok || root.class != "Metadata" {
		return nil, errs.Corrupt(metadataName, 0, "it holds %s, not a checkpoint's metadata", pickle.Describe(v))
	}
	entries, err := readEntries(root)
	if err != nil && !errs.Typed(err) {
		err = errs.Corrupt(metadataName, 0, "%v", err)
	}
	return entries, err
}

func checkSum(raw []byte) error {
	at := bytes.Index(raw, []byte(saveIDMark))
	if at < 0 {
		return nil
	}
	digits := at + len(saveIDMark)
	if digits+8 > len(raw) {
		return errs.Corrupt(metadataName, int64(at), "golite's checksum is damaged")
	}
	want := string(raw[digits : digits+8])
	blank := slices.Clone(raw)
	copy(blank[digits:], "00000000")
	if got := fmt.Sprintf("%08x", crc32.ChecksumIEEE(blank)); got != want {
		return errs.Corrupt(metadataName, int64(digits), "checksum mismatch: the file says %s, its bytes give %s", want, got)
	}
	return nil
}

func readEntries(root *object) ([]*Entry, error) {
	tensors, ok := root.field("state_dict_metadata").(*pickle.Dict)
	paths, _ := root.field("planner_data").(*pickle.Dict)
	places, ok2 := root.field("storage_data").(*pickle.Dict)
	if !ok || !ok2 {
		return nil, fmt.Errorf("the metadata has no state_dict_metadata, or no storage_data")
	}
	at, err := readPlaces(places)
	if err != nil {
		return nil, err
	}
	var entries []*Entry
	for k, v := range tensors.All() {
		name, ok := k.(string)
		o, ok2 := v.(*object)
		if !ok || !ok2 {
			return nil, fmt.Errorf("entry %s is %s", pickle.Describe(k), pickle.Describe(v))
		}
		e := &Entry{Name: name, Path: []any{name}}
		if p, ok := paths.Get(name); ok {
			if e.Path, ok = pathOf(p); !ok {
				return nil, fmt.Errorf("%s: its path is %s: keys and list positions were expected, at most %d", name,
					pickle.Describe(p), maxPath)
			}
		}
		if err := e.read(o, at); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func pathOf(v any) ([]any, bool) {
	t, ok := v.(pickle.Tuple)
	if len(t) > maxPath {
		return nil, false
	}
	for _, k := range t {
		switch k := k.(type) {
		case string:
		case int:
			ok = ok && k >= 0 && k < 1<<24
		default:
			ok = false
		}
	}
	return t, ok && len(t) > 0
}

// placeKey is a MetadataIndex without its hint.
func placeKey(name string, offsets []int) string { return fmt.Sprint(name, "\x00", offsets) }

func readPlaces(d *pickle.Dict) (map[string]Place, error) {
	at := map[string]Place{}
	for k, v := range d.All() {
		index, ok := k.(*object)
		info, ok2 := v.(*object)
		if !ok || !ok2 || info.class != "_StorageInfo" {
			return nil, fmt.Errorf("storage_data has %s for %s", pickle.Describe(v), pickle.Describe(k))
		}
		name, named := index.field("fqn").(string)
		if !named || len(name) > maxName {
			return nil, fmt.Errorf("an entry of storage_data is named %s: a text of at most %d bytes was expected",
				pickle.Describe(index.field("fqn")), maxName)
		}
		offset, _ := index.field("offset").(ptfile.Size)
		file, ok := info.field("relative_path").(string)
		from, ok2 := info.field("offset").(int)
		n, ok3 := info.field("length").(int)
		if !ok || !ok2 || !ok3 || from < 0 || n < 0 {
			return nil, fmt.Errorf("%s: its place in the files is not given", name)
		}
		if file == "" || !filepath.IsLocal(file) || strings.ContainsAny(file, "\\\x00") {
			return nil, &errs.ErrUnsafe{Reason: fmt.Sprintf("part %q leads out of the folder", file)}
		}
		if tr, ok := info.field("transform_descriptors").([]any); ok && len(tr) > 0 {
			return nil, &errs.ErrUnsupported{What: "a sharded checkpoint with the transform " + pickle.Describe(tr[0])}
		}
		at[placeKey(name, offset)] = Place{file, int64(from), int64(n)}
	}
	return at, nil
}

// read fills an entry from DCP's TensorStorageMetadata or BytesStorageMetadata.
func (e *Entry) read(o *object, at map[string]Place) error {
	if o.class == "BytesStorageMetadata" {
		p, ok := at[placeKey(e.Name, nil)]
		if !ok {
			return fmt.Errorf("its bytes are not in the files")
		}
		e.Chunks = []Chunk{{Place: p}}
		return nil
	}
	properties, _ := o.field("properties").(*object)
	shape, ok := o.field("size").(ptfile.Size)
	chunks, ok2 := o.field("chunks").([]any)
	if o.class != "TensorStorageMetadata" || properties == nil || !ok || !ok2 {
		return fmt.Errorf("a %s", o.class)
	}
	state, _ := properties.state.(pickle.Tuple)
	if len(state) == 0 {
		return fmt.Errorf("tensor properties without a dtype")
	}
	dtype, ok := state[0].(ptfile.DType)
	if !ok {
		return fmt.Errorf("its dtype is %s", pickle.Describe(state[0]))
	}
	e.DType, e.Shape = dtype, shape
	for _, c := range chunks {
		box, _ := c.(*object)
		if box == nil {
			return fmt.Errorf("a chunk is %s", pickle.Describe(c))
		}
		offsets, ok := box.field("offsets").(ptfile.Size)
		sizes, ok2 := box.field("sizes").(ptfile.Size)
		p, ok3 := at[placeKey(e.Name, offsets)]
		if !ok || !ok2 || !ok3 {
			return fmt.Errorf("chunk at %v is not in the files", offsets)
		}
		e.Chunks = append(e.Chunks, Chunk{Offsets: offsets, Sizes: sizes, Place: p})
	}
	return e.check()
}
