package lite_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// line is a small model.
type line struct {
	nn.Base
	FC *nn.Linear
}

func newLine() *line { return &line{FC: nn.NewLinear(3, 2)} }

func (n *line) Forward(x *torch.Tensor) *torch.Tensor { return n.FC.Forward(x) }
func (n *line) Double(x *torch.Tensor) *torch.Tensor  { return n.FC.Forward(x).MulScalar(2) }

func setUpLine(t *testing.T, l *lite.Lite) (*line, *lite.Net[*line], *optim.SGD) {
	net := newLine()
	opt := optim.NewSGD(nn.Parameters(net), 0.1)
	model, err := lite.Setup(l, net, net.Forward, opt)
	require.NoError(t, err)
	return net, model, opt
}

// A batch that is dropped after clipping leaves nothing behind: the next one's gradients are unscaled as well.
func TestClippedBatchMayBeDropped(t *testing.T) {
	on(t, lite.Config{Precision: "16-mixed"}, func(l *lite.Lite) {
		_, model, opt := setUpLine(t, l)
		clip := func() float64 {
			l.Backward(model.Forward(torch.Ones(4, 3)).Mean())
			return l.ClipGradNorm(model, opt, 1e6).Item()
		}
		norm := clip()
		require.InDelta(t, math.Sqrt(3*2+2)/2, norm, 1e-3)
		opt.ZeroGrad()
		require.Equal(t, norm, clip())
		opt.Step()
		require.False(t, opt.Skipped())
	})
}

// Clipping each part of an accumulation would add gradients that are 65536 times too large to those that are not.
func TestClippingTwiceInAnAccumulationIsRefused(t *testing.T) {
	on(t, lite.Config{Precision: "16-mixed"}, func(l *lite.Lite) {
		_, model, opt := setUpLine(t, l)
		part := func() { l.Backward(model.Forward(torch.Ones(4, 3)).Mean()) }
		part()
		l.ClipGradNorm(model, opt, 1)
		part()
		require.ErrorContains(t, torch.Try(func() { l.ClipGradNorm(model, opt, 1) }), "clip once, after the last backward pass")
		require.ErrorContains(t, torch.Try(func() { l.ClipGradValue(model, opt, 1) }), "clip once, after the last backward pass")
		opt.ZeroGrad()
		part()
		part()
		require.InDelta(t, math.Sqrt(3*2+2), l.ClipGradNorm(model, opt, 1).Item(), 1e-3)
		opt.Step()
	})
}

// Steps that would divide gradients that were not multiplied are refused.
func TestPlainBackwardUnderAScalerIsRefused(t *testing.T) {
	on(t, lite.Config{Precision: "16-mixed"}, func(l *lite.Lite) {
		net, model, opt := setUpLine(t, l)
		before := net.FC.Weight.ToBytes()
		model.Forward(torch.Ones(4, 3)).Sum().Backward()
		require.ErrorContains(t, torch.Try(opt.Step), "l.Backward(loss) in place of loss.Backward()")
		require.Equal(t, before, net.FC.Weight.ToBytes())
	})
}

// A forward pass that knows nothing of precision and ranks is noticed at the step.
func TestForwardOfTheModuleItselfIsRefused(t *testing.T) {
	for _, precision := range []string{"bf16-mixed", "16-mixed"} {
		on(t, lite.Config{Precision: precision}, func(l *lite.Lite) {
			net, model, opt := setUpLine(t, l)
			before := net.FC.Weight.ToBytes()
			torch.NoGrad(func() { model.Forward(torch.Ones(4, 3)) }) // validation is not what trains it
			l.Backward(net.Forward(torch.Ones(4, 3)).Sum())
			require.ErrorContains(t, torch.Try(opt.Step), "call the Forward of what Setup returned")
			require.Equal(t, before, net.FC.Weight.ToBytes())
		})
	}
}

// On several ranks it is, and so is training in evaluation mode, where the ranks' gradients stay apart.
func TestGradientsOfOneRankAloneAreRefused(t *testing.T) {
	cfg := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}
	for want, forward := range map[string]func(l *lite.Lite, net *line, model *lite.Net[*line]) *torch.Tensor{
		"call the Forward of what Setup returned": func(l *lite.Lite, net *line, _ *lite.Net[*line]) (y *torch.Tensor) {
			l.Autocast(func() { y = net.Forward(torch.Ones(4, 3)) }) // the precision has its part, the ranks have not
			return y
		},
		"call Train on it": func(_ *lite.Lite, _ *line, model *lite.Net[*line]) *torch.Tensor {
			model.Eval()
			return model.Forward(torch.Ones(4, 3))
		},
	} {
		err := lite.Run(ctx, cfg, func(_ context.Context, l *lite.Lite) error {
			net := newLine()
			opt := optim.NewSGD(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			if err != nil {
				return err // the other rank was first
			}
			l.Backward(forward(l, net, model).Sum())
			opt.Step()
			return nil
		})
		require.ErrorContains(t, err, want)
	}
}

