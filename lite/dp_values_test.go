package lite_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// shapes has forward passes with all kinds of arguments and results.
type shapes struct {
	nn.Base
	W nn.Parameter
}

func newShapes() *shapes { return &shapes{W: nn.NewParameter(torch.Full(3, 1))} }

type twoInputs struct {
	X     *torch.Tensor
	Parts []*torch.Tensor
	Named map[string]*torch.Tensor
	Mask  *torch.Tensor // may be nil
	Scale float64
	name  string
}

type twoOutputs struct {
	Y, None *torch.Tensor
	Parts   []*torch.Tensor
	Named   map[string]any
	Scale   float64
	Inner   *twoInputs
}

func (s *shapes) Struct(in twoInputs) *twoOutputs {
	y := in.X.Mul(s.W.Tensor).MulScalar(in.Scale)
	return &twoOutputs{Y: y, Parts: []*torch.Tensor{in.Parts[0].Neg(), in.Parts[1]}, Scale: in.Scale, Inner: &in,
		Named: map[string]any{"a": in.Named["a"].AddScalar(1), "b": in.Named["b"], "text": in.name}}
}
func (s *shapes) Variadic(n int, list ...*torch.Tensor) (sum *torch.Tensor, count int) {
	sum = list[0]
	for _, t := range list[1:] {
		sum = sum.Add(t)
	}
	return sum.MulScalar(float64(n)), len(list)
}
func (s *shapes) Loss(x *torch.Tensor) *torch.Tensor { return x.Mul(s.W.Tensor).Mean() }
func (s *shapes) Size(x *torch.Tensor) int           { return x.Size(0) }
func (s *shapes) Ring(x *torch.Tensor) *ring {
	r := &ring{X: x.Mul(s.W.Tensor)}
	r.Next, r.Named, r.List = r, map[string]*ring{"self": r}, []any{r.X, nil}
	r.List[1] = r.List
	return r
}
func (s *shapes) Any(x any) any                           { return x }
func (s *shapes) Nothing(n int) *torch.Tensor             { return torch.Full(float64(n), 2).Mul(s.W.Tensor) }
func (s *shapes) Self(*torch.Tensor) *shapes              { return s }
func (s *shapes) Halves(x, y *torch.Tensor) *torch.Tensor { return x.Sum().Add(y.Sum()) }
func (s *shapes) Sometimes(x *torch.Tensor) *torch.Tensor {
	return map[bool]*torch.Tensor{true: x}[first(x)]
}
func (s *shapes) Rows(x *torch.Tensor) []*torch.Tensor { return x.Unbind(0) }
func (s *shapes) Wide(x *torch.Tensor) *torch.Tensor   { return x.Reshape(1, -1) }
func (s *shapes) Keys(x *torch.Tensor) map[bool]*torch.Tensor {
	return map[bool]*torch.Tensor{first(x): x}
}
func (s *shapes) Kind(x *torch.Tensor) any {
	if first(x) {
		return x
	}
	return "text"
}
func (s *shapes) Err(x *torch.Tensor) (*torch.Tensor, error) {
	if !first(x) {
		return nil, errLate
	}
	return x, nil
}
func (s *shapes) Packed(p packed) *torch.Tensor { return p.x }

var errLate = errors.New("the samples came too late")

// packed keeps its tensors to itself.
type packed struct{ x *torch.Tensor }

func (p packed) To(d torch.Device) packed { return packed{p.x.To(d)} }

// first tells the part that holds the sample 0.
func first(x *torch.Tensor) bool { return x.Flatten(0, -1).Index(0).Item() == 0 }

func count(rows, columns int) *torch.Tensor {
	return torch.Arange(float64(rows*columns)).Float().View(rows, columns)
}

func floats(x *torch.Tensor) []float32 { return torch.ToSlice[float32](x) }

