package lite_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// stack has two layers, and a method besides Forward.
type stack struct {
	nn.Base
	A, B *nn.Linear
}

func newStack() *stack { return &stack{A: nn.NewLinear(3, 4), B: nn.NewLinear(4, 2)} }

func (m *stack) Forward(x *torch.Tensor) *torch.Tensor { return m.B.Forward(m.A.Forward(x).Tanh()) }

func (m *stack) bits() string {
	var all strings.Builder
	for _, p := range nn.Parameters(m) {
		all.Write(p.ToBytes())
	}
	return all.String()
}

// scaled is a loss with a parameter of its own.
type scaled struct {
	nn.Base
	Scale nn.Parameter
}

func newScaled() *scaled { return &scaled{Scale: nn.NewParameter(torch.Ones(1))} }

func (m *scaled) Forward(y *torch.Tensor) *torch.Tensor { return y.Mul(m.Scale.Tensor).Pow(2).Mean() }

// rowsOf is a rank's part of step n's batch of 12.
func rowsOf(l *lite.Lite, n int) *torch.Tensor {
	whole := torch.Options{Generator: torch.NewGenerator(uint64(n + 1))}.Randn(12, 3)
	rows := 12 / l.WorldSize()
	return whole.Narrow(0, rows*l.GlobalRank(), rows)
}

// notAveraged are programs whose optimizers have parameters that no strategy averages. Each runs up to its step.
var notAveraged = map[string]struct {
	want    string
	program func(l *lite.Lite) (optim.Optimizer, error)
}{
	"a loss's own parameter": {"parameter 4 in group 0 (float32[1]) of the optimizer *optim.SGD", func(l *lite.Lite) (optim.Optimizer, error) {
		net, loss := newStack(), newScaled()
		opt := optim.NewSGD(append(nn.Parameters(net), nn.Parameters(loss)...), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		nn.To(loss, l.Device())
		l.Backward(loss.Forward(model.Forward(rowsOf(l, 0))))
		return opt, nil
	}},
	"a group of another module": {"parameter 0 in group 1 (float32[2 3]) of the optimizer *optim.SGD", func(l *lite.Lite) (optim.Optimizer, error) {
		net, other := newStack(), newLine()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		l.Backward(model.Forward(rowsOf(l, 0)).Sum())
		opt.Step()
		opt.ZeroGrad()
		opt.AddParamGroup(optim.Group{Params: nn.Parameters(other)})
		l.Backward(model.Forward(rowsOf(l, 0)).Sum().Add(other.Forward(rowsOf(l, 0)).Sum()))
		return opt, nil
	}},
	"an optimizer given to another's Setup": {"parameter 0 in group 0 (float32[2 3]) of the optimizer *optim.SGD", func(l *lite.Lite) (optim.Optimizer, error) {
		net, other := newStack(), newLine()
		opt := optim.NewSGD(nn.Parameters(other), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		l.Backward(model.Forward(rowsOf(l, 0)).Sum().Add(other.Forward(rowsOf(l, 0)).Sum()))
		return opt, nil
	}},
	"an optimizer given to SetupOptimizers": {"it belongs to no module that was set up", func(l *lite.Lite) (optim.Optimizer, error) {
		other := newLine()
		opt := optim.NewSGD(nn.Parameters(other), 0.1)
		if err := l.SetupOptimizers(opt); err != nil {
			return nil, err
		}
		l.Backward(other.Forward(rowsOf(l, 0)).Sum())
		return opt, nil
	}},
	"an accumulation": {"it belongs to no module that was set up", func(l *lite.Lite) (optim.Optimizer, error) {
		net, loss := newStack(), newScaled()
		opt := optim.NewSGD(append(nn.Parameters(net), nn.Parameters(loss)...), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		for n := range 2 {
			l.NoBackwardSync(model, n == 0, func() { l.Backward(loss.Forward(model.Forward(rowsOf(l, n)))) })
		}
		return opt, nil
	}},
	"a layer unfrozen for a pass in evaluation mode": {"parameter a.weight of *lite_test.stack", func(l *lite.Lite) (optim.Optimizer, error) {
		net := newStack()
		nn.RequiresGrad(net.A, false)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		l.Backward(model.Forward(rowsOf(l, 0)).Sum())
		opt.Step()
		nn.RequiresGrad(net.A, true)
		model.Eval()
		l.Backward(model.Forward(rowsOf(l, 1)).Sum())
		return opt, nil
	}},
}

// TestStepRefusesGradientsThatNoStrategyAverages: on several ranks, and on one they are all there is.
func TestStepRefusesGradientsThatNoStrategyAverages(t *testing.T) {
	for name, c := range notAveraged {
		for _, precision := range []string{"32-true", "16-mixed"} {
			for _, ranks := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, precision, ranks), func(t *testing.T) {
					cfg := lite.Config{Strategy: "ddp_spawn", Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(ranks)), Precision: precision}
					require.NoError(t, spawnWith(t, cfg, func(l *lite.Lite) error {
						l.SeedEverything(1)
						opt, err := c.program(l)
						if err != nil {
							return err
						}
						refused := torch.Try(opt.Step)
						if ranks == 1 {
							return refused
						}
						if refused == nil || !strings.Contains(refused.Error(), c.want) || !strings.Contains(refused.Error(), "no strategy averages") {
							return fmt.Errorf("refused with %w, want %s", refused, c.want)
						}
						return nil
					}))
				})
			}
		}
	}
	t.Run("a closure", func(t *testing.T) {
		err := spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
			other := newLine()
			opt := optim.NewLBFGS(nn.Parameters(other), 0.1)
			if err := l.SetupOptimizers(opt); err != nil {
				return err
			}
			opt.StepFunc(func() *torch.Tensor {
				opt.ZeroGrad()
				loss := other.Forward(rowsOf(l, 0)).Pow(2).Sum()
				l.Backward(loss)
				return loss
			})
			return nil
		})
		require.ErrorContains(t, err, "no strategy averages")
	})
}

