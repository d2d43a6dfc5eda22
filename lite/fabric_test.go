package lite_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

type curve struct {
	Precision, Model, Optimizer string
	Steps, Accumulate           int
	Losses, LossesG             fixture.Floats
	Norms, Scales               fixture.Floats
	Clip                        map[string]any
	Skipped                     []int
	Overflow                    int
	Scaler                      map[string]float64
}

// TestLossCurvesAreFabrics trains as Fabric was recorded to, and compares every loss and the parameters, bit for bit.
func TestLossCurvesAreFabrics(t *testing.T) {
	file := fixture.Open(t, "testdata/fabric.json.gz")
	n := 0
	for _, c := range file.Cases {
		var r curve
		c.Decode(t, &r)
		if r.Model == "" {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			err := lite.Run(ctx, lite.Config{Precision: r.Precision}, func(ctx context.Context, l *lite.Lite) error {
				return trainCurve(ctx, t, l, c, r)
			})
			require.NoError(t, err)
		})
	}
	require.Equal(t, 14, n)
}

func trainCurve(ctx context.Context, t *testing.T, l *lite.Lite, c *fixture.Case, r curve) error {
	l.SeedEverything(c.Seed)
	net := build(r.Model)
	opt := optimizer(r.Optimizer, net)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, digits(64, data.Options{}))
	if err != nil {
		return err
	}
	model.Train()
	accumulate := max(1, r.Accumulate)
	var losses, norms []float64
	for batch, err := range loader.Batches(ctx) {
		if err != nil {
			return err
		}
		last := (len(losses)+1)%accumulate == 0
		if accumulate == 1 {
			opt.ZeroGrad()
		}
		var loss *torch.Tensor
		l.NoBackwardSync(model, !last, func() {
			loss = net.Loss(model.Forward(batch.Input), batch.Target)
			if accumulate == 1 {
				l.Backward(loss)
			} else {
				l.Backward(loss.DivScalar(float64(accumulate)))
			}
		})
		losses = append(losses, loss.Item())
		if v, ok := r.Clip["clip_val"].(float64); ok {
			l.ClipGradValue(model, opt, v)
		}
		if v, ok := r.Clip["max_norm"].(float64); ok {
			o := lite.ClipOptions{}
			if r.Clip["norm_type"] == "inf" {
				o.NormType = math.Inf(1)
			}
			norms = append(norms, l.ClipGradNorm(model, opt, v, o).Item())
		}
		if last {
			opt.Step()
			if accumulate > 1 {
				opt.ZeroGrad()
			}
		}
		if len(losses) == r.Steps*accumulate {
			break
		}
	}
	c.EqualFloats(t, "losses", r.Losses, losses)
	if len(r.Norms) > 0 {
		c.EqualFloats(t, "norms", r.Norms, norms)
	}
	sameState(t, c, "param.", net)
	c.Equal(t, "next", bits(torch.Rand(4)))
	return nil
}

type generator struct {
	nn.Base
	Body *nn.Sequential
}

func (g *generator) Forward(z *torch.Tensor) *torch.Tensor { return g.Body.Forward(z) }

type discriminator struct {
	nn.Base
	Features *nn.Sequential
	Score    *nn.Linear
}

func (d *discriminator) Forward(x *torch.Tensor) (score, features *torch.Tensor) {
	features = d.Features.Forward(x)
	return d.Score.Forward(features), features
}

func TestGANIsFabrics(t *testing.T) {
	c := fixture.Open(t, "testdata/fabric.json.gz").Case(t, "gan")
	var r struct {
		Steps   int
		Losses  fixture.Floats
		LossesG fixture.Floats `json:"losses_g"`
	}
	c.Decode(t, &r)
	err := lite.Run(ctx, lite.Config{}, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(c.Seed)
		gen := &generator{Body: nn.NewSequential(nn.NewLinear(64, 256), nn.NewReLU(), nn.NewLinear(256, 784), nn.NewTanh())}
		disc := &discriminator{Features: nn.NewSequential(nn.NewLinear(784, 256), nn.NewLeakyReLU(0.2)), Score: nn.NewLinear(256, 1)}
		adam := optim.AdamOptions{Betas: &[2]float64{0.5, 0.999}}
		optG, optD := optim.NewAdam(nn.Parameters(gen), 2e-4, adam), optim.NewAdam(nn.Parameters(disc), 2e-4, adam)
		g, err := lite.Setup(l, gen, gen.Forward, optG)
		require.NoError(t, err)
		d, err := lite.Setup(l, disc, disc.Forward, optD)
		require.NoError(t, err)
		loader, err := lite.SetupDataLoader(l, digits(128, data.Options{DropLast: true}))
		require.NoError(t, err)
		var lossesD, lossesG []float64
		for batch, err := range loader.Batches(ctx) {
			require.NoError(t, err)
			n := batch.Input.Size(0)
			photo := batch.Input.View(n, 784)
			fake := g.Forward(torch.Randn(n, 64))

			optD.ZeroGrad()
			score, _ := d.Forward(torch.Cat([]*torch.Tensor{photo, fake.Detach()}, 0))
			lossD := F.BCEWithLogits(score, torch.Cat([]*torch.Tensor{torch.Ones(n, 1), torch.Zeros(n, 1)}, 0))
			l.Backward(lossD)
			optD.Step()

			optG.ZeroGrad()
			score, feat := d.Forward(fake)
			_, want := d.Forward(photo)
			match := feat.Mean(0).Sub(want.Detach().Mean(0)).Pow(2).Sum()
			lossG := F.BCEWithLogits(score, torch.Ones(n, 1)).Add(match.MulScalar(0.1))
			l.Backward(lossG)
			optG.Step()

			lossesD, lossesG = append(lossesD, lossD.Item()), append(lossesG, lossG.Item())
			if len(lossesD) == r.Steps {
				break
			}
		}
		c.EqualFloats(t, "losses", r.Losses, lossesD)
		c.EqualFloats(t, "losses_g", r.LossesG, lossesG)
		sameState(t, c, "g.", gen)
		sameState(t, c, "d.", disc)
		c.Equal(t, "next", bits(torch.Rand(4)))
		return nil
	})
	require.NoError(t, err)
}

