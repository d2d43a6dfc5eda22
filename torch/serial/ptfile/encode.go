package ptfile

import (
	"strconv"
	"strings"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// encoder writes a value tree to data.pkl and collects the storages that its tensors view.
type encoder struct {
	pickle   pickle.Encoder
	keys     map[*Storage]string
	storages []*Storage
	typed    map[*Storage]DType
	convert  func(v any) (any, bool, error)
}

func newEncoder(o Options) *encoder {
	e := &encoder{keys: map[*Storage]string{}, typed: map[*Storage]DType{}, convert: o.Convert}
	e.pickle.FullPickle = o.FullPickle
	e.pickle.Extend = e.extend
	return e
}

// extend writes the values of this package.
func (e *encoder) extend(p *pickle.Encoder, v any) (bool, error) {
	if e.convert != nil {
		c, ok, err := e.convert(v)
		if err != nil {
			return false, err
		}
		if ok {
			return true, p.Value(c)
		}
	}
	switch v := v.(type) {
	case *Tensor:
		return true, e.tensor(v)
	case DType:
		p.Global("torch", string(v))
		return true, nil
	case Layout:
		return true, p.Call("torch.serialization", "_get_layout", "torch."+string(v))
	case Size:
		return true, p.Call("torch", "Size", intTuple(v))
	case Device:
		if v.Index < 0 {
			return true, p.Call("torch", "device", v.Type)
		}
		return true, p.Call("torch", "device", v.Type, v.Index)
	case *NumpyDType:
		return true, e.numpyDType(v)
	case *NumpyArray:
		return true, e.numpyArray(v)
	case *Storage:
		return true, &errs.ErrUnsupported{What: "a bare storage in a checkpoint", Remedy: "save a tensor that views it"}
	case emptyDict:
		return true, p.Call("collections", "OrderedDict")
	case globalName:
		p.Global(v.module, v.name)
		return true, nil
	case persistent:
		return true, e.storage(v)
	}
	return false, nil
}

// Inert markers that extend turns into globals and calls within an argument tuple.
type (
	emptyDict  struct{}
	globalName struct{ module, name string }
	persistent struct {
		s     *Storage
		dtype DType
	}
)

func intTuple(ns []int) pickle.Tuple {
	t := make(pickle.Tuple, len(ns))
	for i, n := range ns {
		t[i] = n
	}
	return t
}

func (e *encoder) tensor(t *Tensor) error {
	if !t.DType.Known() {
		return &errs.ErrUnsupported{What: "dtype " + t.DType.String()}
	}
	if !t.Parameter {
		name, args := e.rebuild(t)
		if t.Attrs != nil {
			return e.pickle.Call("torch._tensor", "_rebuild_from_type_v2",
				globalName{"torch._utils", name}, globalName{"torch", "Tensor"}, args, t.Attrs)
		}
		return e.pickle.Call("torch._utils", name, args...)
	}
	data := *t
	data.Parameter, data.RequiresGrad, data.Attrs = false, false, nil
	if t.Attrs != nil {
		return e.pickle.Call("torch._utils", "_rebuild_parameter_with_state", &data, t.RequiresGrad, emptyDict{}, t.Attrs)
	}
	return e.pickle.Call("torch._utils", "_rebuild_parameter", &data, t.RequiresGrad, emptyDict{})
}

// rebuild returns the function of torch._utils that makes the tensor, and its arguments.
func (e *encoder) rebuild(t *Tensor) (string, pickle.Tuple) {
	if t.Layout != Strided && t.Layout != "" {
		parts := pickle.Tuple{}
		for _, p := range t.Parts {
			parts = append(parts, p)
		}
		parts = append(parts, Size(t.Shape))
		if t.Layout == "sparse_coo" {
			if t.Coalesced == nil {
				parts = append(parts, nil)
			} else {
				parts = append(parts, *t.Coalesced)
			}
		}
		return "_rebuild_sparse_tensor", pickle.Tuple{t.Layout, parts}
	}
	args := pickle.Tuple{persistent{t.Storage, t.DType}, t.Offset, intTuple(t.Shape), intTuple(t.Strides), t.RequiresGrad,
		emptyDict{}}
	name := "_rebuild_tensor_v2"
	if e.storageDType(t.Storage, t.DType) != t.DType {
		name, args = "_rebuild_tensor_v3", append(args, t.DType)
	}
	if t.Conj || t.Neg {
		meta := &pickle.Dict{}
		for k, on := range map[string]bool{"conj": t.Conj, "neg": t.Neg} {
			if on {
				_ = meta.Set(k, true) // a string key can't fail
			}
		}
		args = append(args, meta)
	}
	return name, args
}

// storageDType settles the element type under which a storage is written: that of the first tensor that views it, or
// untyped where typed storages can't say it. Tensors of another dtype then carry their own.
func (e *encoder) storageDType(s *Storage, d DType) DType {
	if first, ok := e.typed[s]; ok {
		return first
	}
	if dtypes[d].storage == "" || s.Size%int64(d.Size()) != 0 {
		d = untyped
	}
	e.typed[s] = d
	return d
}

// storage writes the persistent id of a storage and schedules the writing of its bytes.
func (e *encoder) storage(v persistent) error {
	s := v.s
	key, ok := e.keys[s]
	if !ok {
		key = strconv.Itoa(len(e.storages))
		e.keys[s] = key
		e.storages = append(e.storages, s)
	}
	location := s.Location
	if location == "" {
		location = "cpu"
	}
	d := e.storageDType(s, v.dtype)
	class, n := globalName{"torch", dtypes[d].storage}, s.Size
	if d == untyped {
		class = globalName{"torch.storage", "UntypedStorage"}
	} else {
		n /= int64(d.Size())
	}
	return e.pickle.PersistentID(pickle.Tuple{"storage", class, key, location, int(n)})
}

func (e *encoder) numpyDType(d *NumpyDType) error {
	if err := e.pickle.NeedFull("numpy.dtype"); err != nil {
		return err
	}
	if err := e.pickle.Call("numpy", "dtype", d.Code, false, true); err != nil {
		return err
	}
	size, align := -1, -1
	if strings.ContainsRune("US", rune(d.Code[0])) {
		size, align = d.ItemSize(), 1
		if d.Code[0] == 'U' {
			align = 4
		}
	}
	flags := 0
	if d.Code[0] == 'U' {
		flags = 8
	}
	if err := e.pickle.Tuple(3, string(rune(d.Order)), nil, nil, nil, size, align, flags); err != nil {
		return err
	}
	e.pickle.Build()
	return nil
}

func (e *encoder) numpyArray(a *NumpyArray) error {
	if err := e.pickle.NeedFull("a numpy array"); err != nil {
		return err
	}
	if a.Scalar {
		return e.pickle.Call("numpy._core.multiarray", "scalar", a.DType, pickle.Bytes(a.Data))
	}
	err := e.pickle.Call("numpy._core.multiarray", "_reconstruct", globalName{"numpy", "ndarray"}, pickle.Tuple{0},
		pickle.Bytes("b"))
	if err != nil {
		return err
	}
	if err := e.pickle.Tuple(1, intTuple(a.Shape), a.DType, a.Fortran, pickle.Bytes(a.Data)); err != nil {
		return err
	}
	e.pickle.Build()
	return nil
}

// EncodePlain returns the pickle of a value without tensors, with the types of this package; extend, if not nil, writes
// others. It is how the metadata of sharded checkpoints is written.
func EncodePlain(v any, extend func(e *pickle.Encoder, v any) (bool, error)) ([]byte, error) {
	e := newEncoder(Options{FullPickle: true})
	own := e.pickle.Extend
	e.pickle.Extend = func(p *pickle.Encoder, v any) (bool, error) {
		if extend != nil {
			if done, err := extend(p, v); done || err != nil {
				return done, err
			}
		}
		return own(p, v)
	}
	return e.pickle.Encode(v)
}