// TestOptimizersThatWereNotSetUp are warned of, once on each rank, where they have gradients that no strategy averages.
func TestOptimizersThatWereNotSetUp(t *testing.T) {
	for name, c := range map[string]struct {
		ranks, want int
		ignored     bool
		of          func(net, other *stack) *stack
	}{
		"of a module that was not set up":             {2, 2, false, func(_, other *stack) *stack { return other }},
		"of a module that was not set up, on one":     {1, 0, false, func(_, other *stack) *stack { return other }},
		"of a module that was not set up and ignored": {2, 0, true, func(_, other *stack) *stack { return other }},
		"of a module that was set up":                 {2, 0, false, func(net, _ *stack) *stack { return net }},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			cfg := lite.Config{Strategy: "ddp_spawn", Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(c.ranks)), Logger: zap.New(core)}
			require.NoError(t, spawnWith(t, cfg, func(l *lite.Lite) error {
				net, other := newStack(), newStack()
				model, err := lite.Setup(l, net, net.Forward)
				if err != nil {
					return err
				}
				if c.ignored {
					l.IgnoreParameters(nn.Parameters(other)...)
				}
				opt := optim.NewSGD(nn.Parameters(c.of(net, other)), 0.1)
				for n := range 3 {
					torch.Scope(func() {
						opt.ZeroGrad()
						l.Backward(other.Forward(rowsOf(l, n)).Mul(model.Forward(rowsOf(l, n))).Sum())
						opt.Step()
					})
				}
				return nil
			}))
			require.Equal(t, c.want, logs.FilterMessageSnippet("not set up").Len())
		})
	}
}

