package shard

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Item is what one rank writes of one value: a box of a tensor, or a whole other value.
type Item struct {
	// Path is where the value is in the state: keys and list positions.
	Path []any
	// Tensor is the rank's part, and Offsets where it begins in the whole tensor of shape Shape. A nil Shape says that the
	// part is the whole.
	Tensor         *ptfile.Tensor
	Offsets, Shape []int
	// Value is what is written when Tensor is nil.
	Value any
}

// NewSaveID returns a name for one save, which all its ranks must share: rank 0 makes it and broadcasts it.
func NewSaveID() string { return strings.ToLower(rand.Text()[:10]) }

var saveID = regexp.MustCompile(`^[a-zA-Z0-9]{1,32}$`)

// piece is a written item, as ranks send it to the one that commits.
type piece struct {
	Path           []any
	DType          ptfile.DType
	Shape, Offsets []int
	Sizes          []int
	Place          Place
}

func partName(rank int, id string) string { return fmt.Sprintf("__%d_%s"+partSuffix, rank, id) }

// Name joins a path as DCP does: it is the name of the entry there.
func Name(path []any) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, ".")
}

// WritePart writes one rank's items to its part file in dir, durably, and returns an index for Commit. A rank without
// items writes nothing; its index is needed all the same. convert is ptfile.Options.Convert and may be nil.
func WritePart(fsys atomicfile.FS, dir string, rank int, id string, items []Item,
	convert func(any) (any, bool, error)) (index []byte, err error) {
	if !saveID.MatchString(id) || rank < 0 {
		return nil, fmt.Errorf("rank %d, save id %q: want letters and digits, such as NewSaveID gives", rank, id)
	}
	file := partName(rank, id)
	pieces := []piece{}
	var archives []*ptfile.Archive
	at := int64(0)
	for _, it := range items {
		p := piece{Path: it.Path}
		var root any = it.Value
		if it.Tensor != nil {
			t, err := it.Tensor.Compact()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", Name(it.Path), err)
			}
			root = t
			p.DType, p.Sizes, p.Shape, p.Offsets = t.DType, t.Shape, it.Shape, it.Offsets
			if p.Shape == nil {
				p.Shape, p.Offsets = t.Shape, make([]int, len(t.Shape))
			}
		}
		a, err := ptfile.NewArchive(root, ptfile.Options{FullPickle: true, Convert: convert})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Name(it.Path), err)
		}
		p.Place = Place{file, at, a.Size()}
		at += a.Size()
		pieces, archives = append(pieces, p), append(archives, a)
	}
	if len(pieces) > 0 {
		err = atomicfile.Write(fsys, filepath.Join(dir, file), at, func(w io.WriterAt) error {
			for i, a := range archives {
				if err := a.WriteTo(w, pieces[i].Place.Offset); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(pieces)
}

// Commit makes the parts a checkpoint: it writes the metadata, from the indexes of all ranks, in one atomic step, and
// then removes what no longer belongs to it: the parts of the save before, and the leftovers of killed ones. The folder
// is the checkpoint that it was before, whole, until the metadata is in place, and the new one, whole, from then on; a
// later error reports that. A commit that fails before it removes the parts of its save.
func Commit(fsys atomicfile.FS, dir string, indexes [][]byte) error {
	entries, err := writeMetadata(fsys, dir, indexes)
	if err != nil {
		mine := writtenParts(indexes)
		return errors.Join(err, discard(fsys, dir, func(name string) bool { return mine[name] }))
	}
	used := partsOf(entries)
	err = errors.Join(removeParts(fsys, dir, func(name string) bool { return !used[name] }),
		atomicfile.Sweep(fsys, dir, anything))
	if err != nil {
		return fmt.Errorf("commit %s: the checkpoint is complete, and parts of the one before could not be removed: %w", dir,
			err)
	}
	return nil
}

// writeMetadata puts the metadata in place.
func writeMetadata(fsys atomicfile.FS, dir string, indexes [][]byte) ([]*Entry, error) {
	entries, err := merge(indexes)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", dir, err)
	}
	raw, err := encodeMetadata(entries)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", dir, err)
	}
	return entries, atomicfile.Write(fsys, filepath.Join(dir, metadataName), int64(len(raw)), func(w io.WriterAt) error {
		_, err := w.WriteAt(raw, 0)
		return err
	})
}

// writtenParts is the set of the files that indexes name, as far as they can be read.
func writtenParts(indexes [][]byte) map[string]bool {
	parts := map[string]bool{}
	for _, raw := range indexes {
		var pieces []piece
		_ = json.Unmarshal(raw, &pieces) // what can't be read names nothing to remove
		for _, p := range pieces {
			parts[p.Place.File] = true
		}
	}
	return parts
}

func merge(indexes [][]byte) ([]*Entry, error) {
	var entries []*Entry
	byName := map[string]*Entry{}
	for rank, raw := range indexes {
		var pieces []piece
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&pieces); err != nil {
			return nil, fmt.Errorf("the index of rank %d: %w", rank, err)
		}
		for _, p := range pieces {
			if err := p.fixPath(); err != nil {
				return nil, err
			}
			name := Name(p.Path)
			e := byName[name]
			if e == nil {
				e = &Entry{Name: name, Path: p.Path, DType: p.DType, Shape: p.Shape}
				byName[name] = e
				entries = append(entries, e)
			}
			if e.DType != p.DType || !slices.Equal(e.Shape, p.Shape) {
				return nil, fmt.Errorf("%s is %s%v on one rank and %s%v on rank %d", name, e.DType, e.Shape, p.DType, p.Shape, rank)
			}
			if !e.IsTensor() && len(e.Chunks) > 0 {
				return nil, fmt.Errorf("%s, which is no tensor, was written by several ranks", name)
			}
			e.Chunks = append(e.Chunks, Chunk{Offsets: p.Offsets, Sizes: p.Sizes, Place: p.Place})
		}
	}
	for _, e := range entries {
		if e.IsTensor() {
			if err := e.check(); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name, err)
			}
		}
	}
	return entries, nil
}

