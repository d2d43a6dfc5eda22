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

// TestBackwardPassesOfForwardPasses has forward passes without a backward pass, with several, and several with one: what
// they leave is averaged in each case, with parameters that only some of them use as well.
func TestBackwardPassesOfForwardPasses(t *testing.T) {
	type pass = func(n int, short bool) *torch.Tensor
	for name, c := range map[string]struct {
		unused bool // not all parameters have a part in each backward pass
		run    func(s *localStep, loss pass)
	}{
		"two backward passes of one": {false, func(s *localStep, loss pass) {
			y := loss(0, false)
			s.l.Backward(y, torch.BackwardOptions{RetainGraph: true})
			s.l.Backward(y)
		}},
		"a backward pass each after two forward passes": {false, func(s *localStep, loss pass) {
			y, z := loss(0, false), loss(1, false)
			s.l.Backward(y)
			s.l.Backward(z)
		}},
		"one backward pass of two": {false, func(s *localStep, loss pass) {
			s.l.Backward(loss(0, false).Add(loss(1, false)))
		}},
		"one backward pass of two, the first of which leaves a layer out": {false, func(s *localStep, loss pass) {
			y, z := loss(0, true), loss(1, false)
			s.l.Backward(y.Add(z))
		}},
		"one backward pass of two, the last of which leaves a layer out": {true, func(s *localStep, loss pass) {
			y, z := loss(0, false), loss(1, true)
			s.l.Backward(y.Add(z))
		}},
		"a backward pass each, of which one leaves a layer out": {true, func(s *localStep, loss pass) {
			y, z := loss(0, true), loss(1, false)
			s.l.Backward(z)
			s.l.Backward(y)
		}},
		"no backward pass, then a local one": {false, func(s *localStep, loss pass) {
			loss(0, false)
			s.pass(true)
			s.pass(false)
		}},
		"no backward pass of one that leaves a layer out, then a local one": {true, func(s *localStep, loss pass) {
			loss(0, true)
			s.pass(true)
			s.pass(false)
		}},
		"no graph, then a local pass": {true, func(s *localStep, loss pass) {
			nn.RequiresGrad(s.net.B, false)
			loss(0, true)
			s.pass(true)
			s.pass(false)
			nn.RequiresGrad(s.net.B, true)
		}},
		"a local one and one that averages have a backward pass in common": {false, func(s *localStep, loss pass) {
			y := loss(0, false)
			s.l.NoBackwardSync(s.model, true, func() { y = y.Add(loss(1, false)) })
			s.l.Backward(y)
		}},
	} {
		for _, strategy := range []lite.DDPSpawn{{}, {FindUnusedParameters: true}, {GradientAsBucketView: true}} {
			if c.unused && !strategy.FindUnusedParameters {
				continue
			}
			t.Run(fmt.Sprintf("%s/%+v", name, strategy), func(t *testing.T) {
				values := map[int][]float32{}
				run := func(l *lite.Lite) error {
					l.SeedEverything(1)
					s := &localStep{l: l, net: &branch{stack: *newStack()}}
					s.opt = optim.NewSGD(nn.Parameters(s.net), 0.1)
					var err error
					if s.model, err = lite.Setup(l, s.net, s.net.Forward, s.opt); err != nil {
						return err
					}
					for range 3 {
						c.run(s, func(n int, short bool) *torch.Tensor {
							s.net.short = short
							defer func() { s.net.short = false }()
							return s.model.Forward(rowsOf(l, n)).Pow(2).Mean()
						})
						s.step()
					}
					var list []float32
					for _, p := range nn.Parameters(s.net) {
						list = append(list, torch.ToSlice[float32](p.Tensor)...)
					}
					if l.IsGlobalZero() {
						values[l.WorldSize()] = list
					}
					return alike(l, s.net.bits())
				}
				one := lite.Config{Strategy: lite.SingleDevice{}, Accelerator: "cpu", Devices: lite.Devices("1")}
				require.NoError(t, spawnWith(t, one, run), "one rank")
				require.NoError(t, spawn(t, strategy, 2, run))
				require.InDeltaSlice(t, values[1], values[2], 1e-5)
			})
		}
	}
}

// TestASecondBackwardPassInsideOfJoin is refused, as ranks without batches would take part in one alone.
func TestASecondBackwardPassInsideOfJoin(t *testing.T) {
	for _, unused := range []bool{false, true} {
		err := spawn(t, lite.DDPSpawn{FindUnusedParameters: unused}, 2, func(l *lite.Lite) error {
			net := newStack()
			model, err := lite.Setup(l, net, net.Forward, optim.NewSGD(nn.Parameters(net), 0.1))
			if err != nil {
				return err
			}
			l.Join(model, func() {
				loss := model.Forward(rowsOf(l, 0)).Mean()
				l.Backward(loss, torch.BackwardOptions{RetainGraph: true})
				l.Backward(loss)
			})
			return nil
		})
		require.ErrorContains(t, err, "inside of Join a forward pass has one backward pass")
	}
}
