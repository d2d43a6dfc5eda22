package docs

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// Net is the model of the page.
type Net struct {
	nn.Base
	FC   *nn.Linear
	Norm *nn.BatchNorm1d
}

// NewNet makes it.
func NewNet() *Net { return &Net{FC: nn.NewLinear(2, 2), Norm: nn.NewBatchNorm1d(2)} }

func (n *Net) Forward(x *torch.Tensor) *torch.Tensor { return n.Norm.Forward(n.FC.Forward(x)) }

// onTwo runs f on two ranks.
func onTwo(t *testing.T, f func(ctx context.Context, l *lite.Lite) error) {
	t.Helper()
	cfg := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn", Timeout: time.Minute}
	require.NoError(t, lite.Run(t.Context(), cfg, f))
}

func TestPitfallsDecisions(t *testing.T) {
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		deadline := time.Now().Add(time.Hour)
		if l.IsGlobalZero() {
			deadline = time.Time{} // what the others think does not count
		}
		stop := lite.Broadcast(l, l.IsGlobalZero() && time.Now().After(deadline), 0) // rank 0 decides for all
		require.True(t, stop)
		return nil
	})
}

func TestPitfallsRandomNumbers(t *testing.T) {
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		l.SeedEverything(7)
		x, model := torch.Ones(2, 2), nn.NewDropout()
		var out *torch.Tensor
		noise := torch.Options{Generator: l.RankGenerator()}.Randn(2, 2)
		torch.WithGenerator(l.RankGenerator(), func() { out = model.Forward(x) }) // dropout and all else in it
		require.Equal(t, []int{2, 2}, out.Shape())
		equal := func(v *torch.Tensor) bool {
			all := lite.AllGather(l, v)
			return all[0].Equal(all[1])
		}
		require.True(t, equal(torch.Randn(8)), "the default generator is seeded alike")
		require.True(t, equal(model.Forward(torch.Ones(64))), "and so is dropout")
		require.False(t, equal(noise))
		require.False(t, equal(torch.Options{Generator: l.RankGenerator()}.Randn(8)))
		return nil
	})
}

func TestPitfallsDownload(t *testing.T) {
	dir := t.TempDir()
	var fetched atomic.Int32
	download := func(dir string) error {
		if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
			return nil
		}
		fetched.Add(1)
		return os.WriteFile(filepath.Join(dir, "data"), nil, 0o644)
	}
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		err := l.RankZeroFirst(func() error { return download(dir) })
		return err
	})
	require.EqualValues(t, 1, fetched.Load())
}

func TestPitfallsMetrics(t *testing.T) {
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		// Rank 0 has a loss of 3 over one sample, rank 1 one of 2 over three.
		seen, loss := 1+2*l.GlobalRank(), torch.From([]float32{float32(3 - l.GlobalRank())})

		total := lite.Sum(l, seen)  // exact for integers
		l.AllReduce(loss, dist.Sum) // in place
		mean := loss.Item() / float64(total)
		require.Equal(t, 5.0/4, mean)

		// Rank 0 is right about its one sample, rank 1 about one of three.
		scores, target := torch.Eye(2).Narrow(0, 0, 1), torch.From([]int64{0})
		if l.GlobalRank() == 1 {
			scores, target = torch.Eye(3).Narrow(1, 0, 2), torch.From([]int64{1, 1, 1})
		}
		acc := metrics.NewAccuracy(metrics.Multiclass(2))
		acc.Update(scores, target)        // in the loop, for each batch: meets nobody
		accuracy := acc.Compute(l).Item() // after it: of all ranks, also those without a batch
		require.Equal(t, 2.0/4, accuracy)
		return nil
	})
}

// weighted is a loss with a parameter of its own.
type weighted struct {
	nn.Base
	Weight nn.Parameter
}

func (w *weighted) Forward(y *torch.Tensor) *torch.Tensor {
	return y.Mul(w.Weight.Tensor).Pow(2).Mean()
}