func TestDPArgumentsAndResults(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	onReplicas(t, lite.Config{Logger: zap.New(core)}, 2, func(l *lite.Lite) {
		net := newShapes()
		model, err := lite.Setup(l, net, net.Struct)
		require.NoError(t, err)
		in := twoInputs{X: count(5, 1), Parts: []*torch.Tensor{count(5, 2), count(5, 1)}, Scale: 2, name: "mine",
			Named: map[string]*torch.Tensor{"a": count(4, 1), "b": count(6, 1)}}
		out := model.Forward(in)
		require.Equal(t, []float32{0, 6, 12, 18, 24}, floats(out.Y))
		require.Nil(t, out.None)
		require.Equal(t, []int{5, 2}, out.Parts[0].Shape())
		require.Equal(t, floats(in.Parts[0].Neg()), floats(out.Parts[0]))
		require.Equal(t, []float32{1, 2, 3, 4}, floats(out.Named["a"].(*torch.Tensor)))
		require.Equal(t, floats(count(6, 1)), floats(out.Named["b"].(*torch.Tensor)))
		require.Equal(t, "mine", out.Named["text"])
		require.Equal(t, 2.0, out.Scale)
		require.Equal(t, floats(in.X), floats(out.Inner.X))
		require.Equal(t, "mine", out.Inner.name)
		out.Y.Sum().Backward()
		require.Equal(t, 20.0, net.W.Grad().Item(), "the sum over both replicas")

		sum, n := lite.Bind(model, net.Variadic)(3, count(3, 1), count(3, 1))
		require.Equal(t, []float32{0, 6, 12}, floats(sum))
		require.Equal(t, 2, n)

		loss := lite.Bind(model, net.Loss)
		require.Equal(t, []float32{1.5, 7.5}, floats(loss(count(4, 1))), "a value of each replica")
		require.Equal(t, []float32{0}, floats(loss(count(1, 1))), "one part is one value")
		require.Equal(t, 1, logs.FilterMessageSnippet("without dimensions").Len(), "said once")

		require.Equal(t, floats(count(4, 1)), floats(lite.Bind(model, net.Any)(count(4, 1)).(*torch.Tensor)))
		require.Equal(t, 7, lite.Bind(model, net.Any)(7))
		require.Nil(t, lite.Bind(model, net.Any)(nil))
		require.Equal(t, []float32{9, 9}, floats(lite.Bind(model, net.Nothing)(3)), "without tensors there is nothing to share out")
		require.Equal(t, 2, lite.Bind(model, net.Size)(count(4, 1)), "what is equal of all is kept")
		require.Len(t, lite.Bind(model, net.Rows)(count(4, 2)), 2)
		require.Equal(t, []int{0, 2}, lite.Bind(model, net.Any)(torch.Zeros(0, 2)).(*torch.Tensor).Shape())

		y, err := lite.Bind(model, net.Err)(count(4, 1))
		require.Nil(t, y)
		require.ErrorIs(t, err, errLate)
		require.EqualError(t, err, "replica 1 on cpu: the samples came too late")
	})
}

