package lite_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// learner is a model whose methods run their own backward pass.
type learner struct {
	stack
	l *lite.Lite `torch:"-"`
}

// Loss gives the loss after its backward pass: nothing of its graph is left.
func (m *learner) Loss(x *torch.Tensor) *torch.Tensor {
	loss := m.Forward(x).Pow(2).Mean()
	m.l.Backward(loss)
	return loss.Detach()
}

// Kept gives the loss itself.
func (m *learner) Kept(x *torch.Tensor) *torch.Tensor {
	loss := m.Forward(x).Pow(2).Mean()
	m.l.Backward(loss)
	return loss
}

// Twice leaves another backward pass to the caller.
func (m *learner) Twice(x *torch.Tensor) *torch.Tensor {
	m.l.Backward(m.Forward(x).Pow(2).Mean())
	return m.Forward(x).Mean()
}

// Half has the second layer learn, and the first one stay without a gradient.
func (m *learner) Half(x *torch.Tensor) *torch.Tensor {
	m.l.Backward(m.B.Forward(m.A.Forward(x).Detach()).Pow(2).Mean())
	return x
}

// TestBackwardInsideOfAForwardPass averages gradients as it does outside: the ranks end with what one comes to on all
// of the data.
func TestBackwardInsideOfAForwardPass(t *testing.T) {
	train := func(l *lite.Lite, method string) (params []float32, err error) {
		l.SeedEverything(1)
		net := &learner{stack: *newStack(), l: l}
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		step := map[string]func(x *torch.Tensor){
			"Loss":  func(x *torch.Tensor) { lite.Bind(model, net.Loss)(x) },
			"Kept":  func(x *torch.Tensor) { lite.Bind(model, net.Kept)(x) },
			"Twice": func(x *torch.Tensor) { l.Backward(lite.Bind(model, net.Twice)(x)) },
			"Half":  func(x *torch.Tensor) { lite.Bind(model, net.Half)(x) },
			"an accumulation": func(x *torch.Tensor) {
				l.NoBackwardSync(model, true, func() { lite.Bind(model, net.Loss)(x) })
				lite.Bind(model, net.Loss)(x)
			},
			"by turns": func(x *torch.Tensor) {
				lite.Bind(model, net.Loss)(x)
				l.Backward(model.Forward(x).Mean())
			},
		}[method]
		for n := range 4 {
			torch.Scope(func() {
				opt.ZeroGrad()
				step(rowsOf(l, n))
				opt.Step()
			})
		}
		for _, p := range nn.Parameters(net) {
			params = append(params, torch.ToSlice[float32](p.Tensor)...)
		}
		return params, alike(l, net.bits())
	}
	const unused = "Half"
	for _, method := range []string{"Loss", "Kept", "Twice", "an accumulation", "by turns", unused} {
		for _, precision := range []string{"32-true", "16-mixed"} {
			near := map[string]float64{"32-true": 1e-5, "16-mixed": 5e-3}[precision]
			run := func(s lite.Strategy, ranks int, f func(l *lite.Lite) error) {
				t.Helper()
				require.NoError(t, spawnWith(t, lite.Config{Strategy: s, Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(ranks)), Precision: precision}, f))
			}
			var want []float32
			run(lite.SingleDevice{}, 1, func(l *lite.Lite) (err error) {
				want, err = train(l, method)
				return err
			})
			for name, s := range map[string]lite.DDPSpawn{
				"plain":                {},
				"FindUnusedParameters": {FindUnusedParameters: true},
				"GradientAsBucketView": {GradientAsBucketView: true},
				"StaticGraph":          {StaticGraph: true},
			} {
				switch {
				case method == unused && name != "FindUnusedParameters":
					continue // as outside of a forward pass
				case name == "StaticGraph" && method != "Loss" && method != "Kept":
					continue // a static graph has one backward pass to a forward pass, and its first one reduces
				}
				t.Run(method+"/"+precision+"/"+name, func(t *testing.T) {
					run(s, 2, func(l *lite.Lite) error {
						got, err := train(l, method)
						for i := range got {
							if math.Abs(float64(got[i]-want[i])) > near {
								return fmt.Errorf("parameter %d is %v, want %v: %w", i, got[i], want[i], err)
							}
						}
						return err
					})
				})
			}
		}
	}
}