// fixPath makes ints of JSON's numbers.
func (p *piece) fixPath() error {
	for i, k := range p.Path {
		if n, ok := k.(json.Number); ok {
			v, err := n.Int64()
			if err != nil {
				return err
			}
			p.Path[i] = int(v)
		}
	}
	return nil
}

// newObject is an instance of one of DCP's dataclasses to be written.
type newObject struct {
	module, name string
	state        any
}

// callee is a call to be written: an enum member, a layout.
type callee struct {
	module, name string
	args         []any
}

func extend(e *pickle.Encoder, v any) (bool, error) {
	switch v := v.(type) {
	case newObject:
		return true, e.NewObject(v.module, v.name, v.state)
	case *newObject:
		return true, e.NewObject(v.module, v.name, v.state)
	case callee:
		return true, e.Call(v.module, v.name, v.args...)
	}
	return false, nil
}

// HashKey lets a MetadataIndex be a key.
func (o *newObject) HashKey() string { return fmt.Sprintf("%p", o) }

// dict makes a dict of keys and values in turn.
func dict(kv ...any) *pickle.Dict {
	d := pickle.NewDict(pickle.PlainDict)
	for i := 0; i < len(kv); i += 2 {
		_ = d.Set(kv[i], kv[i+1]) // strings and objects with HashKey can't fail
	}
	return d
}

func encodeMetadata(entries []*Entry) ([]byte, error) {
	tensors, paths, places := dict(), dict(), dict()
	for _, e := range entries {
		if e.IsTensor() && !e.DType.Known() {
			return nil, &errs.ErrUnsupported{What: "dtype " + e.DType.String()}
		}
		_ = tensors.Set(e.Name, e.metadata())
		_ = paths.Set(e.Name, pickle.Tuple(e.Path))
		for i, c := range e.Chunks {
			index := dict("fqn", e.Name, "index", nil)
			if e.IsTensor() {
				index = dict("fqn", e.Name, "index", i, "offset", ptfile.Size(c.Offsets))
			}
			info := dict("relative_path", c.File, "offset", int(c.Offset), "length", int(c.Length))
			_ = places.Set(&newObject{moduleMetadata, "MetadataIndex", index}, newObject{moduleFilesystem, "_StorageInfo", info})
		}
	}
	meta := newObject{moduleMetadata, "StorageMeta", dict("checkpoint_id", nil, "save_id", saveIDMark+"00000000",
		"load_id", nil, "modules", []any{})}
	root := newObject{moduleMetadata, "Metadata", dict("state_dict_metadata", tensors, "planner_data", paths,
		"storage_data", places,
		"storage_meta", meta, "version", "1.0.0")}
	raw, err := ptfile.EncodePlain(root, extend)
	if err != nil {
		return nil, err
	}
	digits := bytes.LastIndex(raw, []byte(saveIDMark)) + len(saveIDMark)
	copy(raw[digits:], fmt.Sprintf("%08x", crc32.ChecksumIEEE(raw)))
	return raw, checkSum(raw)
}

// metadata is DCP's description of an entry.
func (e *Entry) metadata() any {
	if !e.IsTensor() {
		return newObject{moduleMetadata, "BytesStorageMetadata", dict()}
	}
	chunks := []any{}
	for _, c := range e.Chunks {
		chunks = append(chunks, newObject{moduleMetadata, "ChunkStorageMetadata", dict("offsets", ptfile.Size(c.Offsets),
			"sizes", ptfile.Size(c.Sizes))})
	}
	format := callee{moduleMetadata, "_MEM_FORMAT_ENCODING", []any{0}}
	properties := newObject{moduleMetadata, "TensorProperties", pickle.Tuple{e.DType, ptfile.Strided, false, format,
		false}}
	return newObject{moduleMetadata, "TensorStorageMetadata", dict("properties", properties, "size", ptfile.Size(e.Shape),
		"chunks", chunks)}
}
