package lite_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// branch leaves its first layer out where short is set.
type branch struct {
	stack
	short bool
}

func (m *branch) Forward(x *torch.Tensor) *torch.Tensor {
	if m.short {
		return m.B.Forward(torch.Cat([]*torch.Tensor{x, x.Narrow(1, 0, 1)}, 1))
	}
	return m.stack.Forward(x)
}

// localStep is a training run of which passes in NoBackwardSync are a part.
type localStep struct {
	l     *lite.Lite
	net   *branch
	model *lite.Net[*branch]
	opt   optim.Optimizer
	n     int
}

// pass adds up gradients, with local on each rank alone.
func (s *localStep) pass(local bool) {
	s.l.NoBackwardSync(s.model, local, func() { s.l.Backward(s.model.Forward(rowsOf(s.l, s.n)).Pow(2).Mean()) })
	s.n++
}

func (s *localStep) step() {
	s.opt.Step()
	s.opt.ZeroGrad()
}

func (s *localStep) train(on bool) { nn.RequiresGrad(s.net.A, on) }

// TestGradientsOfNoBackwardSync: what passes in NoBackwardSync leave is averaged by the pass that follows, or Step
// refuses it, whatever is frozen, unfrozen or left out in between.
func TestGradientsOfNoBackwardSync(t *testing.T) {
	const (
		frozen    = "parameter a.weight of *lite_test.branch has a gradient that no strategy averages"
		trainable = " over the ranks, so that its copies would diverge: no forward pass to train by"
	)
	for name, c := range map[string]struct {
		unused bool   // the strategy looks for unused parameters
		want   string // empty: ranks stay equal, and are as one rank
		run    func(s *localStep)
	}{
		"frozen, unfrozen, and frozen again after a local pass": {false, frozen, func(s *localStep) {
			s.train(false)
			s.pass(false)
			s.step()
			s.train(true)
			s.pass(false)
			s.step()
			s.pass(true)
			s.train(false)
			s.pass(false)
			s.step()
		}},
		"unfrozen for a local pass alone": {false, frozen, func(s *localStep) {
			s.pass(false)
			s.step()
			s.train(false)
			s.pass(false)
			s.step()
			s.train(true)
			s.pass(true)
			s.train(false)
			s.pass(false)
			s.step()
		}},
		"frozen after a local pass, with unused parameters": {true, frozen, func(s *localStep) {
			s.pass(true)
			s.train(false)
			s.pass(false)
			s.step()
		}},
		"frozen between steps, with unused parameters": {true, "", func(s *localStep) {
			for i := range 4 {
				s.train(i%2 == 0)
				s.pass(true)
				s.pass(false)
				s.step()
			}
		}},
		"frozen after a local pass and a forward pass without a backward pass": {false, frozen, func(s *localStep) {
			s.pass(true)
			s.model.Forward(rowsOf(s.l, 9))
			s.train(false)
			s.pass(false)
			s.step()
		}},
		"the same with unused parameters": {true, frozen, func(s *localStep) {
			s.pass(true)
			s.model.Forward(rowsOf(s.l, 9))
			s.train(false)
			s.pass(false)
			s.step()
		}},
		"frozen with a gradient that was averaged, ahead of a local pass": {false, "", func(s *localStep) {
			for range 2 {
				s.pass(true)
				s.pass(false)
				s.opt.Step()
				s.train(false)
				s.pass(true)
				s.pass(true)
				s.pass(false)
				s.step()
				s.train(true)
			}
		}},
		"frozen after a local pass and one that averages": {false, "", func(s *localStep) {
			for range 2 {
				s.pass(true)
				s.model.Forward(rowsOf(s.l, 9))
				s.pass(false)
				s.train(false)
				s.pass(false)
				s.step()
				s.train(true)
			}
		}},
		"all frozen after a local pass": {false, frozen, func(s *localStep) {
			s.pass(true)
			nn.RequiresGrad(s.net, false)
			s.model.Forward(rowsOf(s.l, 1))
			s.step()
		}},
		"the same, unfrozen ahead of the step": {false, frozen + trainable, func(s *localStep) {
			s.pass(true)
			nn.RequiresGrad(s.net, false)
			s.model.Forward(rowsOf(s.l, 1))
			nn.RequiresGrad(s.net, true)
			s.step()
		}},
		"all frozen, but for local passes": {true, frozen, func(s *localStep) {
			s.pass(false)
			s.step()
			nn.RequiresGrad(s.net, false)
			s.model.Forward(rowsOf(s.l, 1))
			s.train(true)
			s.pass(true)
			s.train(false)
			s.model.Forward(rowsOf(s.l, 1))
			s.step()
		}},
		"all frozen and unfrozen after a local pass": {false, "", func(s *localStep) {
			s.pass(true)
			nn.RequiresGrad(s.net, false)
			s.model.Forward(rowsOf(s.l, 9))
			nn.RequiresGrad(s.net, true)
			s.pass(false)
			s.step()
			s.pass(false)
			s.step()
		}},
		"a local forward pass with all frozen, after gradients were averaged": {false, "", func(s *localStep) {
			nn.RequiresGrad(s.net.B, false)
			s.pass(false)
			s.opt.Step()
			nn.RequiresGrad(s.net, false)
			s.model.Forward(rowsOf(s.l, 9))
			s.l.NoBackwardSync(s.model, true, func() { s.model.Forward(rowsOf(s.l, 9)) })
			nn.RequiresGrad(s.net.B, true)
			s.pass(false)
			s.step()
		}},
		"left out by the pass that averages": {true, "", func(s *localStep) {
			for range 3 {
				s.net.short = false
				s.pass(true)
				s.net.short = true
				s.pass(false)
				s.step()
			}
		}},
		"left out by the pass that averages, after a layer was unfrozen": {true, "", func(s *localStep) {
			nn.RequiresGrad(s.net.B, false)
			s.pass(false)
			s.step()
			s.pass(true)
			s.net.short = true
			nn.RequiresGrad(s.net.B, true)
			s.pass(false)
			s.step()
		}},
		"after a pass without parameters to train": {true, "", func(s *localStep) {
			for range 2 {
				nn.RequiresGrad(s.net, false)
				s.model.Forward(rowsOf(s.l, 0))
				nn.RequiresGrad(s.net, true)
				s.pass(true)
				s.pass(false)
				s.step()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[int][]float64{}
			run := func(l *lite.Lite) error {
				l.SeedEverything(1)
				s := &localStep{l: l, net: &branch{stack: *newStack()}}
				s.opt = optim.NewSGD(nn.Parameters(s.net), 0.1, optim.SGDOptions{Momentum: 0.9})
				var err error
				if s.model, err = lite.Setup(l, s.net, s.net.Forward, s.opt); err != nil {
					return err
				}
				c.run(s)
				var bits strings.Builder
				var list []float64
				for _, p := range nn.Parameters(s.net) {
					bits.Write(p.ToBytes())
					list = append(list, torch.ToSlice[float64](p.Tensor)...)
				}
				if l.IsGlobalZero() {
					values[l.WorldSize()] = list
				}
				return alike(l, bits.String())
			}
			require.NoError(t, spawn(t, lite.DDPSpawn{FindUnusedParameters: c.unused}, 1, run), "one rank")
			err := spawn(t, lite.DDPSpawn{FindUnusedParameters: c.unused}, 2, run)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				if !strings.HasSuffix(c.want, trainable) {
					require.ErrorContains(t, err, "it was frozen before")
				}
				return
			}
			require.NoError(t, err)
			require.InDeltaSlice(t, values[1], values[2], 1e-5)
		})
	}
}
