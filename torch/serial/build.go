package serial

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// builder turns the descriptions of one file into tensors. Storages are allocated first and read together, then tensors
// are put on them.
type builder struct {
	device  torch.Device
	bases   map[*ptfile.Storage]*torch.Tensor // one byte tensor a storage
	tensors map[*ptfile.Tensor]*torch.Tensor
	jobs    []ptfile.Job
	// targets are tensors that were there before, with the jobs that overwrite them.
	targets map[*ptfile.Tensor]*torch.Tensor
	inPlace []ptfile.Job
	taken   memories // that the targets have
}

func newBuilder(device torch.Device) *builder {
	return &builder{device: device, bases: map[*ptfile.Storage]*torch.Tensor{},
		tensors: map[*ptfile.Tensor]*torch.Tensor{},
		targets: map[*ptfile.Tensor]*torch.Tensor{}}
}

// want allocates the storages under t; on the meta device there are none.
func (b *builder) want(t *ptfile.Tensor) error {
	if b.device == torch.Meta {
		dtype, err := torchDType(t.DType)
		if err == nil {
			b.tensors[t] = torch.Options{DType: dtype, Device: torch.Meta}.Empty(t.Shape...)
		}
		return err
	}
	for _, p := range t.Parts {
		if err := b.want(p); err != nil {
			return err
		}
	}
	s := t.Storage
	if s == nil || b.bases[s] != nil {
		return nil
	}
	base := torch.Options{DType: torch.UInt8, Device: torch.CPU}.Empty(int(s.Size))
	b.bases[s] = base
	dst, err := memory(base)
	if err != nil {
		return err
	}
	useHugePages(dst)
	b.jobs = append(b.jobs, ptfile.Job{Storage: s, Dst: dst[:s.Size]})
	return nil
}

// readInto has t's bytes read into a tensor that is there already, if its memory is laid out as they are.
func (b *builder) readInto(t *ptfile.Tensor, into *torch.Tensor) (bool, error) {
	if _, twice := b.targets[t]; twice {
		return true, nil
	}
	dtype, err := torchDType(t.DType)
	if err != nil || t.Layout != ptfile.Strided || !t.Contiguous() || t.Conj || t.Neg || t.Offset != 0 ||
		t.Bytes() != t.Storage.Size {
		return false, nil
	}
	dst, err := rowMajorMemory(into, dtype, t.Shape)
	if dst == nil || err != nil {
		return false, err
	}
	if !b.taken.add(dst) {
		return false, nil // tied here and not in the file: one of them must be read elsewhere
	}
	b.targets[t] = into
	b.inPlace = append(b.inPlace, ptfile.Job{Storage: t.Storage, Dst: dst})
	return true, nil
}

// rowMajorMemory returns the memory of a tensor's elements, if it is on the CPU, of that dtype and shape, and has them
// one after the other; else nil.
func rowMajorMemory(t *torch.Tensor, dtype torch.DType, shape []int) ([]byte, error) {
	if t.Layout() != torch.Strided || t.Device() != torch.CPU || t.DType() != dtype || !t.IsContiguous() ||
		!slices.Equal(t.Shape(), shape) {
		return nil, nil
	}
	if abi.Flags("serial.Into", t)&(cgotorch.FlagConj|cgotorch.FlagNeg|cgotorch.FlagZero) != 0 {
		return nil, nil
	}
	mem, err := memory(t)
	if err != nil || t.Numel() == 0 {
		return []byte{}, err
	}
	from := t.StorageOffset() * dtype.Size()
	return mem[from : from+t.Numel()*dtype.Size()], nil
}

// overwrite reads into the tensors that were there before, once all their new bytes are known to be sound.
func (b *builder) overwrite(workers int) error {
	check := make([]ptfile.Job, len(b.inPlace))
	for i, j := range b.inPlace {
		check[i].Storage = j.Storage
	}
	if err := ptfile.ReadAll(check, workers); err != nil {
		return err
	}
	err := ptfile.ReadAll(b.inPlace, workers)
	runtime.KeepAlive(b.targets)
	if err != nil {
		return fmt.Errorf("the tensors that it was read into are overwritten in part: %w", err)
	}
	return nil
}

// read fills all storages that were wanted, and moves them to their device.
func (b *builder) read(workers int) error {
	err := ptfile.ReadAll(b.jobs, workers)
	b.jobs = nil
	if err == nil {
		err = b.overwrite(workers)
	}
	for s, base := range b.bases {
		runtime.KeepAlive(base)
		if err == nil && b.device.Type != 0 && b.device != torch.CPU {
			b.bases[s] = toDevice(base, b.device)
			base.Release()
		}
	}
	return err
}