// TestStepsThatAreRightOnSeveralRanks are not refused, and leave the ranks equal.
func TestStepsThatAreRightOnSeveralRanks(t *testing.T) {
	for name, f := range map[string]func(l *lite.Lite) ([]nn.Parameter, error){
		"two models and optimizers by turns": func(l *lite.Lite) ([]nn.Parameter, error) {
			a, b := newStack(), newStack()
			optA, optB := optim.NewSGD(nn.Parameters(a), 0.1), optim.NewSGD(nn.Parameters(b), 0.1)
			modelA, err := lite.Setup(l, a, a.Forward, optA)
			if err != nil {
				return nil, err
			}
			modelB, err := lite.Setup(l, b, b.Forward, optB)
			if err != nil {
				return nil, err
			}
			for n := range 3 {
				optA.ZeroGrad()
				l.Backward(modelA.Forward(rowsOf(l, n)).Sum().Add(modelB.Forward(rowsOf(l, n)).Sum()))
				optA.Step()
				optB.ZeroGrad()
				l.Backward(modelB.Forward(rowsOf(l, n)).Sum())
				optB.Step()
			}
			return append(nn.Parameters(a), nn.Parameters(b)...), nil
		},
		"a layer that two models share": func(l *lite.Lite) ([]nn.Parameter, error) {
			a := newStack()
			b := &stack{A: a.A, B: nn.NewLinear(4, 2)}
			opt := optim.NewSGD(append(nn.Parameters(a), nn.Parameters(b.B)...), 0.1)
			modelA, err := lite.Setup(l, a, a.Forward)
			if err != nil {
				return nil, err
			}
			modelB, err := lite.Setup(l, b, b.Forward, opt)
			if err != nil {
				return nil, err
			}
			for n := range 3 {
				opt.ZeroGrad()
				l.Backward(modelA.Forward(rowsOf(l, n)).Sum())
				opt.Step()
				opt.ZeroGrad()
				l.Backward(modelB.Forward(rowsOf(l, n)).Sum())
				opt.Step()
			}
			return append(nn.Parameters(a), nn.Parameters(b.B)...), nil
		},
		"a loss that is set up": func(l *lite.Lite) ([]nn.Parameter, error) {
			net, loss := newStack(), newScaled()
			opt := optim.NewSGD(append(nn.Parameters(net), nn.Parameters(loss)...), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return nil, err
			}
			criterion, err := lite.SetupModule(l, loss, loss.Forward)
			if err != nil {
				return nil, err
			}
			for n := range 3 {
				opt.ZeroGrad()
				l.Backward(criterion.Forward(model.Forward(rowsOf(l, n))))
				opt.Step()
			}
			return append(nn.Parameters(net), nn.Parameters(loss)...), nil
		},
		"a gradient that the program averages": func(l *lite.Lite) ([]nn.Parameter, error) {
			net, loss := newStack(), newScaled()
			l.IgnoreParameters(loss.Scale)
			opt := optim.NewSGD(append(nn.Parameters(net), loss.Scale), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return nil, err
			}
			for n := range 3 {
				opt.ZeroGrad()
				l.Backward(loss.Forward(model.Forward(rowsOf(l, n))))
				l.AllReduce(loss.Scale.Grad(), dist.Mean)
				opt.Step()
			}
			return append(nn.Parameters(net), loss.Scale), nil
		},
		"frozen in an accumulation, after its gradients were averaged": func(l *lite.Lite) ([]nn.Parameter, error) {
			net := newStack()
			opt := optim.NewSGD(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return nil, err
			}
			l.Backward(model.Forward(rowsOf(l, 0)).Sum())
			nn.RequiresGrad(net.A, false)
			l.Backward(model.Forward(rowsOf(l, 1)).Sum())
			opt.Step()
			return nn.Parameters(net), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
				l.SeedEverything(1)
				params, err := f(l)
				if err != nil {
					return err
				}
				var bits strings.Builder
				for _, p := range params {
					bits.Write(p.ToBytes())
				}
				return alike(l, bits.String())
			}))
		})
	}
}

// alike compares the ranks' parameters.
func alike(l *lite.Lite, bits string) error {
	for rank, other := range lite.AllGather(l, bits) {
		if other != bits {
			return fmt.Errorf("parameters differ between rank %d and rank %d", l.GlobalRank(), rank)
		}
	}
	return nil
}

// unfreeze trains a model whose first layer is frozen, or both are, and is trained later on, with pauses, and gives its
// parameters.
func unfreeze(l *lite.Lite, all bool) (params []float32, err error) {
	l.SeedEverything(1)
	net := newStack()
	nn.RequiresGrad(net.A, false)
	nn.RequiresGrad(net.B, !all)
	opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return nil, err
	}
	n := 0
	train := func(accumulate int) {
		for range 3 {
			torch.Scope(func() {
				opt.ZeroGrad()
				for k := range accumulate {
					l.NoBackwardSync(model, k < accumulate-1, func() { l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean()) })
					n++
				}
				opt.Step()
			})
		}
	}
	if !all {
		train(1)
	} else {
		model.Forward(rowsOf(l, 0))
		nn.RequiresGrad(net.B, true)
	}
	train(2)
	nn.RequiresGrad(net.A, true)
	train(2)
	nn.RequiresGrad(net.B, false)
	train(1)
	nn.RequiresGrad(net.B, true)
	train(1)
	for _, p := range nn.Parameters(net) {
		params = append(params, torch.ToSlice[float32](p.Tensor)...)
	}
	return params, alike(l, net.bits())
}

