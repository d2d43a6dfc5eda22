package serial

import (
	"reflect"
	"runtime"
	"unsafe"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/op"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// collector turns tensors into descriptions with their memory, for the time of one save. Tensors on another device are
// copied to the CPU, each storage once; with snapshot set, so are those on the CPU.
type collector struct {
	snapshot bool
	storages map[storageKey]*ptfile.Storage
	tensors  map[*torch.Tensor]*ptfile.Tensor
	alive    []*torch.Tensor // whose memory the storages are
	owned    []*torch.Tensor // made here, released at the end
}

// storageKey is the identity of a storage: its address on its device. Tensors without memory have none.
type storageKey struct {
	device torch.Device
	p      unsafe.Pointer
}

func newCollector(snapshot bool) *collector {
	return &collector{snapshot: snapshot, storages: map[storageKey]*ptfile.Storage{},
		tensors: map[*torch.Tensor]*ptfile.Tensor{}}
}

// release ends the save: the storages' memory may go.
func (c *collector) release() {
	for _, t := range c.owned {
		t.Release()
	}
	runtime.KeepAlive(c.alive)
}

// convert is ptfile.Options.Convert.
func (c *collector) convert(v any) (out any, ok bool, err error) {
	switch v := v.(type) {
	case *torch.Tensor:
		if v == nil {
			return nil, true, nil
		}
		out, err = c.tensor(v)
	case *torch.StateDict:
		out, err = stateDictValue(v)
	case torch.DType:
		out, err = fileDType(v)
	case torch.Device:
		out, err = ptfile.ParseDevice(v.String())
	case torch.Layout:
		out = ptfile.Layout(v.String())
	default:
		t, isParameter := parameter(v)
		if !isParameter {
			return nil, false, nil
		}
		if t == nil {
			return nil, true, nil
		}
		out, err = c.parameter(t)
	}
	return out, true, err
}

// parameter describes an nn.Parameter.
func (c *collector) parameter(t *torch.Tensor) (*ptfile.Tensor, error) {
	d, err := c.tensor(t)
	if err != nil {
		return nil, err
	}
	p := *d
	p.Parameter, p.RequiresGrad = true, t.RequiresGrad()
	return &p, nil
}

// parameter finds the tensor of nn.Parameter and of other structs that only embed one (nn.Buffer), without importing
// package nn, which may import this one.
func parameter(v any) (*torch.Tensor, bool) {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Struct || r.NumField() != 1 || !r.Type().Field(0).Anonymous {
		return nil, false
	}
	t, ok := r.Field(0).Interface().(*torch.Tensor)
	return t, ok
}

func (c *collector) tensor(t *torch.Tensor) (*ptfile.Tensor, error) {
	if d, ok := c.tensors[t]; ok {
		return d, nil
	}
	d, err := c.describe(t)
	if err == nil {
		c.tensors[t] = d
	}
	return d, err
}

func (c *collector) describe(t *torch.Tensor) (*ptfile.Tensor, error) {
	if t.Device() == torch.Meta {
		return nil, &errs.ErrUnsupported{What: "a tensor on the meta device, which has no bytes, in a checkpoint"}
	}
	dtype, err := fileDType(t.DType())
	if err != nil {
		return nil, err
	}
	if layout := t.Layout(); layout != torch.Strided {
		return c.sparse(t, dtype, layout)
	}
	bits := abi.Flags("serial.Save", t)
	requiresGrad := t.RequiresGrad() && t.IsLeaf()
	if bits&cgotorch.FlagZero != 0 {
		return c.zeros(t, dtype, requiresGrad)
	}
	s, err := c.storage(t, dtype, bits)
	if err != nil {
		return nil, err
	}
	return &ptfile.Tensor{DType: dtype, Shape: t.Shape(), Strides: t.Strides(), Offset: t.StorageOffset(), Storage: s,
		Layout: ptfile.Strided, RequiresGrad: requiresGrad, Conj: bits&cgotorch.FlagConj != 0,
		Neg: bits&cgotorch.FlagNeg != 0}, nil
}

// zeros describes a tensor that stands for zeros and has no memory, such as the gradient of Sgn: its zeros are written.
func (c *collector) zeros(t *torch.Tensor, dtype ptfile.DType, requiresGrad bool) (*ptfile.Tensor, error) {
	host := torch.Options{DType: t.DType(), Device: torch.CPU}.Zeros(t.Shape()...).Keep()
	c.owned = append(c.owned, host)
	mem, err := memory(host)
	if err != nil {
		return nil, err
	}
	s := ptfile.NewMemoryStorage(mem, dtype, t.Device().String())
	return &ptfile.Tensor{DType: dtype, Shape: t.Shape(), Strides: host.Strides(), Storage: s, Layout: ptfile.Strided,
		RequiresGrad: requiresGrad}, nil
}

func (c *collector) storage(t *torch.Tensor, dtype ptfile.DType, bits int64) (*ptfile.Storage, error) {
	_, p, cerr := cgotorch.Data(abi.Handle(t))
	if cerr != nil {
		return nil, abi.Error("storage", cerr, t)
	}
	key := storageKey{t.Device(), p}
	if s, ok := c.storages[key]; ok && p != nil {
		return s, nil
	}
	host := t
	if t.Device() != torch.CPU || c.snapshot {
		host = c.copy(t, bits)
	}
	mem, err := memory(host)
	if err != nil {
		return nil, err
	}
	s := ptfile.NewMemoryStorage(mem, dtype, t.Device().String())
	c.storages[key] = s
	c.alive = append(c.alive, host)
	return s, nil
}

// copy copies a tensor's whole storage to new CPU memory. It is made outside of all scopes: an asynchronous save
// outlives the step that began it.
func (c *collector) copy(t *torch.Tensor, bits int64) *torch.Tensor {
	var host *torch.Tensor
	torch.Scope(func() { // the views that lead to the bytes hold on to the storage
		raw := storageBytes(t, bits)
		if t.Device() == torch.CPU {
			host = abi.Result(call(&opClone, func(a *op.Args) { abi.Tensor(a, raw); a.None() }))
		} else {
			host = toDevice(raw, torch.CPU)
		}
		host.Keep()
	})
	c.owned = append(c.owned, host)
	return host
}

func (c *collector) sparse(t *torch.Tensor, dtype ptfile.DType, layout torch.Layout) (*ptfile.Tensor, error) {
	out := &ptfile.Tensor{DType: dtype, Shape: t.Shape(), Layout: ptfile.Layout(layout.String()),
		RequiresGrad: t.RequiresGrad() && t.IsLeaf()}
	var parts []*op.Op
	switch layout {
	case torch.SparseCOO:
		parts = []*op.Op{&opIndices, &opValues}
		r := call(&opIsCoalesced, func(a *op.Args) { abi.Tensor(a, t) })
		coalesced := r.Int() != 0
		out.Coalesced = &coalesced
	case torch.SparseCSR, torch.SparseBSR:
		parts = []*op.Op{&opCrow, &opCol, &opCSRValues}
	case torch.SparseCSC, torch.SparseBSC:
		parts = []*op.Op{&opCcol, &opRow, &opCSRValues}
	default:
		return nil, &errs.ErrUnsupported{What: "layout " + layout.String() + " in a checkpoint"}
	}
	for _, o := range parts {
		part := unary(o, t).Keep()
		c.owned = append(c.owned, part)
		d, err := c.tensor(part)
		if err != nil {
			return nil, err
		}
		d.RequiresGrad = false
		out.Parts = append(out.Parts, d)
	}
	return out, nil
}
