package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// waves is a tensor of sines, which the Python that the numbers below come from computed as well.
func waves(frequency int, shape ...int) *torch.Tensor {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return torch.Arange(0, float64(n)).Float().View(shape...).MulScalar(0.37).MulScalar(float64(frequency)).Sin()
}

func parameters(shapes ...[]int) (list []nn.Parameter) {
	for i, s := range shapes {
		list = append(list, nn.NewParameter(waves(i+1, s...)))
	}
	return list
}

func steps(o optim.Optimizer, from, to int) {
	for n := from; n <= to; n++ {
		for i, p := range o.Tensors() {
			p.SetGrad(waves((i+2)*n, p.Shape()...))
		}
		o.Step()
	}
}

func values(o optim.Optimizer) (list []float32) {
	for _, p := range o.Tensors() {
		list = append(list, torch.ToSlice[float32](p.Detach())...)
	}
	return list
}

// Three steps give the numbers of torch.optim.Muon of PyTorch 2.11, to what 16 bits differ by from processor to
// processor.
func TestMuonIsPyTorchs(t *testing.T) {
	for name, c := range map[string]struct {
		o    *Muon
		want []uint32
	}{
		"defaults": {NewMuon(parameters([]int{2, 3}, []int{3, 2}), 0.02, MuonOptions{}), []uint32{
			0x3b40c230, 0x3ea05c5b, 0x3f246941, 0x3f60cb87, 0x3f7e5d59, 0x3f796364,
			0xbc8d949f, 0x3f21b632, 0x3f7d6b95, 0x3f4b7e61, 0x3e45a84d, 0xbef82fd4}},
		"as AdamW": {NewMuon(parameters([]int{2, 3}), 0.02, MuonOptions{WeightDecay: new(0.0), NoNesterov: true, MatchAdamW: true}),
			[]uint32{0x39033f75, 0x3eb25f0f, 0x3f2a3594, 0x3f64690a, 0x3f7f2b3e, 0x3f770758}},
	} {
		steps(c.o, 1, 3)
		for i, v := range values(c.o) {
			if want := math.Float32frombits(c.want[i]); math.Abs(float64(v-want)) > 2e-4 {
				t.Errorf("%s: element %d is %v, want %v", name, i, v, want)
			}
		}
	}
}

// Three steps give the bits of the same rule as a torch.optim.Optimizer, with a group that has settings of its own.
func TestLion(t *testing.T) {
	p := parameters([]int{2, 3}, []int{4})
	o := NewLionGroups([]optim.Group{{Params: p[:1]}, {Params: p[1:], WeightDecay: new(0.5), Betas: &[2]float64{0.5, 0.75}}},
		0.125, LionOptions{WeightDecay: 0.1})
	steps(o, 1, 3)
	want := []uint32{0x00000000, 0xbcb51c8c, 0x3f076b8e, 0x3f3d33c4, 0x3f55e629, 0x3f8649ff,
		0x00000000, 0x3e506e30, 0x3f33f190, 0x3f462689}
	for i, v := range values(o) {
		if math.Float32bits(v) != want[i] {
			t.Errorf("element %d is %v, want %v", i, v, math.Float32frombits(want[i]))
		}
	}
}

// An optimizer prints as Python's does.
func TestPrint(t *testing.T) {
	const want = `Muon (
Parameter Group 0
    adjust_lr_fn: None
    eps: 1e-07
    lr: 0.02
    momentum: 0.95
    nesterov: True
    ns_coefficients: (3.4445, -4.775, 2.0315)
    ns_steps: 5
    weight_decay: 0.1
)`
	if got := fmt.Sprint(NewMuon(parameters([]int{2, 2}), 0.02, MuonOptions{})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A state that goes to another optimizer goes on where the first one was, its settings included.
func TestStateDict(t *testing.T) {
	o := NewMuon(parameters([]int{2, 3}, []int{3, 2}), 0.02, MuonOptions{Steps: 3, MatchAdamW: true})
	steps(o, 1, 2)
	other := NewMuon(parameters([]int{2, 3}, []int{3, 2}), 0.5, MuonOptions{})
	torch.NoGrad(func() {
		for i, p := range other.Tensors() {
			p.Copy_(o.Tensors()[i])
		}
	})
	if err := other.LoadStateDict(o.StateDict()); err != nil {
		t.Fatal(err)
	}
	steps(o, 3, 4)
	steps(other, 3, 4)
	if !slices.Equal(values(o), values(other)) {
		t.Errorf("%v and %v", values(o), values(other))
	}
	bad := o.StateDict()
	bad["param_groups"].([]any)[0].(map[string]any)["ns_steps"] = "five"
	if err := other.LoadStateDict(bad); err == nil || !strings.Contains(err.Error(), "ns_steps is five, a string: want int") {
		t.Errorf("got the error %v", err)
	}
}

// What Check refuses, New and AddParamGroup refuse.
func TestMuonTakesMatricesAlone(t *testing.T) {
	err := torch.Try(func() { NewMuon(parameters([]int{4}), 0.02, MuonOptions{}) })
	if err == nil || !strings.Contains(err.Error(), "Muon takes matrices alone") {
		t.Errorf("got the error %v", err)
	}
	o := NewMuon(parameters([]int{2, 2}), 0.02, MuonOptions{})
	group := optim.Group{Params: parameters([]int{3, 3}), Extra: map[string]any{"ns_steps": 100}}
	if err = torch.Try(func() { o.AddParamGroup(group) }); err == nil || !strings.Contains(err.Error(), "want 1 to 99") {
		t.Errorf("got the error %v", err)
	}
	group.Extra["ns_steps"] = 7
	o.AddParamGroup(group)
	if got := o.ParamGroups()[1].Extra["ns_steps"]; got != 7 {
		t.Errorf("ns_steps is %v", got)
	}
}

// Both can be captured, which a GPU alone does.
func TestCapturable(t *testing.T) {
	for _, o := range []optim.Optimizer{NewMuon(parameters([]int{2, 2}), 0.02, MuonOptions{}), NewLion(parameters([]int{2}), 0.02, LionOptions{})} {
		if err := optim.Capturable(o, false); err != nil {
			t.Error(err)
		}
	}
}

// A run that is resumed ends where one that was not interrupted does.
func TestResume(t *testing.T) {
	run := func(path string, n int) (loss float64) {
		err := lite.Run(context.Background(), lite.Config{Accelerator: "cpu", Output: io.Discard}, func(_ context.Context, l *lite.Lite) (err error) {
			loss, err = train(l, path, n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	whole := run(filepath.Join(t.TempDir(), "whole.pt"), 60)
	path := filepath.Join(t.TempDir(), "last.pt")
	begun := run(path, 30)
	if resumed := run(path, 60); resumed != whole || resumed >= begun {
		t.Errorf("the loss is %v after 30 steps, %v after 60, and %v without the interruption", begun, resumed, whole)
	}
}