func init() {
	jobs["unfreeze"] = func(_ context.Context, l *lite.Lite) (result, error) {
		params, err := unfreeze(l, false)
		var r result
		for _, p := range params {
			r.Losses = append(r.Losses, []float64{float64(p)})
		}
		return r, err
	}
}

// TestLayersUnfrozenAfterSetup are averaged from the next forward pass on, with every setting of the strategy: the
// ranks end with what one comes to on all of the data.
func TestLayersUnfrozenAfterSetup(t *testing.T) {
	for _, all := range []bool{false, true} {
		var want []float32
		require.NoError(t, spawn(t, lite.DDPSpawn{}, 1, func(l *lite.Lite) (err error) {
			want, err = unfreeze(l, all)
			return err
		}))
		for name, s := range map[string]lite.DDPSpawn{
			"FindUnusedParameters": {FindUnusedParameters: true},
			"GradientAsBucketView": {GradientAsBucketView: true},
			"NoInitSync":           {NoInitSync: true}, "plain": {},
			"BucketHook": {Hook: ddp.BucketHook(func(g *dist.Group, b *ddp.Bucket) *torch.Tensor { return g.AllReduce(b.Buffer, dist.Mean) })},
			"PowerSGD":   {Hook: ddp.PowerSGD{}},
		} {
			for _, ranks := range []int{2, 3} {
				t.Run(fmt.Sprintf("%s/%d/all %v", name, ranks, all), func(t *testing.T) {
					require.NoError(t, spawn(t, s, ranks, func(l *lite.Lite) error {
						got, err := unfreeze(l, all)
						for i := range got {
							if math.Abs(float64(got[i]-want[i])) > 1e-5 {
								return fmt.Errorf("parameter %d is %v, want %v: %w", i, got[i], want[i], err)
							}
						}
						return err
					}))
				})
			}
		}
	}
	t.Run("processes", func(t *testing.T) {
		for _, strategy := range strategies {
			r := job{do: "unfreeze", strategy: strategy, ranks: 2}.run(t)
			require.NotEmpty(t, r.Losses)
		}
	})
}

// TestANewLayerInPlaceOfAnother takes part once an optimizer has it.
func TestANewLayerInPlaceOfAnother(t *testing.T) {
	require.NoError(t, spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
		l.SeedEverything(uint64(l.GlobalRank())) // the new layer starts with rank 0's numbers
		net := newStack()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		step := func(n int) {
			opt.ZeroGrad()
			l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean())
			opt.Step()
		}
		step(0)
		net.B = nn.NewLinear(4, 5)
		opt.AddParamGroup(optim.Group{Params: nn.Parameters(net.B)})
		step(1)
		step(2)
		return alike(l, net.bits())
	}))
}

// TestIgnoredParametersOfAModel are each rank's own, from the start or from a later step on.
func TestIgnoredParametersOfAModel(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, unused := range []bool{false, true} {
			require.NoError(t, spawn(t, lite.DDPSpawn{FindUnusedParameters: unused}, 2, func(l *lite.Lite) error {
				l.SeedEverything(uint64(l.GlobalRank()))
				net := newStack()
				opt := optim.NewSGD(nn.Parameters(net), 0.1)
				if !late {
					l.IgnoreParameters(nn.Parameters(net.A)...)
				}
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				step := func(n int) {
					opt.ZeroGrad()
					l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean())
					opt.Step()
				}
				step(0)
				l.IgnoreParameters(nn.Parameters(net.A)...)
				step(1)
				step(2)
				own := lite.AllGather(l, string(net.A.Weight.ToBytes()))
				return firstError(
					same("equal weights of the ignored layer", false, own[0] == own[1]),
					alike(l, string(net.B.Weight.ToBytes())),
				)
			}))
		}
	}
}