func TestPitfallsParameters(t *testing.T) {
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		net, loss, scale := NewNet(), &weighted{Weight: nn.NewParameter(torch.Ones(1))}, nn.NewParameter(torch.Ones(1))
		own := []nn.Parameter{scale}
		l.IgnoreParameters(own...) // before Setup
		opt := optim.NewSGD(slices.Concat(nn.Parameters(net), nn.Parameters(loss), own), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		criterion, err := lite.SetupModule(l, loss, loss.Forward)
		if err != nil {
			return err
		}
		for epoch := range 4 {
			nn.RequiresGrad(net.FC, epoch >= 2) // the head alone at first
			x := torch.Options{Generator: l.RankGenerator()}.Randn(4, 2)
			opt.ZeroGrad()
			l.Backward(criterion.Forward(model.Forward(x)).Mul(scale.Tensor))
			opt.Step()
		}
		for _, p := range append(nn.Parameters(net), loss.Weight) {
			all := lite.AllGather(l, string(p.ToBytes()))
			require.Equal(t, all[0], all[1])
		}
		all := lite.AllGather(l, scale.Item())
		require.NotEqual(t, all[0], all[1])
		return nil
	})
}

func TestPitfallsBatches(t *testing.T) {
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		net := NewNet()
		ddp.ConvertSyncBatchNorm(net, l.Group()) // before Setup
		model, err := lite.Setup(l, net, net.Forward)
		if err != nil {
			return err
		}
		model.Forward(torch.Full(float64(l.GlobalRank()), 1, 2)) // one sample each, of which no rank alone has a deviation
		return nil
	})
	var steps [2]int
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		net := nn.NewLinear(2, 2)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		mine := make([]*torch.Tensor, 1+2*l.GlobalRank())
		for i := range mine {
			mine[i] = torch.Ones(1, 2)
		}
		step := func(x *torch.Tensor) {
			opt.ZeroGrad()
			l.Backward(model.Forward(x).Sum())
			opt.Step()
			steps[l.GlobalRank()]++
		}
		l.Join(model, func() {
			for _, batch := range mine {
				step(batch)
			}
		})
		return nil
	})
	require.Equal(t, [2]int{1, 3}, steps)
}

func TestPitfallsLargeModels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "net.pt")
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		net := NewNet()
		torch.NoGrad(func() { net.FC.Weight.Fill_(7) })
		return l.Save(file, lite.State{"model": net})
	})
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		net := lite.InitModule(l, NewNet, lite.InitOptions{Empty: true}) // shapes alone
		model, err := lite.SetupModule(l, net, net.Forward)              // memory, on the rank's device
		if err != nil {
			return err
		}
		_, err = l.Load(file, lite.State{"model": model}) // values
		require.Equal(t, 28.0, net.FC.Weight.Sum().Item())
		return err
	})

	torch.Scope(func() {
		block, x := NewNet(), torch.Ones(4, 2)
		x = torch.Checkpoint(block.Forward)(x)
		x.Sum().Backward()
		require.NotNil(t, block.FC.Weight.Grad())
	})
}

func TestPitfallsRankZero(t *testing.T) {
	var uploads atomic.Int32
	upload := func(string) { uploads.Add(1) }
	report := "done"
	onTwo(t, func(_ context.Context, l *lite.Lite) error {
		if l.IsGlobalZero() {
			upload(report) // no collective in here: the others are not with you
		}
		l.Barrier() // where the others must wait for it
		require.EqualValues(t, 1, uploads.Load())
		return nil
	})
}

func TestPitfallsEarlyStopping(t *testing.T) {
	evaluate := func(ctx context.Context, l *lite.Lite, model *lite.Net[*nn.Linear],
		loader *data.Loader[data.Example]) (float64, error) {
		sum := torch.Zeros(1)
		for b, err := range loader.Batches(ctx) {
			if err != nil {
				return 0, err
			}
			torch.NoGrad(func() { sum.Add_(model.Forward(b.Input).Pow(2).Mean()) })
		}
		return l.AllReduce(sum).Item(), nil
	}
	var epochs [2]int
	onTwo(t, func(ctx context.Context, l *lite.Lite) error {
		l.SeedEverything(1)
		net := nn.NewLinear(2, 2)
		model, err := lite.Setup(l, net, net.Forward)
		if err != nil {
			return err
		}
		loader, err := lite.SetupDataLoader(l, data.NewLoader(data.NewTensorDataset(torch.Eye(2), torch.Ones(2)), 1))
		if err != nil {
			return err
		}
		best, bad, patience := 1e9, 0, 2
		for range 100 {
			loss, err := evaluate(ctx, l, model, loader) // reduced: the same on every rank
			if err != nil {
				return err
			}
			if loss < best {
				best, bad = loss, 0
			} else if bad++; bad > patience {
				break
			}
			epochs[l.GlobalRank()]++
		}
		return nil
	})
	require.Equal(t, [2]int{3, 3}, epochs)
}
