package serial

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/shard"
)

// ShardOptions says how LoadSharded reads.
type ShardOptions struct {
	// Device is where the tensors go; the zero value is the CPU. On torch.Meta they have dtypes and shapes, and no bytes
	// are read.
	Device torch.Device
	// Box picks the part of a tensor that this rank wants, by the tensor's name and shape: where it begins, and its sizes.
	// nil, and a nil result, mean the whole tensor. The number of ranks need not be that of the save.
	Box func(name string, shape []int) (offsets, sizes []int)
	// Only picks the entries that are read, by name; the others are left out. nil picks all.
	Only func(name string) bool
	// Into gives, by name, tensors to read into, as LoadOptions.Into does: with the box's shape.
	Into func(name string) *torch.Tensor
}

// LoadSharded reads a sharded checkpoint of CommitParts or of torch.distributed.checkpoint into nested dicts and lists.
func LoadSharded(dir string, opts ...ShardOptions) (*Dict, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, errs.InFile(err, dir)
	}
	d, err := shard.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	d.Entries = slices.DeleteFunc(d.Entries, func(e *shard.Entry) bool {
		return o.Only != nil && e.Name != shard.IntKeys && !o.Only(e.Name)
	})
	var out *Dict
	err = guard(func() error {
		if o.Into != nil && o.Device != torch.Meta {
			if err := o.verifyTargets(d); err != nil {
				return err
			}
		}
		out, err = d.State(func(e *shard.Entry) (any, error) { return o.entry(d, e) })
		return err
	})
	if err != nil {
		return nil, errs.InFile(err, dir)
	}
	return out, nil
}

func (o ShardOptions) entry(d *shard.Dir, e *shard.Entry) (any, error) {
	if !e.IsTensor() {
		v, err := d.Value(e)
		if err != nil {
			return nil, err
		}
		return load(&anyFile{root: v}, d.Path, LoadOptions{Device: o.Device})
	}
	offsets, sizes, err := o.box(e)
	if err != nil {
		return nil, err
	}
	dtype, err := torchDType(e.DType)
	if err != nil {
		return nil, err
	}
	if o.Device == torch.Meta {
		return torch.Options{DType: dtype, Device: torch.Meta}.Empty(sizes...), nil
	}
	t, dst, err := o.target(e)
	if dst == nil && err == nil {
		t = torch.Options{DType: dtype, Device: torch.CPU}.Empty(sizes...)
		dst, err = rowMajorMemory(t, dtype, sizes)
		defer func() {
			if err != nil {
				t.Release()
			}
		}()
	}
	if err == nil {
		err = d.ReadBox(e, offsets, sizes, dst)
		runtime.KeepAlive(t)
	}
	if err != nil {
		return nil, err
	}
	if o.Device.Type != 0 && o.Device != torch.CPU {
		host := t
		t = toDevice(host, o.Device)
		host.Release()
	}
	return t, nil
}

// box is the requested part of a tensor.
func (o ShardOptions) box(e *shard.Entry) (offsets, sizes []int, err error) {
	offsets, sizes = make([]int, len(e.Shape)), e.Shape
	if o.Box != nil {
		if at, box := o.Box(e.Name, e.Shape); box != nil {
			offsets, sizes = at, box
		}
	}
	for i, n := range sizes {
		if len(sizes) != len(e.Shape) || len(offsets) != len(sizes) || n < 0 || offsets[i] < 0 || offsets[i]+n > e.Shape[i] {
			return nil, nil, fmt.Errorf("%s: the box at %v of sizes %v does not lie within %v", e.Name, offsets, sizes, e.Shape)
		}
	}
	return offsets, sizes, nil
}

// target is the tensor into whose memory an entry is read, or nil.
func (o ShardOptions) target(e *shard.Entry) (t *torch.Tensor, mem []byte, err error) {
	if o.Into == nil || o.Device.Type != 0 && o.Device != torch.CPU {
		return nil, nil, nil
	}
	if t = o.Into(e.Name); t == nil {
		return nil, nil, nil
	}
	_, sizes, err := o.box(e)
	if err != nil {
		return nil, nil, err
	}
	dtype, err := torchDType(e.DType)
	if err != nil {
		return nil, nil, err
	}
	mem, err = rowMajorMemory(t, dtype, sizes)
	return t, mem, err
}

// verifyTargets checks the checksums of all that is going to overwrite a tensor.
func (o ShardOptions) verifyTargets(d *shard.Dir) error {
	for _, e := range d.Entries {
		if !e.IsTensor() {
			continue
		}
		if _, mem, err := o.target(e); err != nil {
			return err
		} else if mem == nil {
			continue
		}
		offsets, sizes, err := o.box(e)
		if err != nil {
			return err
		}
		if err := d.VerifyBox(e, offsets, sizes); err != nil {
			return err
		}
	}
	return nil
}
