package torch

import (
	"math"
	"slices"

	"github.com/golite/golite/internal/op"
)

// End stands for the end of a dimension in Slice and R, as nothing after the colon does in Python.
const End = math.MaxInt64

// Range is a range of indices of one dimension, for Index and Set: make it with R, or take All.
type Range struct{ start, end, step int }

// R is Python's start:end or, with a step, start:end:step. Negative numbers count from the end, End stands for the end,
// and numbers beyond it are cut. The step must be positive.
func R(start, end int, step ...int) Range {
	s := 1
	switch len(step) {
	case 0:
	case 1:
		s = step[0]
	default:
		Fail("torch.R", "want a start, an end and at most one step, got %d steps", len(step))
	}
	if s <= 0 {
		Fail("torch.R", "step must be greater than zero, got %d", s)
	}
	return Range{start, end, s}
}

// All is Python's ":", a whole dimension.
var All = Range{0, End, 1}

type marker int

// None, in Index and Set, puts in a dimension of size 1. Ellipsis stands for as many All as there are dimensions left.
const (
	None     marker = 1
	Ellipsis marker = 2
)

// Index is Python's t[items...]. An item is
//
//   - an int (or int64): one index, and the dimension goes away;
//   - a Range (torch.R, torch.All);
//   - torch.None, torch.Ellipsis;
//   - a tensor of integers, or a []int: these indices; several are broadcast and taken together;
//   - a tensor of bools, or a []bool: where it is true; it stands for as many dimensions as it has;
//   - a bool: a new dimension of size 1 or 0.
//
// The result shares t's memory if there are only ints, ranges, None and Ellipsis; else it is a copy.
func (t *Tensor) Index(items ...any) *Tensor {
	view, indices := t.pick("index", items)
	if indices == nil {
		if view == t {
			return t.Alias()
		}
		return view
	}
	var a op.Args
	put(&a, &opIndex, view)
	abi.OptTensors(&a, indices)
	return result(&opIndex, &a)
}

// Set is Python's t[items...] = value, and returns t. The value is a tensor, broadcast to the elements that Index would
// give, or a number or bool.
func (t *Tensor) Set(value any, items ...any) *Tensor {
	view, indices := t.pick("set", items)
	v := t.valueOf(value)
	if indices != nil {
		view.IndexPut_(indices, dropOnes(v, -1), false)
		return t
	}
	if v.Dim() == 0 && v.Device().Type == CPUType {
		view.FillTensor_(v)
		return t
	}
	view.Copy_(dropOnes(v, view.Dim()))
	return t
}

// IndexPut_ writes values, or adds them, at the elements that the tensors of indices pick, one for each dimension from
// the first on; nil stands for a whole dimension (Tensor.index_put_).
func (t *Tensor) IndexPut_(indices []*Tensor, values *Tensor, accumulate bool) *Tensor {
	var a op.Args
	put(&a, &opIndexPut_, t)
	abi.OptTensors(&a, indices)
	put(&a, &opIndexPut_, values)
	a.Bool(accumulate)
	return inPlace(&opIndexPut_, &a, t)
}

var (
	opIndex     = op.Op{Name: "aten::index.Tensor"}
	opIndexPut_ = op.Op{Name: "aten::index_put_"}
)

// picker applies items one after the other, as Python does: what can be a view becomes one, tensors are gathered.
type picker struct {
	name    string
	t       *Tensor
	dim     int
	indices []*Tensor
}

func (t *Tensor) pick(name string, items []any) (*Tensor, []*Tensor) {
	p := picker{name: name, t: t}
	have, want := t.Dim(), 0
	items = slices.Clone(items)
	for i, item := range items {
		items[i] = plainItem(name, item)
		want += dimsOf(items[i])
	}
	if want > have {
		Fail(name, "too many indices (%d) for a tensor of shape %s", want, shapeString(t.Shape()))
	}
	for _, item := range items {
		p.apply(item, have-want)
	}
	return p.t, p.indices
}