// scaledBy is a mixed precision with a scaler of its own.
type scaledBy struct {
	amp.Precision
	scaler *amp.GradScaler
}

func (p scaledBy) Scaler() *amp.GradScaler { return p.scaler }

// in16 is a run in 16-mixed, with the scaler that a case was recorded with.
func in16(t *testing.T, r curve) lite.Config {
	p, err := amp.New("16-mixed", torch.CPU)
	require.NoError(t, err)
	o := amp.ScalerOptions{InitScale: r.Scaler["init_scale"], GrowthInterval: int(r.Scaler["growth_interval"])}
	return lite.Config{Plugins: []any{scaledBy{p, amp.NewGradScaler(o)}}}
}

// trainScaled trains as a 16-bit case was recorded to, with a step of the caller's own, and compares losses, scales, the steps
// that were skipped and the parameters after them.
func trainScaled(t *testing.T, l *lite.Lite, c *fixture.Case, r curve, net *MLP, opts []optim.Optimizer, step func(model lite.Handle, number int)) {
	model, err := lite.Setup(l, net, net.Forward, opts...)
	require.NoError(t, err)
	loader, err := lite.SetupDataLoader(l, digits(64, data.Options{}))
	require.NoError(t, err)
	var losses, scales []float64
	var skipped []int
	for batch, err := range loader.Batches(ctx) {
		require.NoError(t, err)
		n := len(losses) + 1
		for _, o := range opts {
			o.ZeroGrad()
		}
		loss := net.Loss(model.Forward(batch.Input), batch.Target)
		if n == r.Overflow {
			loss = loss.MulScalar(math.Inf(1))
		}
		l.Backward(loss)
		step(model, n)
		if opts[0].Skipped() {
			skipped = append(skipped, n)
		}
		for _, o := range opts {
			require.Equal(t, opts[0].Skipped(), o.Skipped(), "step %d", n)
		}
		losses, scales = append(losses, loss.Item()), append(scales, lite.ScaleOf(l))
		if n >= 2 && n <= 4 {
			sameState(t, c, "after."+string(rune('0'+n))+".", net)
		}
		if n == r.Steps {
			break
		}
	}
	c.EqualFloats(t, "losses", r.Losses, losses)
	c.EqualFloats(t, "scales", r.Scales, scales)
	require.Equal(t, r.Skipped, append([]int{}, skipped...))
	sameState(t, c, "param.", net)
	c.Equal(t, "next", bits(torch.Rand(4)))
}

// An overflow skips the step and halves the scale, and changes nothing else; after enough good steps the scale doubles.
func TestScaledStepsAreRecorded(t *testing.T) {
	for _, name := range []string{"16-mixed/overflow", "16-mixed/growth"} {
		t.Run(name, func(t *testing.T) {
			c := fixture.Open(t, "testdata/fabric.json.gz").Case(t, name)
			var r curve
			c.Decode(t, &r)
			on(t, in16(t, r), func(l *lite.Lite) {
				l.SeedEverything(c.Seed)
				net := NewMLP()
				opt := optim.NewSGD(nn.Parameters(net), 0.1, optim.SGDOptions{Momentum: 0.9})
				trainScaled(t, l, c, r, net, []optim.Optimizer{opt}, func(lite.Handle, int) { opt.Step() })
			})
		})
	}
}

// Two optimizers under one scaler: the gradients of both are unscaled once, however often they are clipped and whichever steps
// first; an overflow skips the steps of both, halves the scale once, and changes nothing else.
func TestTwoOptimizersAreUnscaledOnce(t *testing.T) {
	c := fixture.Open(t, "testdata/fabric.json.gz").Case(t, "16-mixed/two_optimizers")
	var r curve
	c.Decode(t, &r)
	require.Equal(t, 3, r.Overflow)
	for _, secondFirst := range []bool{false, true} {
		on(t, in16(t, r), func(l *lite.Lite) {
			l.SeedEverything(c.Seed)
			net := NewMLP()
			one := optim.NewSGD(nn.Parameters(net.FC1), 0.1, optim.SGDOptions{Momentum: 0.9})
			two := optim.NewAdam(nn.Parameters(net.FC2), 0.001)
			var norms []float64
			trainScaled(t, l, c, r, net, []optim.Optimizer{one, two}, func(model lite.Handle, n int) {
				norm := l.ClipGradNorm(model, one, 1)
				if n != r.Overflow {
					norms = append(norms, norm.Item())
				}
				l.ClipGradValue(model, one, 1e30) // nothing is as large: it only unscales, again
				l.ClipGradNorm(model, two, 1e30)
				if secondFirst {
					two.Step()
					one.Step()
					return
				}
				one.Step()
				two.Step()
			})
			c.EqualFloats(t, "norms", r.Norms, norms)
		})
	}
}