// release gives up the byte tensors; the tensors on them keep the memory.
func (b *builder) release() {
	for _, base := range b.bases {
		base.Release()
	}
}

// tensor puts t on its storage.
func (b *builder) tensor(t *ptfile.Tensor) (*torch.Tensor, error) {
	if into, ok := b.targets[t]; ok {
		return into, nil
	}
	if done, ok := b.tensors[t]; ok {
		return done, nil
	}
	out, err := b.make(t)
	if err != nil {
		return nil, err
	}
	if t.RequiresGrad {
		out.RequiresGrad_(true)
	}
	b.tensors[t] = out
	return out, nil
}

func (b *builder) make(t *ptfile.Tensor) (*torch.Tensor, error) {
	if t.Layout != ptfile.Strided {
		return b.sparse(t)
	}
	dtype, err := torchDType(t.DType)
	if err != nil {
		return nil, err
	}
	base := b.bases[t.Storage]
	out := setStorage(torch.Options{DType: dtype, Device: base.Device()}.Empty(0), base, t.Offset, t.Shape, t.Strides)
	if t.Conj {
		out = unary(&opConj, out)
	}
	if t.Neg {
		out = unary(&opNegView, out)
	}
	return out, nil
}

// sparse puts a sparse tensor together, after libtorch has checked that its indices lie within its sizes: a kernel
// would follow them anywhere.
func (b *builder) sparse(t *ptfile.Tensor) (*torch.Tensor, error) {
	var parts []*torch.Tensor
	for _, p := range t.Parts {
		part, err := b.tensor(p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	var out *torch.Tensor
	err := torch.Try(func() {
		if t.Layout == "sparse_coo" {
			out = b.coo(t, parts)
		} else {
			out = b.compressed(t, parts)
		}
	})
	if err != nil {
		return nil, &errs.ErrCorrupt{Record: t.Parts[0].Storage.Record(), Offset: -1,
			Reason: "libtorch refuses the sparse tensor on it", Err: err}
	}
	return out, nil
}

func (b *builder) compressed(t *ptfile.Tensor, parts []*torch.Tensor) *torch.Tensor {
	layout := layouts[t.Layout]
	call(&opValidateCSR, func(a *op.Args) {
		for _, p := range parts {
			abi.Tensor(a, p)
		}
		a.Ints(t.Shape)
		abi.Layout(a, layout)
		a.None()
	})
	return abi.Result(call(&opCompressed, func(a *op.Args) {
		for _, p := range parts {
			abi.Tensor(a, p)
		}
		a.Ints(t.Shape)
		abi.DType(a, parts[2].DType())
		abi.Layout(a, layout)
		abi.Device(a, parts[0].Device())
		a.Bool(false)
	}))
}

func (b *builder) coo(t *ptfile.Tensor, parts []*torch.Tensor) *torch.Tensor {
	coalesced := t.Coalesced != nil && *t.Coalesced
	call(&opValidateCOO, func(a *op.Args) {
		abi.Tensor(a, parts[0])
		abi.Tensor(a, parts[1])
		a.Ints(t.Shape)
		a.Bool(coalesced)
		a.None()
	})
	out := abi.Result(call(&opSparseCOO, func(a *op.Args) {
		abi.Tensor(a, parts[0])
		abi.Tensor(a, parts[1])
		a.Ints(t.Shape)
		abi.DType(a, parts[1].DType())
		abi.Layout(a, torch.SparseCOO)
		abi.Device(a, parts[1].Device())
		a.Bool(false)
		a.Bool(coalesced)
	}))
	return out
}

// value replaces descriptions by tensors in a tree of values, in place where it can.
func (b *builder) value(v any) (any, error) {
	switch v := v.(type) {
	case *ptfile.Tensor:
		if !b.wanted(v) {
			return v, nil
		}
		return b.tensor(v)
	case ptfile.DType:
		return torchDType(v)
	case []any:
		return v, b.items(v)
	case pickle.Tuple:
		return v, b.items(v)
	case *pickle.Set:
		return v, b.items(v.Items)
	case *pickle.Dict:
		for k, item := range v.All() {
			out, err := b.value(item)
			if err != nil {
				return nil, err
			}
			if err := v.Set(k, out); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (b *builder) items(items []any) (err error) {
	for i := range items {
		if items[i], err = b.value(items[i]); err != nil {
			return err
		}
	}
	return nil
}

// wanted reports whether the storages under t are requested.
func (b *builder) wanted(t *ptfile.Tensor) bool {
	if b.targets[t] != nil || b.tensors[t] != nil {
		return true
	}
	for _, p := range t.Parts {
		if !b.wanted(p) {
			return false
		}
	}
	return t.Storage == nil || b.bases[t.Storage] != nil
}
