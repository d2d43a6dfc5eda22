package nn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// journal collects the lines of a case of hooks.json.
type journal []string

func (j *journal) note(parts ...any) { *j = append(*j, fixture.Line(lineText, parts...)) }

// output is a module's: Python's hooks get a single one as it is, in no tuple.
type output []*torch.Tensor

func lineText(v any) string {
	switch v := v.(type) {
	case *torch.Tensor:
		if v == nil {
			return "nil"
		}
		return fixture.Numbers(torch.ToSlice[float64](v.Detach().To(torch.Float64)))
	case output:
		switch len(v) {
		case 0:
			return "nil"
		case 1:
			return lineText(v[0])
		}
		return lineText([]*torch.Tensor(v))
	case []*torch.Tensor:
		var b []string
		for _, t := range v {
			b = append(b, lineText(t))
		}
		return "(" + strings.Join(b, " ") + ")"
	default:
		return fmt.Sprint(v)
	}
}

func leafOf(values ...float32) *torch.Tensor { return torch.From(values).RequiresGrad_(true) }

func linearOf(rows ...[]float32) *nn.Linear {
	m := nn.NewLinear(len(rows[0]), len(rows), nn.LinearOptions{NoBias: true})
	m.Weight.SetData(torch.From(slices.Concat(rows...)).View(len(rows), -1))
	return m
}

// allHooks registers one hook of each kind, and returns what removes them.
func (j *journal) allHooks(name string, m nn.Module) (remove []func()) {
	return []func(){
		nn.RegisterForwardPreHook(m, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
			j.note(name, "pre",
				in)
			return nil
		}),
		nn.RegisterForwardHook(m, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			j.note(name, "post", in, output(out))
			return nil
		}),
		nn.RegisterFullBackwardPreHook(m, func(_ nn.Module, g []*torch.Tensor) []*torch.Tensor {
			j.note(name, "backward pre",
				g)
			return nil
		}),
		nn.RegisterFullBackwardHook(m, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			j.note(name, "backward", in, out)
			return nil
		}),
	}
}

func list(t ...*torch.Tensor) []*torch.Tensor { return t }

func cause(err error) error {
	var e *torch.Error
	if errors.As(err, &e) && e.Unwrap() != nil {
		return e.Unwrap()
	}
	return err
}