// plainItem turns what stands for a tensor of indices into one, and refuses what is no index.
func plainItem(name string, item any) any {
	switch v := item.(type) {
	case int, bool, Range, marker:
		return v
	case int64:
		return int(v)
	case int32:
		return int(v)
	case []int:
		return From(v)
	case []int64:
		return From(v)
	case []bool:
		return From(v)
	case *Tensor:
		if v != nil {
			return v
		}
	}
	Fail(name, "%T is no index: want an int, a bool, torch.R, torch.All, torch.None, torch.Ellipsis, a tensor, []int "+
		"or []bool", item)
	return nil
}

// dimsOf returns how many dimensions an item consumes.
func dimsOf(item any) int {
	switch v := item.(type) {
	case bool, marker:
		return 0
	case *Tensor:
		if d := v.DType(); d == Bool || d == UInt8 {
			return v.Dim()
		}
	}
	return 1
}

func (p *picker) apply(item any, left int) {
	switch v := item.(type) {
	case int:
		p.choose(v)
	case Range:
		if v != All {
			p.t = p.t.SliceStep(p.dim, v.start, v.end, v.step)
		}
		p.skip(1)
	case marker:
		if v == Ellipsis {
			p.skip(left)
			return
		}
		p.t = p.t.Unsqueeze(p.dim)
		p.skip(1)
	case bool:
		p.truth(v)
	case *Tensor:
		p.tensor(v)
	}
}

// tensor takes a tensor of no dimensions for the number in it.
func (p *picker) tensor(v *Tensor) {
	d := v.DType()
	if v.Dim() > 0 || d.IsFloating() || d.IsComplex() {
		p.gather(v)
		return
	}
	if d == Bool || d == UInt8 {
		p.truth(v.Number().Bool())
		return
	}
	p.choose(int(v.Number().Int64()))
}

func (p *picker) choose(i int) {
	size := p.t.Size(p.dim)
	if i < -size || i >= size {
		Fail(p.name, "index %d is out of bounds for dimension %d with size %d, of a tensor of shape %s", i, p.dim, size,
			shapeString(p.t.Shape()))
	}
	p.t = p.t.Select(p.dim, i)
}

// truth inserts a dimension and takes its one index or none.
func (p *picker) truth(on bool) {
	p.t = p.t.Unsqueeze(p.dim)
	n := 0
	if on {
		n = 1
	}
	p.gather(Options{DType: Int64, Device: p.t.Device()}.Zeros(n))
}

func (p *picker) gather(v *Tensor) {
	if p.indices == nil {
		p.indices = make([]*Tensor, p.dim)
	}
	p.indices = append(p.indices, v)
	if d := v.DType(); d == Bool || d == UInt8 {
		p.dim += v.Dim()
	} else {
		p.dim++
	}
}

// skip passes n dimensions that are taken whole. A mask passes several with one entry of indices, so that the two
// counts differ.
func (p *picker) skip(n int) {
	p.dim += n
	if p.indices != nil {
		p.indices = append(p.indices, make([]*Tensor, n)...)
	}
}

// valueOf makes a tensor of t's type of what Set is to write.
func (t *Tensor) valueOf(value any) *Tensor {
	on := Options{DType: t.DType(), Device: t.Device()}
	switch v := value.(type) {
	case *Tensor:
		if v == nil {
			Fail("set", "the value is nil")
		}
		return v
	case bool:
		return on.scalar(Boolean(v))
	case int:
		return on.scalar(Int(v))
	case int64:
		return on.scalar(Int(v))
	case float32:
		return on.scalar(Float(float64(v)))
	case float64:
		return on.scalar(Number(v))
	case complex128:
		return on.scalar(ComplexNumber(v))
	case Scalar:
		return on.scalar(v)
	}
	Fail("set", "%T is no value: want a tensor, a number or a bool", value)
	return nil
}

func (o Options) scalar(s Scalar) *Tensor {
	var a op.Args
	s.write(&a)
	o.write(&a)
	return result(&opScalarTensor, &a)
}

// dropOnes leaves out leading dimensions of size 1, which an assignment ignores, while there are more than most.
func dropOnes(v *Tensor, most int) *Tensor {
	shape := v.Shape()
	n := 0
	for n < len(shape) && shape[n] == 1 && len(shape)-n > most {
		n++
	}
	if n == 0 {
		return v
	}
	return v.View(shape[n:]...)
}
