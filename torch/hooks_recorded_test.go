package torch

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
)

// journal collects the lines of a case of hooks.json.
type journal []string

func (j *journal) note(parts ...any) { *j = append(*j, fixture.Line(lineText, parts...)) }

func lineText(v any) string {
	switch v := v.(type) {
	case *Tensor:
		if v == nil {
			return "nil"
		}
		return fixture.Numbers(ToSlice[float64](v.Detach().To(Float64)))
	case error:
		return v.Error()
	default:
		return fmt.Sprint(v)
	}
}

// noted returns a hook that writes a line.
func (j *journal) noted(name string) func(*Tensor) *Tensor {
	return func(g *Tensor) *Tensor { j.note(name, g); return nil }
}

// run returns f with a line at each call.
func (j *journal) run(name string, f func(x *Tensor) *Tensor) func(x *Tensor) *Tensor {
	return func(x *Tensor) *Tensor { j.note(name, x); return f(x) }
}

// hooksOf returns hooks on saved tensors that change nothing.
func (j *journal) hooksOf(name string, f func()) {
	line := func(event string, t *Tensor) *Tensor { j.note(strings.TrimSpace(name+" "+event), t); return t }
	SavedTensorsHooks(func(t *Tensor) *Tensor { return line("pack", t) },
		func(t *Tensor) *Tensor { return line("unpack", t) }, f)
}

func square(x *Tensor) *Tensor { return x.Mul(x) }
func cubed(x *Tensor) *Tensor  { return x.Mul(x).Mul(x) }
func cause(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Unwrap() != nil {
		return e.Unwrap()
	}
	return err
}

