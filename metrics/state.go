package metrics

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/torch"
)

var nan = math.NaN()

// updatesKey is the key of UpdateCount in a state dict.
const updatesKey = "update_count"

// StateDict returns a copy of this rank's state: update_count, and the tensors of the state under torchmetrics' names.
func (b *base) StateDict() map[string]any {
	b.flatten()
	out := map[string]any{updatesKey: b.updates}
	for i, t := range b.state {
		out[b.fields[i].name] = t.Clone().Keep()
	}
	return out
}

// LoadStateDict replaces the state by what StateDict returned. On an error the state stays as it was.
func (b *base) LoadStateDict(state map[string]any) error {
	count, ok := state[updatesKey]
	n := reflect.ValueOf(count)
	if !ok || !n.CanInt() || n.Int() < 0 {
		return fmt.Errorf("%s: the state has no %q, a number of updates: it is no metric's StateDict; it has %v", b.op, updatesKey, keys(state))
	}
	if n.Int() == 0 && len(state) == 1 {
		b.Reset()
		return nil
	}
	s := make([]*torch.Tensor, len(b.fields))
	for i, f := range b.fields {
		t, ok := state[f.name].(*torch.Tensor)
		if !ok || t == nil {
			return fmt.Errorf("%s: the state has no tensor %q; it has %v: it is another metric's", b.op, f.name, keys(state))
		}
		if err := b.fits(i, t); err != nil {
			return err
		}
		s[i] = t
	}
	if len(state) != len(b.fields)+1 {
		return fmt.Errorf("%s: the state has %v, and %d tensors are wanted: it is another metric's", b.op, keys(state), len(b.fields))
	}
	b.Reset()
	for i, t := range s {
		s[i] = t.Detach().Clone().Keep()
	}
	b.state, b.updates = s, int(n.Int())
	return nil
}

// fits returns an error if a tensor can't be field i of the state.
func (b *base) fits(i int, t *torch.Tensor) error {
	f := b.fields[i]
	if b.zero == nil || f.reduce == cat {
		return nil
	}
	var want *torch.Tensor
	torch.Scope(func() {
		want = b.zero()[i]
		if want.DType().IsFloating() == t.DType().IsFloating() && (slices.Equal(want.Shape(), t.Shape()) || !b.fixed(i)) {
			want = nil
			return
		}
		want.Keep()
	})
	if want == nil {
		return nil
	}
	defer want.Release()
	return fmt.Errorf("%s: %q is %s%v in the state, want %s%v: it is of a metric with other options", b.op, f.name,
		t.DType(), t.Shape(), want.DType(), want.Shape())
}

// fixed reports whether the shape of field i follows from the metric's options: that of sums of floats depends on the inputs.
func (b *base) fixed(i int) bool { return b.fields[i].reduce == sum && b.verify != nil }

func keys(state map[string]any) []string { return slices.Sorted(maps.Keys(state)) }

func groupOf(r Ranks) *dist.Group {
	if r == nil || reflect.ValueOf(r).Kind() == reflect.Pointer && reflect.ValueOf(r).IsNil() {
		return nil
	}
	return r.Group()
}

func releaseAll(list []*torch.Tensor) {
	for _, t := range list {
		t.Release()
	}
}

func onCPU(s []*torch.Tensor) bool { return s[0].Device().Type == torch.CPUType }

// squeezed makes a scalar of a tensor of one element.
func squeezed(t *torch.Tensor) *torch.Tensor {
	if t.Dim() > 0 && t.Numel() == 1 {
		return t.Reshape()
	}
	return t
}

// wide returns half-precision numbers in float32.
func wide(t *torch.Tensor) *torch.Tensor {
	if d := t.DType(); d == torch.Float16 || d == torch.BFloat16 {
		return t.To(torch.Float32)
	}
	return t
}

// count returns n as a tensor on t's device.
func count(t *torch.Tensor, n int) *torch.Tensor {
	return torch.Options{Device: t.Device(), DType: torch.Int64}.Full(float64(n))
}

// divided is _safe_divide of torchmetrics: float32 quotients, zero where the denominator is.
func divided(a, b *torch.Tensor, zero float64) *torch.Tensor {
	if !a.DType().IsFloating() {
		a = a.To(torch.Float32)
	}
	if !b.DType().IsFloating() {
		b = b.To(torch.Float32)
	}
	return a.Div(b).WhereElse(b.EqScalar(0), zero)
}

// need fails where an argument is nil.
func need(op string, preds, target *torch.Tensor) {
	if preds == nil || target == nil {
		name := "preds"
		if preds != nil {
			name = "target"
		}
		torch.Fail(op, "%s is nil: give Update the model's output and the batch's target", name)
	}
}

// sameShape fails where the shapes differ.
func sameShape(op string, preds, target *torch.Tensor) {
	need(op, preds, target)
	if !slices.Equal(preds.Shape(), target.Shape()) {
		torch.Fail(op, "preds %v and target %v have different shapes; reshape one of them", preds.Shape(), target.Shape())
	}
	if preds.Device() != target.Device() {
		torch.Fail(op, "preds are on %s and target on %s; move one of them", preds.Device(), target.Device())
	}
}
