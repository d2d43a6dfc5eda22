package ptfile

import (
	"fmt"

	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// storageView is what a persistent id stands for while a pickle is read: a storage, and for legacy files the
// element at which a view of it starts.
type storageView struct {
	*Storage
	dtype DType
	start int
}

// Unfinished says that a storage alone is no value.
func (v storageView) Unfinished() string { return "the bare storage " + v.Key }

// rebuildTensor answers _rebuild_tensor (storage, offset, size, stride), _v2 (..., requires_grad, hooks,
// metadata) and _v3 (..., requires_grad, hooks, dtype, metadata).
func rebuildTensor(args pickle.Tuple) (any, error) {
	if len(args) != 4 && (len(args) < 6 || len(args) > 8) {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	view, ok := args[0].(storageView)
	if !ok {
		return nil, fmt.Errorf("%s where a storage was expected", pickle.Describe(args[0]))
	}
	t := &Tensor{Storage: view.Storage, DType: view.dtype, Layout: Strided}
	offset, ok := args[1].(int)
	if !ok || offset < 0 {
		return nil, fmt.Errorf("a storage offset is %s", pickle.Describe(args[1]))
	}
	t.Offset = offset + view.start
	var err error
	if t.Shape, err = ints(args[2]); err != nil {
		return nil, err
	}
	if t.Strides, err = ints(args[3]); err != nil {
		return nil, err
	}
	if err := t.takeRest(args[4:]); err != nil {
		return nil, err
	}
	if t.DType == untyped {
		t.DType = "uint8"
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tensor) takeRest(rest []any) error {
	if len(rest) == 0 {
		return nil
	}
	grad, ok := rest[0].(bool)
	if !ok {
		return fmt.Errorf("requires_grad is %s", pickle.Describe(rest[0]))
	}
	t.RequiresGrad = grad
	rest = rest[2:] // the hooks are always empty, and would be code
	if len(rest) > 0 {
		if d, ok := rest[0].(DType); ok {
			t.DType = d
			if t.Storage.DType == untyped && t.Storage.swap == 0 {
				t.Storage.swap = d.SwapUnit()
			}
			rest = rest[1:]
		}
	}
	if len(rest) > 1 {
		return fmt.Errorf("too many arguments")
	}
	if len(rest) == 1 && rest[0] != nil {
		return t.takeMetadata(rest[0])
	}
	return nil
}

func (t *Tensor) takeMetadata(v any) error {
	d, ok := v.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("metadata is %s", pickle.Describe(v))
	}
	for k, v := range d.All() {
		b, ok := v.(bool)
		switch {
		case ok && k == "conj":
			t.Conj = b
		case ok && k == "neg":
			t.Neg = b
		default:
			return &errs.ErrUnsupported{What: "tensor metadata " + pickle.Describe(k)}
		}
	}
	return nil
}

// rebuildParameter answers _rebuild_parameter (data, requires_grad, hooks) and _with_state (..., state).
func rebuildParameter(args pickle.Tuple) (any, error) {
	if len(args) != 3 && len(args) != 4 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	p, err := parameterOf(args[0], args[1])
	if err == nil && len(args) == 4 {
		p.Attrs = args[3]
	}
	return p, err
}

func parameterOf(data, grad any) (*Tensor, error) {
	t, ok1 := data.(*Tensor)
	g, ok2 := grad.(bool)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("a parameter is made of %s and %s", pickle.Describe(data), pickle.Describe(grad))
	}
	p := *t
	p.Parameter, p.RequiresGrad = true, g
	return &p, nil
}

func newParameter(args pickle.Tuple) (any, error) {
	if len(args) == 0 {
		return nil, &errs.ErrUnsupported{What: "a torch.nn.Parameter without its tensor (torch older than 1.0)"}
	}
	var grad any = true
	if len(args) > 1 {
		grad = args[1]
	}
	return parameterOf(args[0], grad)
}

func newBuffer(args pickle.Tuple) (any, error) {
	if len(args) > 0 {
		if t, ok := args[0].(*Tensor); ok {
			return t, nil
		}
	}
	return nil, fmt.Errorf("a buffer without its tensor")
}

// rebuildSparse answers _rebuild_sparse_tensor (layout, parts).
func rebuildSparse(args pickle.Tuple) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	layout, ok := args[0].(Layout)
	data, ok2 := pickle.Items(args[1])
	if !ok || !ok2 || layouts[layout] == 0 {
		return nil, fmt.Errorf("a layout is %s", pickle.Describe(args[0]))
	}
	n := layouts[layout]
	if len(data) < n+1 || len(data) > n+2 {
		return nil, fmt.Errorf("%d parts for layout %s", len(data), layout)
	}
	t := &Tensor{Layout: layout}
	for _, p := range data[:n] {
		part, ok := p.(*Tensor)
		if !ok || part.Layout != Strided {
			return nil, fmt.Errorf("%s as a part of a sparse tensor", pickle.Describe(p))
		}
		t.Parts = append(t.Parts, part)
	}
	t.DType = t.Parts[n-1].DType
	var err error
	if t.Shape, err = ints(data[n]); err != nil {
		return nil, err
	}
	if len(data) == n+2 && data[n+1] != nil {
		c, ok := data[n+1].(bool)
		if !ok || layout != "sparse_coo" {
			return nil, fmt.Errorf("is_coalesced is %s", pickle.Describe(data[n+1]))
		}
		t.Coalesced = &c
	}
	return t, t.checkSparse()
}