// TestWhenTheStrategyIsBuiltAnew: for other parameters alone, and not in each turn of models or layers that take turns.
func TestWhenTheStrategyIsBuiltAnew(t *testing.T) {
	for name, c := range map[string]struct {
		s    lite.DDPSpawn
		want int // times
		f    func(net *stack, step func())
	}{
		"nothing changes": {want: 0, f: func(net *stack, step func()) { step(); step() }},
		"frozen twice and thawed": {want: 2, f: func(net *stack, step func()) {
			nn.RequiresGrad(net.A, false)
			step()
			step()
			nn.RequiresGrad(net.A, true)
			step()
			step()
		}},
		"frozen, and thawed at once": {want: 0, f: func(net *stack, step func()) { nn.RequiresGrad(net.A, false); nn.RequiresGrad(net.A, true); step() }},
		"by turns, with FindUnusedParameters": {s: lite.DDPSpawn{FindUnusedParameters: true}, want: 0, f: func(net *stack, step func()) {
			for n := range 4 {
				nn.RequiresGrad(net.A, n%2 == 0)
				nn.RequiresGrad(net.B, n%2 == 1)
				step()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			cfg := lite.Config{Strategy: c.s, Accelerator: "cpu", Devices: "2", Logger: zap.New(core)}
			require.NoError(t, spawnWith(t, cfg, func(l *lite.Lite) error {
				net := newStack()
				opt := optim.NewSGD(nn.Parameters(net), 0.1)
				model, err := lite.Setup(l, net, net.Forward, opt)
				if err != nil {
					return err
				}
				n := 0
				c.f(net, func() {
					opt.ZeroGrad()
					l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean())
					opt.Step()
					n++
				})
				// A model all of which is frozen while another trains needs nothing anew.
				nn.RequiresGrad(net, false)
				x := rowsOf(l, n).Clone().RequiresGrad_(true)
				l.Backward(model.Forward(x).Sum())
				nn.RequiresGrad(net, true)
				l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean())
				opt.Step()
				return alike(l, net.bits())
			}))
			require.Equal(t, 2*c.want, logs.FilterMessageSnippet("built anew").Len())
		})
	}
}

// TestRanksThatUnfreezeOtherLayers get an error that names the first difference, or both calls.
func TestRanksThatUnfreezeOtherLayers(t *testing.T) {
	for want, thaw := range map[string]func(net *stack, rank int) nn.Module{
		"other parameters of *lite_test.stack require gradients than at the last forward pass": func(net *stack, rank int) nn.Module {
			return []nn.Module{net.A, net.B}[rank]
		},
		"ranks made different calls": func(net *stack, rank int) nn.Module { return []nn.Module{net.A, newStack()}[rank] }, // rank 1's stays as it is
	} {
		err := spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
			net := newStack()
			nn.RequiresGrad(net.A, false)
			net.B.Weight.RequiresGrad_(false)
			model, err := lite.Setup(l, net, net.Forward)
			if err != nil {
				return err
			}
			nn.RequiresGrad(thaw(net, l.GlobalRank()), true)
			l.Backward(model.Forward(rowsOf(l, 0)).Sum())
			return nil
		})
		require.ErrorContains(t, err, want)
	}
}

// TestUnfreezingAndJoin: a rank without batches follows a change ahead of Join, and one inside of it is refused.
func TestUnfreezingAndJoin(t *testing.T) {
	train := func(l *lite.Lite, thaw func(net *stack, batch int)) error {
		l.SeedEverything(1)
		net := newStack()
		nn.RequiresGrad(net.A, false)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		thaw(net, -1)
		l.Join(model, func() {
			for n := range 3 * l.GlobalRank() {
				thaw(net, n)
				opt.ZeroGrad()
				l.Backward(model.Forward(rowsOf(l, n)).Pow(2).Mean())
				opt.Step()
			}
		})
		return alike(l, net.bits())
	}
	require.NoError(t, spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
		return train(l, func(net *stack, n int) { nn.RequiresGrad(net.A, true) })
	}))
	require.ErrorContains(t, spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
		return train(l, func(net *stack, n int) { nn.RequiresGrad(net.A, n == 1) })
	}), "freeze and unfreeze layers between two calls of Join")
}
