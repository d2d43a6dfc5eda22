package serial

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/shard"
)

// Shard is one rank's box of a tensor that is spread over ranks, as a value to be saved by SavePart.
type Shard struct {
	// Tensor is the rank's part.
	Tensor *torch.Tensor
	// Offsets is where it begins in the whole tensor, whose shape is Shape.
	Offsets, Shape []int
}

// NewSaveID returns a name for one sharded save. Rank 0 makes it and broadcasts it.
func NewSaveID() string { return shard.NewSaveID() }

// SavePart writes one rank's part of a sharded checkpoint to a folder that all ranks share, durably, and returns an
// index, which the ranks gather on one of them for CommitParts. All ranks call it at once, with the same id.
//
// v is a state of nested dicts (maps with string or int keys, *Dict, *torch.StateDict) and lists. A *Shard in it is
// written by every rank that has one. Everything else is the same on all ranks, and rank 0 alone writes it, but for
// what PartOptions lets the ranks share. Non-contiguous tensors are written contiguous, and tensors that share memory
// each for themselves.
func SavePart(dir string, rank int, id string, v any, opts ...PartOptions) (index []byte, err error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, errs.InFile(err, dir)
	}
	c := newCollector(false)
	defer c.release()
	err = guard(func() error {
		f := flattener{c: c, rank: rank, o: o}
		if err := f.walk(nil, v); err != nil {
			return err
		}
		if rank == 0 {
			f.items = append(f.items, shard.Item{Path: []any{shard.IntKeys}, Value: f.intKeys})
		}
		index, err = shard.WritePart(atomicfile.OS, dir, rank, id, f.items, c.convert)
		return err
	})
	return index, errs.InFile(err, dir)
}

// PartOptions says how the ranks of a sharded save share the work.
type PartOptions struct {
	// Ranks is how many save.
	Ranks int
	// Equal reports by their names the tensors that are equal on all ranks, bit for bit. Of those each rank writes its
	// share of the rows, so that all disks and links work at once. It must return the same on all ranks; nil means none.
	// TensorSums finds out.
	Equal func(name string) bool
}

// worthSharing is how large a tensor must be for ranks to share its rows.
const worthSharing = 1 << 20

// TensorSums returns the checksums of the tensors in a state that ranks may share in SavePart: dense ones of a mebibyte
// and more that are no *Shard, by their names. A tensor whose sum is the same on all ranks is equal on them.
func TensorSums(v any) (sums map[string]uint32, err error) {
	c := newCollector(false)
	defer c.release()
	err = guard(func() error {
		f := flattener{c: c}
		if err := f.walk(nil, v); err != nil {
			return err
		}
		sums = map[string]uint32{}
		for _, it := range f.items {
			if it.Shape != nil || it.Tensor == nil || !shareable(it.Tensor) {
				continue
			}
			var sum uint32
			err := it.Tensor.Dense(func(p []byte) error { sum = crc32.Update(sum, crc32.IEEETable, p); return nil })
			if err != nil {
				return err
			}
			sums[shard.Name(it.Path)] = sum
		}
		return nil
	})
	return sums, err
}

func shareable(t *ptfile.Tensor) bool { return len(t.Shape) > 0 && t.Bytes() >= worthSharing }

// CommitParts makes a folder's parts a checkpoint, in one atomic step. One rank calls it, with the indexes of all,
// after all have returned from SavePart; the others wait for it before they save again. Until then the folder is the
// checkpoint it was before, and from then on the new one: an error of what comes after (removing the parts of the save
// before, and the leftovers of killed ones) reports that. The result is a checkpoint of PyTorch's distributed
// checkpoint, too.
func CommitParts(dir string, indexes [][]byte) error {
	return shard.Commit(atomicfile.OS, dir, indexes)
}

// DiscardParts removes what the ranks wrote of a save that will not be committed, because a rank failed.
func DiscardParts(dir, id string) error { return shard.Discard(atomicfile.OS, dir, id) }

// flattener takes a state apart as DCP does: dicts to their items, lists only where they hold tensors.
type flattener struct {
	c       *collector
	rank    int
	o       PartOptions
	items   []shard.Item
	intKeys []any // names of the dicts whose keys are integers
}