var moduleHookCases = map[string]func(j *journal){
	"module_order": func(j *journal) {
		m := linearOf([]float32{2, 0}, []float32{0, 3})
		j.allHooks("a", m)
		j.allHooks("b", m)
		x := leafOf(1, 1)
		m.Forward(x).Sum().Backward()
		j.note("grads", x.Grad(), m.Weight.Grad())
	},
	"module_prepend": func(j *journal) {
		m := linearOf([]float32{2})
		for i, o := range []nn.HookOptions{{}, {Prepend: true}} {
			line := func(kind string) { j.note(kind, i+1) }
			nn.RegisterForwardPreHook(m, func(nn.Module, []*torch.Tensor) []*torch.Tensor { line("pre"); return nil }, o)
			nn.RegisterForwardHook(m, func(_ nn.Module, _, _ []*torch.Tensor) []*torch.Tensor { line("post"); return nil }, o)
			nn.RegisterFullBackwardPreHook(m,
				func(nn.Module, []*torch.Tensor) []*torch.Tensor { line("backward pre"); return nil }, o)
			nn.RegisterFullBackwardHook(m,
				func(_ nn.Module, _, _ []*torch.Tensor) []*torch.Tensor { line("backward"); return nil }, o)
		}
		m.Forward(leafOf(1)).Sum().Backward()
	},
	"module_changes": func(j *journal) {
		m := linearOf([]float32{2})
		nn.RegisterForwardPreHook(m,
			func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor { return list(in[0].AddScalar(1)) })
		nn.RegisterForwardPreHook(m, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
			j.note("pre sees",
				in)
			return nil
		})
		nn.RegisterForwardHook(m,
			func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor { return list(out[0].MulScalar(10)) })
		nn.RegisterForwardHook(m, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			j.note("post sees", in, output(out))
			return nil
		})
		nn.RegisterFullBackwardPreHook(m,
			func(_ nn.Module, g []*torch.Tensor) []*torch.Tensor { return list(g[0].MulScalar(7)) })
		nn.RegisterFullBackwardPreHook(m, func(_ nn.Module, g []*torch.Tensor) []*torch.Tensor {
			j.note("backward pre sees",
				g)
			return nil
		})
		nn.RegisterFullBackwardHook(m,
			func(_ nn.Module, in, _ []*torch.Tensor) []*torch.Tensor { return list(in[0].MulScalar(100)) })
		nn.RegisterFullBackwardHook(m, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			j.note("backward sees", in, out)
			return nil
		})
		x := leafOf(1)
		y := m.Forward(x)
		y.Sum().Backward()
		j.note("y", y, "x", x.Grad(), "w", m.Weight.Grad())
	},
	"module_containers": func(j *journal) {
		s := nn.NewSequential(linearOf([]float32{2}), nn.NewIdentity(), linearOf([]float32{3}))
		j.allHooks("all", s)
		for i, l := range s.Layers() {
			j.allHooks(strconv.Itoa(i), l)
		}
		x := leafOf(1)
		s.Forward(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"module_used_twice": func(j *journal) {
		m := linearOf([]float32{2})
		j.allHooks("m", m)
		x := leafOf(1)
		m.Forward(m.Forward(x)).Sum().Backward()
		j.note("grads", x.Grad(), m.Weight.Grad())
	},
	"module_removed": func(j *journal) {
		m := linearOf([]float32{2})
		for _, remove := range j.allHooks("gone", m) {
			remove()
			remove()
		}
		kept := j.allHooks("kept", m)
		m.Forward(leafOf(1)).Sum().Backward()
		for _, remove := range kept {
			remove()
		}
		m.Forward(leafOf(1)).Sum().Backward()
		j.note("end")
	},
	"module_no_grad": func(j *journal) {
		m := linearOf([]float32{2})
		j.allHooks("m", m)
		torch.NoGrad(func() { j.note("y", m.Forward(leafOf(1))) })
	},
	"module_no_input_grad": func(j *journal) {
		m := linearOf([]float32{2})
		j.allHooks("m", m)
		m.Forward(torch.From([]float32{1})).Sum().Backward()
		j.note("grad", m.Weight.Grad())
	},
	"module_frozen": func(j *journal) {
		m := linearOf([]float32{2})
		m.Weight.RequiresGrad_(false)
		j.allHooks("m", m)
		x := leafOf(1)
		m.Forward(x).Sum().Backward()
		j.note("grads", x.Grad(), m.Weight.Grad())
		j.note("requires grad", m.Forward(torch.From([]float32{1})).RequiresGrad())
	},
	"module_two_inputs": func(j *journal) {
		m := nn.NewBilinear(1, 1, 1, nn.LinearOptions{NoBias: true})
		m.Weight.SetData(torch.From([]float32{2}).View(1, 1, 1))
		j.allHooks("m", m)
		a, b := leafOf(3), torch.From([]float32{5})
		m.Forward(a, b).Sum().Backward()
		j.note("grads", a.Grad(), b.Grad(), m.Weight.Grad())
		nn.ZeroGrad(m)
		a, b = leafOf(3), leafOf(5)
		m.Forward(a, b).Sum().Backward()
		j.note("grads", a.Grad(), b.Grad(), m.Weight.Grad())
	},
	"module_two_outputs": func(j *journal) {
		m := nn.NewLSTMCell(1, 1, nn.RNNCellOptions{NoBias: true})
		torch.NoGrad(func() { m.WeightIH.Zero_(); m.WeightHH.Zero_() })
		nn.RegisterForwardPreHook(m, func(_ nn.Module, in []*torch.Tensor) []*torch.Tensor {
			j.note("pre",
				len(in))
			return nil
		})
		nn.RegisterForwardHook(m, func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor {
			j.note("post",
				out)
			return nil
		})
		nn.RegisterFullBackwardPreHook(m, func(_ nn.Module, g []*torch.Tensor) []*torch.Tensor {
			j.note("backward pre",
				g)
			return nil
		})
		nn.RegisterFullBackwardHook(m, func(_ nn.Module, in, out []*torch.Tensor) []*torch.Tensor {
			j.note("backward", in,
				out)
			return nil
		})
		one := func() *torch.Tensor { return torch.Ones(1, 1).RequiresGrad_(true) }
		h, _ := m.Forward(one())
		h.Sum().Backward()
		_, c := m.Forward(one())
		c.Sum().MulScalar(2).Backward()
	},
	"module_loss": func(j *journal) {
		m := nn.NewMSELoss()
		j.allHooks("loss", m)
		x := leafOf(3)
		m.Forward(x, torch.From([]float32{1})).Backward()
		j.note("grad", x.Grad())
	},
	"module_exceptions": func(j *journal) {
		m := linearOf([]float32{2})
		nn.RegisterForwardHook(m, func(_ nn.Module, _, _ []*torch.Tensor) []*torch.Tensor { j.note("post"); return nil })
		nn.RegisterForwardHook(m, func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor {
			j.note("always",
				output(out))
			return nil
		},
			nn.HookOptions{AlwaysCall: true})
		remove := nn.RegisterForwardPreHook(m, func(nn.Module, []*torch.Tensor) []*torch.Tensor {
			j.note("refused")
			panic(errors.New("enough"))
		})
		func() {
			defer func() { j.note("error", recover()) }()
			m.Forward(leafOf(1))
		}()
		remove()
		if torch.Try(func() { m.Forward(leafOf(1, 2, 3)) }) != nil {
			j.note("error of forward")
		}
		m.Forward(leafOf(1))
		remove = nn.RegisterFullBackwardHook(m,
			func(_ nn.Module, _, _ []*torch.Tensor) []*torch.Tensor { panic(errors.New("in backward")) })
		x := leafOf(1)
		y := m.Forward(x).Sum()
		j.note("error", cause(torch.Try(func() { y.Backward() })))
		j.note("grad", x.Grad())
		remove()
		m.Forward(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
	"module_double_backward": func(j *journal) {
		m := nn.NewSequential(linearOf([]float32{2}), nn.NewTanh())
		j.allHooks("m", m)
		x := leafOf(0)
		j.note("g", torch.Grad(list(m.Forward(x).Sum()), list(x), torch.GradOptions{CreateGraph: true})[0])
	},
	"module_clone": func(j *journal) {
		m := linearOf([]float32{2})
		remove := nn.RegisterForwardHook(m, func(_ nn.Module, _, out []*torch.Tensor) []*torch.Tensor {
			j.note("hook",
				output(out))
			return nil
		})
		c := nn.Clone(m)
		remove()
		m.Forward(leafOf(1))
		j.note("clone")
		c.Forward(leafOf(1))
	},
	"checkpoint_hooks": func(j *journal) {
		m := linearOf([]float32{2})
		j.allHooks("m", m)
		x := leafOf(1)
		torch.Checkpoint(func(x *torch.Tensor) *torch.Tensor { return m.Forward(x).Mul(m.Forward(x)) })(x).Sum().Backward()
		j.note("grad", x.Grad())
	},
}

// Hooks on modules do what PyTorch's do, in the same order.
func TestHooksOfModulesAsPyTorchs(t *testing.T) {
	cases := map[string][]string{}
	for _, name := range []string{"testdata/hooks.json", "../testdata/hooks.json"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		var file struct{ Cases map[string][]string }
		require.NoError(t, json.Unmarshal(data, &file))
		maps.Copy(cases, file.Cases)
	}
	maps.DeleteFunc(cases, func(name string, _ []string) bool {
		return !strings.HasPrefix(name, "module_") && name != "checkpoint_hooks"
	})
	require.Equal(t, slices.Sorted(maps.Keys(cases)), slices.Sorted(maps.Keys(moduleHookCases)))
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			var got journal
			torch.Scope(func() { moduleHookCases[name](&got) })
			require.Equal(t, want, []string(got))
		})
	}
}