func TestDPRefuses(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(l *lite.Lite) {
		net := newShapes()
		model, err := lite.Setup(l, net, net.Struct)
		require.NoError(t, err)
		for _, tt := range []struct {
			name, text string
			call       func()
		}{
			{"a tensor without dimensions", "has no parts", func() { lite.Bind(model, net.Loss)(torch.Zeros()) }},
			{"tensors of different batches", "shapes [4 1] and [1 1] can't be shared out alike: 2 devices get 2 parts of one and 1 of the other",
				func() { lite.Bind(model, net.Halves)(count(4, 1), count(1, 1)) }},
			{"a type that hides its tensors", "a lite_test.packed, keeps its tensors to itself", func() { lite.Bind(model, net.Packed)(packed{count(4, 1)}) }},
			{"numbers that differ", "result 0 is 2 of one replica and 1 of another, and only tensors can be joined", func() { lite.Bind(model, net.Size)(count(3, 1)) }},
			{"a module", "only tensors can be joined", func() { lite.Bind(model, net.Self)(count(4, 1)) }},
			{"nil of one", "result 0 is nil of one replica and not of another", func() { lite.Bind(model, net.Sometimes)(count(4, 1)) }},
			{"lists of different lengths", "result 0 has 2 elements of one replica and 1 of another", func() { lite.Bind(model, net.Rows)(count(3, 1)) }},
			{"shapes that don't fit", "result 0 can't be joined along dimension 0", func() { lite.Bind(model, net.Wide)(count(3, 1)) }},
			{"different keys", "result 0[true] is there of one replica and not of another", func() { lite.Bind(model, net.Keys)(count(4, 1)) }},
			{"different types", "result 0 is a *torch.Tensor of one replica and a string of another", func() { lite.Bind(model, net.Kind)(count(4, 1)) }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				require.ErrorContains(t, torch.Try(tt.call), tt.text)
				require.Equal(t, []float32{0, 1, 2, 3}, floats(lite.Bind(model, net.Any)(count(4, 1)).(*torch.Tensor)), "the next pass runs")
			})
		}
	})
}

// fragile fails on some of the samples.
type fragile struct {
	nn.Base
	FC  *nn.Linear
	how func(x *torch.Tensor)
}

func (f *fragile) Forward(x *torch.Tensor) *torch.Tensor {
	f.how(x)
	return f.FC.Forward(x)
}

// A replica that fails, in whatever way, is one panic of the caller's that names its device; the others are waited for, and
// the next pass runs.
func TestDPReplicaFails(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		fail func(x *torch.Tensor)
		text []string
	}{
		{"an operation of the second", func(x *torch.Tensor) {
			if !first(x) {
				x.MatMul(torch.Ones(7, 7))
			}
		}, []string{"*lite_test.fragile.Forward: replica 1 on cpu (and 1 more of 3): aten::matmul"}},
		{"an operation of all", func(x *torch.Tensor) { x.MatMul(torch.Ones(7, 7)) }, []string{"replica 0 on cpu (and 2 more of 3): aten::matmul"}},
		{"a panic", func(x *torch.Tensor) {
			if !first(x) {
				panic(boom)
			}
		}, []string{"replica 1 on cpu (and 1 more of 3): panic: boom", "dp_values_test.go"}},
		{"the end of its goroutine", func(x *torch.Tensor) {
			if !first(x) {
				runtime.Goexit()
			}
		}, []string{"replica 1 on cpu (and 1 more of 3)", "Goexit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onReplicas(t, lite.Config{}, 3, func(l *lite.Lite) {
				net := &fragile{FC: nn.NewLinear(2, 2), how: tt.fail}
				model, err := lite.Setup(l, net, net.Forward)
				require.NoError(t, err)
				for range 3 {
					err := torch.Try(func() { model.Forward(count(6, 2)) })
					for _, text := range tt.text {
						require.ErrorContains(t, err, text)
					}
					require.Equal(t, tt.name == "a panic", errors.Is(err, boom))
				}
				net.how = func(*torch.Tensor) {}
				require.Equal(t, []int{6, 2}, model.Forward(count(6, 2)).Shape())
			})
		})
	}
	t.Run("the end of the caller's", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = lite.RunReplicas(ctx, lite.Config{}, 2, func(l *lite.Lite) error {
				net := &fragile{FC: nn.NewLinear(2, 2), how: func(x *torch.Tensor) {
					if first(x) {
						runtime.Goexit()
					}
				}}
				model, err := lite.Setup(l, net, net.Forward)
				if err == nil {
					model.Forward(count(6, 2))
				}
				return err
			})
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the run did not end")
		}
	})
}

// outer hides a method of the module that it embeds, and promotes another.
type outer struct {
	*shapes
	Own *nn.Linear
}

func (o *outer) Loss(x *torch.Tensor) *torch.Tensor { return o.shapes.Loss(x).AddScalar(100) }

