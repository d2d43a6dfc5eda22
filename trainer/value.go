package trainer

import (
	"fmt"
	"math"
	"reflect"

	"github.com/golite/golite/torch"
)

// value is what was logged: a number, in float32 or float64, or a tensor on an accelerator, which is read when its
// number is needed.
type value struct {
	x      float64
	single bool          // x is a float32
	t      *torch.Tensor // nil: x is the value
}

func number(x float64) value { return value{x: float64(float32(x)), single: true} }

// valueOf takes what Log was given. A tensor on the CPU is read at once: it may be changed later.
func valueOf(v any) (value, error) {
	if t, ok := v.(*torch.Tensor); ok {
		return tensorValue(t)
	}
	switch v := v.(type) {
	case float64:
		return number(v), nil
	case float32:
		return number(float64(v)), nil
	case int:
		return number(float64(v)), nil
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return number(float64(r.Int())), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return number(float64(r.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return number(r.Float()), nil
	case reflect.Bool:
		if r.Bool() {
			return number(1), nil
		}
		return number(0), nil
	}
	return value{}, fmt.Errorf("a %T can't be logged: want a number, a tensor of one element, or a metric", v)
}

func tensorValue(t *torch.Tensor) (value, error) {
	if t == nil {
		return value{}, fmt.Errorf("the tensor is nil")
	}
	if t.Numel() != 1 {
		return value{}, fmt.Errorf("the tensor has the shape %v: want one element, such as its Mean()", t.Shape())
	}
	double := t.DType() == torch.Float64
	if t.Device() == torch.CPU {
		x := t.Item()
		if !double {
			x = float64(float32(x))
		}
		return value{x: x, single: !double}, nil
	}
	return torch.NoGradOf(func() value {
		d := t.Detach().Reshape()
		if !double && d.DType() != torch.Float32 {
			return value{t: d.To(torch.Float32), single: true}
		}
		return value{t: d.Clone(), single: !double}
	}), nil
}

// keep takes the tensor out of the scope of the batch, and returns the value.
func (v value) keep() value {
	v.t.Keep()
	return v
}

// float reads the number.
func (v value) float() float64 {
	if v.t != nil {
		return v.t.Item()
	}
	return v.x
}

// scaled is v times a whole number, in the type of v.
func (v value) scaled(n int) value {
	switch {
	case v.t != nil:
		return value{t: v.t.MulScalar(float64(n)), single: v.single}
	case v.single:
		return value{x: float64(float32(v.x) * float32(n)), single: true}
	}
	return value{x: v.x * float64(n)}
}

// over is v divided by a whole number.
func (v value) over(n int64) value {
	switch {
	case v.t != nil:
		return value{t: v.t.DivScalar(float64(n)), single: v.single}
	case v.single:
		return value{x: float64(float32(v.x) / float32(n)), single: true}
	}
	return value{x: v.x / float64(n)}
}

// with reduces two values; Mean adds them.
func (v value) with(w value, r Reduce) value {
	if v.t != nil || w.t != nil {
		return v.withTensor(w, r)
	}
	single := v.single && w.single
	var x float64
	switch r {
	case Min:
		x = math.Min(v.x, w.x)
	case Max:
		x = math.Max(v.x, w.x)
	default:
		if x = v.x + w.x; single {
			x = float64(float32(v.x) + float32(w.x))
		}
	}
	return value{x: x, single: single}
}

func (v value) withTensor(w value, r Reduce) value {
	a, b := v.tensor(w.t), w.tensor(v.t)
	single := v.single && w.single
	switch r {
	case Min:
		return value{t: a.Minimum(b), single: single}
	case Max:
		return value{t: a.Maximum(b), single: single}
	}
	return value{t: a.Add(b), single: single}
}

// tensor is the value as a tensor on the device of another one.
func (v value) tensor(like *torch.Tensor) *torch.Tensor {
	if v.t != nil {
		return v.t
	}
	d := torch.Float64
	if v.single {
		d = torch.Float32
	}
	return torch.Options{DType: d, Device: like.Device()}.Full(v.x)
}
