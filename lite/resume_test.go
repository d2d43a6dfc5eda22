package lite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

var errStop = errors.New("stopped for the test")

// session trains two epochs of 12 batches with dropout, from a checkpoint if there is one, and stops after some steps.
type session struct {
	precision string
	workers   int
	path      string
	stopAt    int // 0: never
	trace     map[int]string
}

func (s *session) run(t *testing.T) error {
	return lite.Run(ctx, lite.Config{Precision: s.precision}, func(ctx context.Context, l *lite.Lite) error {
		return s.train(ctx, t, l)
	})
}

func (s *session) train(ctx context.Context, t *testing.T, l *lite.Lite) error {
	l.SeedEverything(9)
	net := nn.NewSequential(nn.NewLinear(784, 16), nn.NewReLU(), nn.NewDropout(0.3), nn.NewLinear(16, 10))
	opt := optim.NewAdam(nn.Parameters(net), 1e-2)
	sched := optim.NewStepLR(opt, 5, optim.StepLROptions{Gamma: new(0.5)})
	model, err := lite.Setup(l, net, net.Forward, opt)
	require.NoError(t, err)
	loader, err := lite.SetupDataLoader(l, data.NewLoader(part(12), 8, data.Options{Shuffle: true, Workers: s.workers}))
	require.NoError(t, err)
	epoch, step := 0, 0
	state := lite.State{"model": model, "opt": opt, "sched": sched, "loader": loader, "epoch": &epoch, "step": &step}
	if s.path != "" {
		_, err := l.Load(s.path, state)
		require.NoError(t, err)
	}
	begun := step
	for ; epoch < 2; epoch++ {
		for b, err := range loader.Batches(ctx) {
			require.NoError(t, err)
			opt.ZeroGrad()
			loss := F.CrossEntropy(model.Forward(b.Input.View(-1, 784)), b.Target)
			if step == 3 { // an overflow, where there is a scaler, so that its state matters
				loss = loss.MulScalar(1e30)
			}
			l.Backward(loss)
			opt.Step()
			sched.Step()
			step++
			noise := torch.Options{Generator: l.RankGenerator()}.Rand(1).Item()
			scale := 1.0
			if s.precision == "16-mixed" {
				scale = lite.ScaleOf(l)
			}
			s.trace[step] = fmt.Sprint(loss.Item(), opt.ParamGroups()[0].LR, noise, l.Rand().Uint64(), torch.Rand(1).Item(), scale)
			if step-begun == s.stopAt {
				s.path = filepath.Join(t.TempDir(), "stop.pt")
				require.NoError(t, l.Save(s.path, state))
				return errStop
			}
		}
	}
	return nil
}

// A run that is stopped anywhere and resumed from its checkpoint gives what one that ran through gives, bit for bit:
// losses, learning rates, the scaler's scale, every random stream.
func TestResumeIsExact(t *testing.T) {
	for _, tt := range []struct {
		precision string
		workers   int
	}{{"32-true", 0}, {"32-true", 2}, {"16-mixed", 2}} {
		t.Run(fmt.Sprintf("%s workers %d", tt.precision, tt.workers), func(t *testing.T) {
			whole := &session{precision: tt.precision, workers: tt.workers, trace: map[int]string{}}
			require.NoError(t, whole.run(t))
			require.Len(t, whole.trace, 24)
			rng := rand.New(rand.NewPCG(1, uint64(tt.workers)))
			for _, first := range []int{1, 12, 2 + rng.IntN(20)} {
				parts := &session{precision: tt.precision, workers: tt.workers, trace: map[int]string{}, stopAt: first}
				for stops := 0; ; stops++ {
					err := parts.run(t)
					if err == nil {
						require.Positive(t, stops)
						break
					}
					require.ErrorIs(t, err, errStop)
					parts.stopAt = 1 + rng.IntN(10)
				}
				require.Equal(t, whole.trace, parts.trace, "first stop after step %d", first)
			}
		})
	}
}