func (f *flattener) walk(path []any, v any) error {
	switch v := v.(type) {
	case *Shard:
		return f.tensor(path, v.Tensor, v.Offsets, v.Shape)
	case Shard:
		return f.tensor(path, v.Tensor, v.Offsets, v.Shape)
	case *torch.Tensor:
		if v != nil && (f.rank == 0 || f.shared(path)) {
			return f.tensor(path, v, nil, nil)
		}
	case *torch.StateDict:
		d, err := stateDictValue(v)
		if err != nil {
			return err
		}
		return f.dict(path, d)
	case *pickle.Dict:
		return f.dict(path, v)
	case []any:
		if hasTensor(v) {
			return f.list(path, v)
		}
	case pickle.Tuple:
		if hasTensor(v) {
			return f.list(path, v)
		}
	default:
		if t, ok := parameter(v); ok {
			return f.walk(path, t)
		}
		if d, ok, err := pickle.FromMap(v); ok || err != nil {
			if err != nil {
				return err
			}
			return f.dict(path, d)
		}
	}
	if len(path) == 0 {
		return &errs.ErrUnsupported{What: "a " + typename.Of(v) + " as a sharded state", Remedy: "use a map with string keys"}
	}
	if f.rank == 0 {
		f.items = append(f.items, shard.Item{Path: path, Value: v})
	}
	return nil
}

func (f *flattener) list(path []any, items []any) error {
	for i, v := range items {
		if err := f.walk(append(path[:len(path):len(path)], i), v); err != nil {
			return err
		}
	}
	return nil
}

func (f *flattener) dict(path []any, d *pickle.Dict) error {
	ints := false
	for k, v := range d.All() {
		key := k
		switch n := k.(type) {
		case string:
		case int:
			ints = true
			key = strconv.Itoa(n)
		default:
			return &errs.ErrUnsupported{What: fmt.Sprintf("%v: a dict key of type %s in a sharded checkpoint", path,
				typename.Of(k)), Remedy: "use string or int keys"}
		}
		if err := f.walk(append(path[:len(path):len(path)], key), v); err != nil {
			return err
		}
	}
	if d.Len() == 0 && f.rank == 0 && len(path) > 0 {
		f.items = append(f.items, shard.Item{Path: path, Value: d})
	}
	if ints {
		f.intKeys = append(f.intKeys, append([]any{}, path...))
	}
	return nil
}

func (f *flattener) tensor(path []any, t *torch.Tensor, offsets, shape []int) error {
	d, err := f.c.tensor(t)
	if err != nil {
		return err
	}
	shared := shape == nil && d.Layout == ptfile.Strided && f.shared(path) && shareable(d)
	if shape == nil && !shared && f.rank != 0 {
		return nil
	}
	if d.Layout != ptfile.Strided { // DCP has no sparse tensors; as a value of its own it is kept
		f.items = append(f.items, shard.Item{Path: path, Value: t})
		return nil
	}
	if shared {
		rows := d.Shape[0]
		from := f.rank * rows / f.o.Ranks
		part := *d
		part.Shape = slices.Clone(d.Shape)
		part.Shape[0] = (f.rank+1)*rows/f.o.Ranks - from
		part.Offset += from * d.Strides[0]
		offsets, shape, d = make([]int, len(d.Shape)), d.Shape, &part
		if offsets[0] = from; part.Shape[0] == 0 {
			return nil
		}
	}
	f.items = append(f.items, shard.Item{Path: path, Tensor: d, Offsets: offsets, Shape: shape})
	return nil
}

// shared reports whether the ranks share the tensor at a path.
func (f *flattener) shared(path []any) bool {
	return f.o.Ranks > 1 && f.o.Equal != nil && f.o.Equal(shard.Name(path))
}

// hasTensor reports whether a list holds a tensor, directly or in lists and dicts within.
func hasTensor(items []any) bool {
	for _, v := range items {
		switch v := v.(type) {
		case *torch.Tensor, *Shard, Shard, *torch.StateDict:
			return true
		case []any:
			if hasTensor(v) {
				return true
			}
		case pickle.Tuple:
			if hasTensor(v) {
				return true
			}
		case *pickle.Dict:
			for _, inner := range v.All() {
				if hasTensor([]any{inner}) {
					return true
				}
			}
		default:
			if _, ok := parameter(v); ok {
				return true
			}
			if d, ok, _ := pickle.FromMap(v); ok && hasTensor([]any{d}) {
				return true
			}
		}
	}
	return false
}