var hookCases = map[string]func(j *journal){
	"tensor_order": func(j *journal) {
		x := leaf(1, 2)
		x.RegisterHook(j.noted("first"))
		remove := x.RegisterHook(func(g *Tensor) *Tensor { return g.MulScalar(10) })
		x.RegisterHook(j.noted("third"))
		x.Sum().Backward()
		j.note("grad", x.Grad())
		remove()
		remove()
		x.RegisterHook(j.noted("fourth"))
		x.Sum().Backward()
		j.note("grad", x.Grad())
	},
	"tensor_accumulate": func(j *journal) {
		x := leaf(1, 2)
		hook := func(name string) func(*Tensor) { return func(t *Tensor) { j.note(name, t, t.Grad()) } }
		remove := x.RegisterPostAccumulateGradHook(hook("first"))
		x.RegisterPostAccumulateGradHook(hook("second"))
		x.Sum().Backward()
		remove()
		x.RegisterPostAccumulateGradHook(hook("third"))
		x.Sum().Backward()
	},
	"tensor_in_place": func(j *journal) {
		x := leaf(1, 2)
		y := x.MulScalar(3)
		remove := y.RegisterHook(j.noted("before"))
		y.RegisterHook(j.noted("stays"))
		y.MulScalar_(5)
		y.RegisterHook(j.noted("after"))
		z := y.Sum()
		remove()
		z.Backward()
		j.note("grad", x.Grad())
	},
	"tensor_outputs_of_one_node": func(j *journal) {
		x := leaf(1, 2, 3, 4)
		parts := x.Split(2, 0)
		parts[1].RegisterHook(j.noted("b"))
		parts[0].RegisterHook(j.noted("a"))
		parts[0].Sum().Add(parts[1].Sum().MulScalar(2)).Backward()
		j.note("grad", x.Grad())
	},
	"tensor_removes_itself": func(j *journal) {
		x := leaf(1)
		var remove func()
		remove = x.RegisterHook(func(g *Tensor) *Tensor { j.note("once", g); remove(); return nil })
		x.RegisterHook(j.noted("always"))
		x.Sum().Backward()
		x.Sum().Backward()
	},
	"tensor_retained": func(j *journal) {
		x := leaf(2)
		y := x.Mul(x)
		y.RegisterHook(func(g *Tensor) *Tensor { return g.MulScalar(2) })
		y.RetainGrad()
		y.RegisterHook(func(g *Tensor) *Tensor { return g.MulScalar(3) })
		y.Sum().Backward()
		j.note("y", y.Grad(), "x", x.Grad())
	},

	"saved_order": func(j *journal) {
		x, w := leaf(1, 2), leaf(3, 4)
		var z, u *Tensor
		SavedTensorsHooks(
			func(t *Tensor) *Tensor { j.note("pack", t); return t.MulScalar(2) },
			func(t *Tensor) *Tensor { j.note("unpack", t); return t },
			func() {
				y := x.Mul(w)
				z, u = y.Exp().MulScalar(0), y.AddScalar(1)
			})
		j.note("recorded")
		z.Add(u).Sum().Backward()
		j.note("grads", x.Grad(), w.Grad())
	},
	"saved_nested": func(j *journal) {
		x := leaf(3)
		var b, c *Tensor
		j.hooksOf("outer", func() {
			a := square(x)
			j.hooksOf("inner", func() { b = square(a) })
			c = square(b)
		})
		square(c).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"saved_twice": func(j *journal) {
		x := leaf(3)
		var y *Tensor
		j.hooksOf("", func() { y = x.Exp().Log().Cos() })
		y.Sum().Backward(BackwardOptions{RetainGraph: true})
		y.Sum().Backward()
	},
	"saved_exceptions": func(j *journal) {
		x, no := leaf(3), errors.New("no")
		same := func(t *Tensor) *Tensor { return t }
		refuse := func(*Tensor) *Tensor { panic(no) }
		j.note("error", cause(Try(func() { SavedTensorsHooks(refuse, same, func() { square(x) }) })))
		var y *Tensor
		SavedTensorsHooks(same, refuse, func() { y = square(x) })
		j.note("error", cause(Try(func() { y.Sum().Backward() })))
		square(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"saved_create_graph": func(j *journal) {
		x := leaf(2)
		y := cubed(x).Sum()
		var g *Tensor
		j.hooksOf("", func() { g = Grad([]*Tensor{y}, []*Tensor{x}, GradOptions{CreateGraph: true})[0] })
		j.note("g", g)
		g.Sum().Backward()
		j.note("grad", x.Grad())
	},

	"checkpoint_plain": func(j *journal) {
		x := leaf(1, 2)
		y := Checkpoint(j.run("f", func(x *Tensor) *Tensor { return square(x).Exp() }))(x)
		j.note("y", y)
		y.Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_several": func(j *journal) {
		a, b := leaf(2), leaf(3)
		u, v := Checkpoint(func(a, b *Tensor) (u, v *Tensor) {
			j.note("f", a, b)
			return a.Mul(b), a.Add(b).Mul(a)
		})(a, b)
		u.Sum().Add(v.Sum().MulScalar(2)).Backward()
		j.note("grads", a.Grad(), b.Grad())
	},
	"checkpoint_retained": func(j *journal) {
		x := leaf(2)
		y := Checkpoint(j.run("f", cubed))(x)
		y.Sum().Backward(BackwardOptions{RetainGraph: true})
		y.Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_nested": func(j *journal) {
		x := leaf(2)
		inner := Checkpoint(j.run("inner", square))
		outer := Checkpoint(j.run("outer", func(x *Tensor) *Tensor { return inner(inner(x)).Mul(x) }))
		outer(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_double_backward": func(j *journal) {
		x := leaf(2)
		y := Checkpoint(j.run("f", cubed))(x)
		g := Grad([]*Tensor{y.Sum()}, []*Tensor{x}, GradOptions{CreateGraph: true})[0]
		j.note("g", g)
		g.Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_backward_within": func(j *journal) {
		x := leaf(2)
		y := Checkpoint(j.run("f", func(x *Tensor) *Tensor {
			return Grad([]*Tensor{cubed(x).Sum()}, []*Tensor{x}, GradOptions{CreateGraph: true})[0].Mul(x)
		}))(x)
		j.note("y", y)
		y.Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_early_stop": func(j *journal) {
		for _, early := range []bool{true, false} {
			x := leaf(2)
			y := Checkpoint(func(x *Tensor) *Tensor {
				y := square(x)
				j.note("middle", y)
				return y.AddScalar(1)
			}, CheckpointOptions{NoEarlyStop: !early})(x)
			y.Sum().Backward()
			j.note("grad", x.Grad())
		}
	},
	"checkpoint_no_grad": func(j *journal) {
		NoGrad(func() { j.note("y", Checkpoint(j.run("f", square))(leaf(2))) })
		j.note("requires grad", Checkpoint(j.run("f", square))(From([]float32{2})).RequiresGrad())
	},
	"checkpoint_closure": func(j *journal) {
		w, x := leaf(5), From([]float32{2})
		Checkpoint(j.run("f", func(x *Tensor) *Tensor { return x.Mul(w).Mul(w) }))(x).Sum().Backward()
		j.note("grad", w.Grad())
	},
	"checkpoint_differs": func(j *journal) {
		calls := 0
		again := func() bool { calls++; return calls > 1 }
		fewer := func(x *Tensor) *Tensor {
			if again() {
				return square(x)
			}
			return square(x).Exp().Exp()
		}
		shapes := func(x *Tensor) *Tensor {
			n := 1
			if again() {
				n = 2
			}
			return x.Narrow(0, 0, n).Mul(x.Narrow(0, 0, 1)).Exp()
		}
		for _, c := range []struct {
			f     func(*Tensor) *Tensor
			early bool
		}{{fewer, true}, {shapes, true}, {shapes, false}} {
			calls = 0
			y := Checkpoint(c.f, CheckpointOptions{NoEarlyStop: !c.early})(leaf(1, 2))
			var e *Error
			if errors.As(Try(func() { y.Sum().Backward() }), &e) {
				text := strings.TrimSuffix(strings.TrimPrefix(e.Message, "torch.Checkpoint: "), ".")
				j.note(strings.ReplaceAll(text, "\n", " | "))
			}
		}
	},
	"checkpoint_errors": func(j *journal) {
		calls, second := 0, errors.New("the second time")
		x := leaf(2)
		y := Checkpoint(func(x *Tensor) *Tensor {
			if calls++; calls > 1 {
				panic(second)
			}
			return square(x)
		})(x)
		j.note("error", cause(Try(func() { y.Sum().Backward() })))
		square(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"checkpoint_changed_input": func(j *journal) {
		x := leaf(2).MulScalar(1)
		y := Checkpoint(j.run("f", square))(x)
		x.AddScalar_(1)
		err := Try(func() { y.Sum().Backward() })
		j.note("modified", err != nil && strings.Contains(err.Error(), "modified by an inplace operation"))
	},
	"checkpoint_unused_output": func(j *journal) {
		x := leaf(2)
		u, _ := Checkpoint(func(x *Tensor) (u, v *Tensor) {
			j.note("f", x)
			return square(x), x.Exp()
		})(x)
		u.Sum().Backward()
		j.note("grad", x.Grad())
	},
}

// Hooks and checkpoints do what PyTorch's do, in the same order.
func TestHooksAndCheckpointsAsPyTorchs(t *testing.T) {
	data, err := os.ReadFile("testdata/hooks.json")
	require.NoError(t, err)
	var file struct{ Cases map[string][]string }
	require.NoError(t, json.Unmarshal(data, &file))
	delete(file.Cases, "checkpoint_hooks") // torch/nn has it
	require.Equal(t, slices.Sorted(maps.Keys(file.Cases)), slices.Sorted(maps.Keys(hookCases)))
	for name, want := range file.Cases {
		t.Run(name, func(t *testing.T) {
			var got journal
			Scope(func() { hookCases[name](&got) })
			require.Equal(t, want, []string(got))
		})
	}
}
