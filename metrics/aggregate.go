package metrics

import (
	"math"
	"strconv"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
)

// AggregateOptions are the settings of NewMean, NewSum, NewMin and NewMax.
type AggregateOptions struct {
	// RefuseNaN makes a NaN an error. By default NaNs are left out, as torchmetrics does, and NaNs counts them.
	RefuseNaN bool
}

// Aggregate is the mean, sum, least or greatest of values, such as losses.
type Aggregate struct {
	base
	batch func(value, weight, ok *torch.Tensor) []*torch.Tensor
}

// NewMean is the mean, weighted where weights are given (torchmetrics.MeanMetric). It is NaN without a value.
func NewMean(opts ...AggregateOptions) *Aggregate {
	m := aggregate("metrics.NewMean", sum, 0, opts)
	m.fields = []field{{name: "mean_value"}, {name: "weight"}, {name: "count"}, {name: "nans"}}
	m.zero = func() []*torch.Tensor {
		i := torch.Options{DType: torch.Int64}
		f := torch.Options{DType: torch.Float32}
		return []*torch.Tensor{f.Zeros(), f.Zeros(), i.Zeros(), i.Zeros()}
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Div(s[1].Add(s[2])) }
	m.batch = func(value, weight, ok *torch.Tensor) []*torch.Tensor {
		if weight == nil { // counted exactly
			return []*torch.Tensor{value.Sum(), torch.Options{Device: value.Device(), DType: value.DType()}.Zeros(), ok.Sum()}
		}
		return []*torch.Tensor{value.Mul(weight).Sum(), weight.Sum(), count(value, 0)}
	}
	return m
}

// NewSum is the sum (torchmetrics.SumMetric).
func NewSum(opts ...AggregateOptions) *Aggregate {
	m := aggregate("metrics.NewSum", sum, 0, opts)
	m.batch = func(value, _, _ *torch.Tensor) []*torch.Tensor { return []*torch.Tensor{value.Sum()} }
	return m
}

// NewMin is the least value (torchmetrics.MinMetric), +Inf without one.
func NewMin(opts ...AggregateOptions) *Aggregate {
	m := aggregate("metrics.NewMin", least, math.Inf(1), opts)
	m.batch = func(value, _, ok *torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{value.MaskedFill(ok.LogicalNot(), math.Inf(1)).AMin()}
	}
	return m
}

// NewMax is the greatest value (torchmetrics.MaxMetric), -Inf without one.
func NewMax(opts ...AggregateOptions) *Aggregate {
	m := aggregate("metrics.NewMax", greatest, math.Inf(-1), opts)
	m.batch = func(value, _, ok *torch.Tensor) []*torch.Tensor {
		return []*torch.Tensor{value.MaskedFill(ok.LogicalNot(), math.Inf(-1)).AMax()}
	}
	return m
}

func aggregate(op string, r reduction, without float64, opts []AggregateOptions) *Aggregate {
	o := options.Must(op, opts, torch.Fail)
	m := &Aggregate{base: base{op: op}}
	m.fields = []field{{name: "value", reduce: r}, {name: "nans"}}
	m.zero = func() []*torch.Tensor {
		return []*torch.Tensor{torch.Options{DType: torch.Float32}.Full(without), torch.Options{DType: torch.Int64}.Zeros()}
	}
	m.value = func(s []*torch.Tensor) *torch.Tensor { return s[0].Clone() }
	if o.RefuseNaN {
		m.verify = func(s []*torch.Tensor) string {
			if n := int(s[len(s)-1].Item()); n > 0 {
				return strconv.Itoa(n) + " elements of value or weight are NaN; find where they come from, or leave RefuseNaN unset to leave them out"
			}
			return ""
		}
	}
	return m
}

// Update adds the elements of value, each with the weight if there is one. An empty value adds nothing.
func (m *Aggregate) Update(value *torch.Tensor, weight ...float64) {
	m.run("Update", value, weight, false)
}

// Forward adds the elements of value and returns their own mean, sum, least or greatest.
func (m *Aggregate) Forward(value *torch.Tensor, weight ...float64) *torch.Tensor {
	return m.run("Forward", value, weight, true)
}

// UpdateWeighted adds the elements of value with weights of their own, of a shape that broadcasts to value's.
func (m *Aggregate) UpdateWeighted(value, weight *torch.Tensor) {
	need(m.op+".UpdateWeighted", value, weight)
	m.add("UpdateWeighted", func() []*torch.Tensor { return m.states(value, weight.BroadcastTo(value.Shape()...)) }, false)
}

// NaNs returns how many elements were left out on this rank, since Reset, as they or their weights were NaN.
func (m *Aggregate) NaNs() int {
	if m.state == nil {
		return 0
	}
	return int(m.state[len(m.state)-1].Item())
}

func (m *Aggregate) run(method string, value *torch.Tensor, weight []float64, wanted bool) *torch.Tensor {
	op := m.op + "." + method
	if value == nil {
		torch.Fail(op, "value is nil")
	}
	if len(weight) > 1 {
		torch.Fail(op, "want at most one weight, got %d; UpdateWeighted takes one for each element", len(weight))
	}
	return m.add(method, func() []*torch.Tensor {
		if len(weight) == 0 {
			return m.states(value, nil)
		}
		return m.states(value, torch.Options{Device: value.Device(), DType: torch.Float32}.Full(weight[0], value.Shape()...))
	}, wanted)
}

func (m *Aggregate) states(value, weight *torch.Tensor) []*torch.Tensor {
	bad := value.IsNaN()
	if weight != nil {
		bad = bad.LogicalOr(weight.IsNaN())
	}
	nans := bad.Sum()
	ok := bad.LogicalNot()
	if value.DType() != torch.Float64 {
		value = value.To(torch.Float32)
	}
	if weight != nil {
		weight = weight.To(value.DType())
	}
	if bad.Device().Type == torch.CPUType && nans.Item() > 0 {
		// The elements that are left: their sum has torchmetrics' bits.
		value = value.MaskedSelect(ok)
		if weight != nil {
			weight = weight.MaskedSelect(ok)
		}
		ok = torch.OnesLike(value, torch.Options{DType: torch.Bool})
	} else if bad.Device().Type != torch.CPUType {
		value = value.MaskedFill(bad, 0)
		if weight != nil {
			weight = weight.MaskedFill(bad, 0)
		}
	}
	if value.Numel() == 0 {
		s := m.zero()
		for i := range s {
			s[i] = s[i].To(value.Device())
		}
		return append(s[:len(s)-1], nans)
	}
	return append(m.batch(value, weight, ok), nans)
}