// So it is with replicas: theirs are the passes of model.Forward.
func TestForwardPastTheReplicasIsRefused(t *testing.T) {
	require.NoError(t, lite.RunReplicas(ctx, lite.Config{Precision: "bf16-mixed"}, 2, func(l *lite.Lite) error {
		net, model, opt := setUpLine(t, l)
		l.Backward(net.Forward(torch.Ones(4, 3)).Sum())
		require.ErrorContains(t, torch.Try(opt.Step), "call the Forward of what Setup returned")
		l.Backward(model.Forward(torch.Ones(4, 3)).Sum())
		opt.Step()
		return nil
	}))
}

// What looks like it but is right is not refused.
func TestStepsThatAreRightAreNotRefused(t *testing.T) {
	x := torch.Ones(4, 3)
	for name, f := range map[string]func(l *lite.Lite){
		"a bound method": func(l *lite.Lite) {
			net, model, opt := setUpLine(t, l)
			l.Backward(lite.Bind(model, net.Double)(x).Sum())
			opt.Step()
		},
		"a forward pass under Autocast": func(l *lite.Lite) {
			net, _, opt := setUpLine(t, l)
			l.Backward(lite.AutocastOf(l, func() *torch.Tensor { return net.Forward(x.To(net.FC.Weight.DType())) }).Float().Sum())
			opt.Step()
		},
		"a penalty between": func(l *lite.Lite) {
			net, model, opt := setUpLine(t, l)
			l.Backward(model.Forward(x).Sum())
			opt.Step()
			opt.ZeroGrad()
			l.Backward(net.FC.Weight.Pow(2).Sum())
			opt.Step()
		},
		"no gradients": func(l *lite.Lite) {
			_, _, opt := setUpLine(t, l)
			opt.Step()
		},
		"an accumulation": func(l *lite.Lite) {
			_, model, opt := setUpLine(t, l)
			l.NoBackwardSync(model, true, func() { l.Backward(model.Forward(x).Sum()) })
			l.Backward(model.Forward(x).Sum())
			opt.Step()
		},
		"two optimizers and two models": func(l *lite.Lite) {
			_, a, optA := setUpLine(t, l)
			_, b, optB := setUpLine(t, l)
			for range 2 {
				optA.ZeroGrad()
				optB.ZeroGrad()
				l.Backward(a.Forward(x).Sum().Add(b.Forward(x).Sum()))
				optA.Step()
				optB.Step()
				optA.ZeroGrad()
				l.Backward(a.Forward(x).Sum())
				optA.Step()
			}
		},
		"parameters that are no model's": func(l *lite.Lite) {
			p := nn.NewParameter(torch.Ones(3))
			opt := optim.NewSGD([]nn.Parameter{p}, 0.1)
			require.NoError(t, l.SetupOptimizers(opt))
			l.Backward(p.Sum())
			opt.Step()
			require.InDelta(t, 0.9, p.Index(0).Item(), 1e-6)
		},
		"an optimizer that was set up apart": func(l *lite.Lite) {
			net := newLine()
			opt := optim.NewSGD(nn.Parameters(net), 0.1)
			model, err := lite.SetupModule(l, net, net.Forward)
			require.NoError(t, err)
			require.NoError(t, l.SetupOptimizers(opt))
			l.Backward(model.Forward(x).Sum())
			opt.Step()
		},
	} {
		for _, precision := range []string{"32-true", "bf16-mixed", "16-mixed", "64-true"} {
			t.Run(name+"/"+precision, func(t *testing.T) { on(t, lite.Config{Precision: precision}, f) })
		}
	}
	t.Run("a closure", func(t *testing.T) {
		on(t, lite.Config{Precision: "bf16-mixed"}, func(l *lite.Lite) {
			net := newLine()
			opt := optim.NewLBFGS(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Forward, opt)
			require.NoError(t, err)
			step := func(forward func(*torch.Tensor) *torch.Tensor) {
				opt.StepFunc(func() *torch.Tensor {
					opt.ZeroGrad()
					loss := forward(x).Pow(2).Sum()
					l.Backward(loss)
					return loss
				})
			}
			require.ErrorContains(t, torch.Try(func() { step(net.Forward) }), "call the Forward of what Setup returned")
			step(model.Forward)
		})
	})
}