// checkSparse verifies what can be seen without the indices' values.
func (t *Tensor) checkSparse() error {
	elements := 1
	for _, n := range t.Shape {
		if n < 0 || n != 0 && elements > (1<<62)/n {
			return fmt.Errorf("sparse sizes %v", t.Shape)
		}
		elements *= max(n, 1)
	}
	for _, p := range t.Parts[:len(t.Parts)-1] {
		if p.DType != "int64" && p.DType != "int32" {
			return fmt.Errorf("sparse indices of dtype %s", p.DType)
		}
	}
	if t.Layout == "sparse_coo" {
		i, v := t.Parts[0], t.Parts[1]
		if len(i.Shape) != 2 || len(v.Shape) == 0 || i.Shape[1] != v.Shape[0] || i.Shape[0]+len(v.Shape)-1 != len(t.Shape) {
			return fmt.Errorf("indices %v and values %v for sparse sizes %v", i.Shape, v.Shape, t.Shape)
		}
	}
	return nil
}

// rebuildFromCPU answers _rebuild_device_tensor_from_cpu_tensor (data, dtype, device, requires_grad), which
// accelerators outside of PyTorch's core write.
func rebuildFromCPU(args pickle.Tuple) (any, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	t, ok := args[0].(*Tensor)
	d, ok2 := args[1].(DType)
	g, ok3 := args[3].(bool)
	if !ok || !ok2 || !ok3 || d != t.DType {
		return nil, fmt.Errorf("arguments of other types than expected")
	}
	c := *t
	c.RequiresGrad = g
	return &c, nil
}

// rebuildFromType answers _rebuild_from_type_v2 (function, type, args, state): a tensor with attributes.
func rebuildFromType(args pickle.Tuple) (any, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("%d arguments", len(args))
	}
	f, ok := args[0].(*pickle.Class)
	kind, ok2 := args[1].(*pickle.Class)
	inner, ok3 := args[2].(pickle.Tuple)
	if !ok || !ok2 || !ok3 {
		return nil, fmt.Errorf("arguments of other types than expected")
	}
	if kind.Name != "torch.Tensor" && kind.Name != "torch.nn.parameter.Parameter" {
		return nil, &errs.ErrUnsupported{What: "the tensor subclass " + kind.Name}
	}
	if f.Call == nil || !isRebuild[f.Name] {
		return nil, &errs.ErrUnsafe{Global: f.Name, Reason: "it rebuilds no tensor"}
	}
	v, err := f.Call(inner)
	if err != nil {
		return nil, err
	}
	t := *v.(*Tensor)
	t.Attrs = args[3]
	return &t, nil
}

var isRebuild = map[string]bool{
	"torch._utils._rebuild_tensor_v2": true, "torch._utils._rebuild_tensor_v3": true,
	"torch._utils._rebuild_parameter":            true,
	"torch._utils._rebuild_parameter_with_state": true, "torch._utils._rebuild_sparse_tensor": true,
}