// byValue promotes all methods of the module that it begins with.
type byValue struct {
	shapes
	Own *nn.Linear
}

// general is a type with a parameter.
type general[T any] struct {
	nn.Base
	FC   *nn.Linear
	Note T `torch:"-"`
}

func (g *general[T]) Forward(x *torch.Tensor) *torch.Tensor { return g.FC.Forward(x) }

func TestDPMethodsOfEmbeddedModules(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(l *lite.Lite) {
		net := &outer{shapes: newShapes(), Own: nn.NewLinear(1, 1)}
		_, err := lite.Setup(l, net, net.shapes.Loss)
		require.ErrorContains(t, err, "(*shapes).Loss is hidden by the Loss of *lite_test.outer")
		model, err := lite.Setup(l, net, net.Loss)
		require.NoError(t, err)
		require.Equal(t, []float32{101.5, 107.5}, floats(model.Forward(count(4, 1))))
		require.ErrorContains(t, torch.Try(func() { lite.Bind(model, net.shapes.Loss) }), "is hidden by")
		sum, _ := lite.Bind(model, net.Variadic)(1, count(4, 1))
		require.Equal(t, floats(count(4, 1)), floats(sum), "a promoted method")

		flat := &byValue{shapes: *newShapes(), Own: nn.NewLinear(1, 1)}
		all, err := lite.Setup(l, flat, flat.Any)
		require.NoError(t, err)
		require.Equal(t, floats(count(4, 1)), floats(all.Forward(count(4, 1)).(*torch.Tensor)))

		anyone := build("MLP") // the module's type is an interface
		digit, err := lite.Setup(l, anyone, anyone.Forward)
		require.NoError(t, err)
		require.Equal(t, []int{3, 10}, digit.Forward(torch.Ones(3, 784)).Shape())

		typed := &general[int]{FC: nn.NewLinear(2, 2)}
		linear, err := lite.Setup(l, typed, typed.Forward)
		require.NoError(t, err)
		require.Equal(t, []int{4, 2}, linear.Forward(count(4, 2)).Shape())
	})
}

// A forward pass inside of another would wait for the threads that it runs on.
func TestDPRefusesNestedPasses(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(l *lite.Lite) {
		net := &fragile{FC: nn.NewLinear(2, 2)}
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		net.how = func(x *torch.Tensor) { model.Forward(x) }
		require.ErrorContains(t, torch.Try(func() { model.Forward(count(4, 2)) }), "was called while a forward pass is running")
	})
}

// The caller's autocast holds on all devices, as does its being switched off.
func TestDPCarriesAutocast(t *testing.T) {
	onReplicas(t, lite.Config{}, 3, func(l *lite.Lite) {
		net := &fragile{FC: nn.NewLinear(2, 2), how: func(*torch.Tensor) {}}
		model, err := lite.Setup(l, net, net.Forward)
		require.NoError(t, err)
		amp.Autocast(torch.CPUType, torch.BFloat16, func() {
			require.Equal(t, torch.BFloat16, model.Forward(count(6, 2)).DType())
			amp.NoAutocast(torch.CPUType, func() { require.Equal(t, torch.Float32, model.Forward(count(6, 2)).DType()) })
		})
	})
}

// ring is a result that comes round to its beginning.
type ring struct {
	X     *torch.Tensor
	Next  *ring
	Named map[string]*ring
	List  []any
}

func TestDPResultsThatReferToThemselves(t *testing.T) {
	onReplicas(t, lite.Config{}, 2, func(l *lite.Lite) {
		net := newShapes()
		model, err := lite.Setup(l, net, net.Ring)
		require.NoError(t, err)
		r := model.Forward(torch.Ones(4))
		require.Equal(t, []float32{3, 3, 3, 3}, floats(r.X))
		require.Same(t, r, r.Next)
		require.Same(t, r, r.Named["self"])
		require.Equal(t, []int{4}, r.List[1].([]any)[0].(*torch.Tensor).Shape())
	})
}