// What takes a model says so where it is given none.
func TestModelsThatWereNotSetUp(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		_, _, opt := setUpLine(t, l)
		for _, m := range []lite.Handle{nil, (*lite.Net[*line])(nil), &lite.Net[*line]{}} {
			require.ErrorContains(t, torch.Try(func() { l.NoBackwardSync(m, true, func() {}) }), "was not set up")
			require.ErrorContains(t, torch.Try(func() { l.ClipGradNorm(m, opt, 1) }), "was not set up")
			require.ErrorContains(t, torch.Try(func() { l.ClipGradValue(m, opt, 1) }), "was not set up")
		}
	})
}

// The sum of the norms is clip_grad_norm_'s bit for bit in the order of the model, and Fabric's in that of the
// optimizer's groups.
func TestClipGradNormInTheOrderOfTheModule(t *testing.T) {
	for _, precision := range []string{"32-true", "16-mixed"} {
		on(t, lite.Config{Precision: precision}, func(l *lite.Lite) {
			l.SeedEverything(3)
			net := &deep{}
			for range 12 {
				net.Layers = append(net.Layers, nn.NewLinear(5, 5))
			}
			decay, none := optim.Group{}, optim.Group{WeightDecay: new(float64)}
			for _, layer := range net.Layers {
				decay.Params, none.Params = append(decay.Params, layer.Weight), append(none.Params, layer.Bias)
			}
			free := nn.NewParameter(torch.Ones(1))
			none.Params = append(none.Params, free)
			opt := optim.NewAdamWGroups([]optim.Group{decay, none}, 1e-3)
			model, err := lite.Setup(l, net, net.Forward, opt)
			require.NoError(t, err)
			differ := 0
			for n := range 20 {
				x := torch.Options{Generator: torch.NewGenerator(uint64(n))}.Randn(4, 5)
				norm := func(clip func() *torch.Tensor) (norm float64, grad []byte) {
					opt.ZeroGrad()
					l.Backward(model.Forward(x).Mul(free.Tensor).Pow(2).Mean().MulScalar(0.1))
					norm = clip().Item()
					return norm, net.Layers[0].Weight.Grad().ToBytes()
				}
				groups, _ := norm(func() *torch.Tensor { return l.ClipGradNorm(model, opt, 0.01) })
				got, clipped := norm(func() *torch.Tensor { return l.ClipGradNorm(model, opt, 0.01, lite.ClipOptions{ModuleOrder: true}) })
				want, wantClipped := norm(func() *torch.Tensor {
					l.ClipGradNorm(model, opt, math.Inf(1)) // the scaler's factor
					return nn.ClipGradNorm_(append(nn.Parameters(net), free), 0.01)
				})
				require.Equal(t, want, got)
				require.Equal(t, wantClipped, clipped)
				require.InEpsilon(t, want, groups, 1e-5)
				if groups != want {
					differ++
				}
			}
			require.Positive(t, differ, "the order has no effect, and nothing was tested")
		})
	}
}

// deep is a chain of layers.
type deep struct {
	nn.Base
	Layers []*nn.Linear
}

func (m *deep) Forward(x *torch.Tensor) *torch.Tensor {
	for _, layer := range m.Layers {
		x = layer.Forward(x).Tanh()
	}
	return x
}

// A norm that is not finite is given back, or refused.
func TestClipGradNormErrorIfNonFinite(t *testing.T) {
	on(t, lite.Config{}, func(l *lite.Lite) {
		_, model, opt := setUpLine(t, l)
		l.Backward(model.Forward(torch.Ones(4, 3)).MulScalar(math.Inf(1)).Sum())
		strict := lite.ClipOptions{ErrorIfNonFinite: true}
		require.ErrorContains(t, torch.Try(func() { l.ClipGradNorm(model, opt, 1, strict) }), "the norm of the gradients is +Inf")
		require.True(t, math.IsInf(l.ClipGradNorm(model, opt, 1).Item(), 1))
		opt.ZeroGrad()
		l.Backward(model.Forward(torch.Ones(4, 3)).Sum())
		require.Greater(t, l.ClipGradNorm(model, opt, 1, strict).Item(), 1.0)
	})
}
