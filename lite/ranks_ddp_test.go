package lite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// spawn runs f as goroutine ranks of this process, with DDP's settings.
func spawn(t *testing.T, s lite.DDPSpawn, ranks int, f func(l *lite.Lite) error) error {
	t.Helper()
	cfg := lite.Config{Strategy: s, Accelerator: "cpu", Devices: lite.Devices(fmt.Sprint(ranks))}
	if s.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	return spawnWith(t, cfg, f)
}

// spawnWith runs f with a Config.
func spawnWith(t *testing.T, cfg lite.Config, f func(l *lite.Lite) error) error {
	t.Helper()
	return lite.Run(t.Context(), cfg, func(_ context.Context, l *lite.Lite) error { return f(l) })
}

// heavy has two layers of more than a MiB each.
type heavy struct {
	nn.Base
	A, B *nn.Linear
	Drop nn.Buffer
}

func newHeavy() *heavy {
	return &heavy{A: nn.NewLinear(64, 5000), B: nn.NewLinear(5000, 64), Drop: nn.NewBuffer(torch.Zeros(3))}
}

func (m *heavy) Run(x *torch.Tensor, _ int) *torch.Tensor { return m.B.Forward(m.A.Forward(x)) }

// traced is what a run of some steps leaves.
type traced struct {
	calls  []string // the last step's collectives, without numbers and places
	params string
	views  bool // some gradients lie in larger memory
}

// traceSteps trains a heavy model for four steps, and gives what rank 0 saw.
func traceSteps(t *testing.T, s lite.DDPSpawn) (got traced) {
	require.NoError(t, spawn(t, s, 2, func(l *lite.Lite) error {
		l.SeedEverything(1)
		net := newHeavy()
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Run, opt)
		if err != nil {
			return err
		}
		in := torch.Options{Generator: l.RankGenerator()}
		for n := range 4 {
			l.Group().Trace(100)
			torch.Scope(func() {
				opt.ZeroGrad()
				l.Backward(model.Forward(in.Randn(4, 64), n).Pow(2).Mean())
				opt.Step()
			})
		}
		mine := traced{params: string(net.A.Weight.ToBytes()) + string(net.B.Bias.ToBytes()), views: net.A.Weight.Grad().StorageBytes() > 4*net.A.Weight.Numel()}
		for _, span := range l.Group().Trace(0) {
			what, _, _ := strings.Cut(span.What, " (number")
			mine.calls = append(mine.calls, what)
		}
		for rank, other := range lite.AllGather(l, mine.params) {
			if other != mine.params {
				return fmt.Errorf("parameters differ between rank %d and rank %d", l.GlobalRank(), rank)
			}
		}
		if l.GlobalRank() == 0 {
			got = mine
		}
		return nil
	}))
	return got
}

// TestEverySettingOfDDP shows, by the collectives of a step, that each has its effect, and that those that say how gradients
// travel, and not in which form, don't change a bit of what is learned.
func TestEverySettingOfDDP(t *testing.T) {
	const buffers = "broadcast from rank 0 of Float[3]"
	sums := func(of ...string) []string {
		calls := []string{buffers}
		for _, what := range of {
			calls = append(calls, "all_reduce(sum) of "+what)
		}
		return calls
	}
	// The first bucket is full at 1 MiB, by default, and gradients come last layer first.
	plain := traceSteps(t, lite.DDPSpawn{})
	require.Equal(t, sums("Float[320064]", "Float[325000]"), plain.calls)
	require.False(t, plain.views)
	own := ddp.BucketHook(func(g *dist.Group, b *ddp.Bucket) *torch.Tensor { return g.AllReduce(b.Buffer, dist.Max) })
	for name, c := range map[string]struct {
		set   lite.DDPSpawn
		calls []string
		alike bool
	}{
		// Its buckets stay in the order of the model, and ranks tell each other what was used.
		"FindUnusedParameters": {lite.DDPSpawn{FindUnusedParameters: true}, sums("Float[325064]", "Float[320000]", "Int[4]"), true},
		"StaticGraph":          {lite.DDPSpawn{StaticGraph: true}, plain.calls, true},
		"GradientAsBucketView": {lite.DDPSpawn{GradientAsBucketView: true}, plain.calls, true},
		"NoBroadcastBuffers":   {lite.DDPSpawn{NoBroadcastBuffers: true}, plain.calls[1:], true},
		"BucketCapMB":          {lite.DDPSpawn{BucketCapMB: 3}, sums("Float[645064]"), true},
		"Backend":              {lite.DDPSpawn{Backend: "gloo"}, plain.calls, true},
		"fp16":                 {lite.DDPSpawn{CommHook: "fp16"}, sums("Half[320064]", "Half[325000]"), false},
		"bf16":                 {lite.DDPSpawn{CommHook: "bf16"}, sums("BFloat16[320064]", "BFloat16[325000]"), false},
		"powersgd":             {lite.DDPSpawn{CommHook: "powersgd"}, plain.calls, true}, // it compresses from step 1000 on
		"PowerSGD": {lite.DDPSpawn{Hook: ddp.PowerSGD{Rank: 2, StartStep: 2}}, // of each bucket the biases, and both factors of the weights
			sums("Float[64]", "Float[128]", "Float[10000]", "Float[5000]", "Float[10000]", "Float[128]"), false},
		"BucketHook": {lite.DDPSpawn{Hook: own}, []string{buffers, "all_reduce(max) of Float[320064]", "all_reduce(max) of Float[325000]"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := traceSteps(t, c.set)
			require.Equal(t, c.calls, got.calls)
			require.Equal(t, c.alike, got.params == plain.params, "the same bits as without it")
			require.Equal(t, name == "GradientAsBucketView", got.views)
		})
	}
}

// TestInitSync: a model starts with rank 0's numbers, unless it shall not.
func TestInitSync(t *testing.T) {
	for _, own := range []bool{false, true} {
		require.NoError(t, spawn(t, lite.DDPSpawn{NoInitSync: own}, 2, func(l *lite.Lite) error {
			l.SeedEverything(uint64(l.GlobalRank()))
			net := newHeavy()
			before := lite.AllGather(l, net.A.Weight.ToBytes())
			if _, err := lite.Setup(l, net, net.Run); err != nil {
				return err
			}
			from := 0
			if own {
				from = l.GlobalRank()
			}
			return firstError(
				same("ranks draw the same", false, string(before[0]) == string(before[1])),
				same("a rank has its own", string(before[from]), string(net.A.Weight.ToBytes())),
			)
		}))
	}
}

// TestHooksThatAreRefused, one for its Config and one when a model is set up.
func TestHooksThatAreRefused(t *testing.T) {
	for want, s := range map[string]lite.DDPSpawn{
		`CommHook is "fp16": want none beside a Hook`: {CommHook: "fp16", Hook: ddp.HookBF16},
		"StartStep is 1: want at least 2":             {Hook: ddp.PowerSGD{StartStep: 1}},
	} {
		err := spawn(t, s, 2, func(l *lite.Lite) error {
			net := newHeavy()
			_, err := lite.Setup(l, net, net.Run)
			return err
		})
		require.ErrorContains(t, err, want)
	}
}

// TestTimeoutOfDDP: the strategy's own bounds collectives.
func TestTimeoutOfDDP(t *testing.T) {
	require.NoError(t, spawn(t, lite.DDPSpawn{Timeout: 7 * time.Second}, 2, func(l *lite.Lite) error {
		return same("the group's timeout", 7*time.Second, l.Group().Timeout())
	}))
}

// byTurns trains some of three models of different sizes, a step of each by turns, and gives their parameters at the end.
func byTurns(l *lite.Lite, which ...int) (params []string, err error) {
	var turns []func()
	var nets []*MLP
	for _, i := range which {
		l.SeedEverything(uint64(i))
		net := &MLP{FC1: nn.NewLinear(784, 40+i), FC2: nn.NewLinear(40+i, 20)}
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		model, err := lite.Setup(l, net, net.Forward, opt)
		if err != nil {
			return nil, err
		}
		in := torch.Options{Generator: torch.NewGenerator(uint64(10*i + l.GlobalRank()))}
		nets = append(nets, net)
		turns = append(turns, func() {
			opt.ZeroGrad()
			l.Backward(model.Forward(in.Randn(4, 784)).Pow(2).Mean())
			opt.Step()
		})
	}
	for range 6 {
		for _, turn := range turns {
			torch.Scope(turn)
		}
	}
	for _, net := range nets {
		params = append(params, string(net.FC1.Weight.ToBytes())+string(net.FC2.Weight.ToBytes()))
	}
	return params, nil
}

// TestModelsDoNotShareAHooksState: PowerSGD carries matrices, errors and a count of steps from one step to the next. Models
// that train by turns, as a GAN's do, come to the bits that each comes to alone.
func TestModelsDoNotShareAHooksState(t *testing.T) {
	train := func(which ...int) (params []string) {
		require.NoError(t, spawn(t, lite.DDPSpawn{Hook: ddp.PowerSGD{Rank: 2, StartStep: 2}}, 2, func(l *lite.Lite) error {
			mine, err := byTurns(l, which...)
			if l.GlobalRank() == 0 {
				params = mine
			}
			return err
		}))
		return params
	}
	together := train(0, 1, 2)
	for i := range together {
		require.Equal(t, train(i), together[i:i+1], "model %d", i)
	}
}

// TestAModelWithNothingToTrain: where it is so on all ranks it needs no peers, and where it isn't every rank is told.
func TestAModelWithNothingToTrain(t *testing.T) {
	for name, frozen := range map[string]func(rank int) bool{
		"on all ranks":  func(int) bool { return true },
		"on rank 1":     func(rank int) bool { return rank == 1 },
		"but on rank 1": func(rank int) bool { return rank != 1 },
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			errs := make([]error, 2)
			err := spawn(t, lite.DDPSpawn{}, 2, func(l *lite.Lite) error {
				net := newHeavy()
				nn.RequiresGrad(net, !frozen(l.GlobalRank()))
				model, err := lite.Setup(l, net, net.Run)
				if err == nil {
					l.Group().Trace(100)
					model.Forward(torch.Randn(2, 64), 0)
					err = same("collectives in a forward pass", 0, len(l.Group().Trace(0)))
				}
				errs[l.GlobalRank()] = err
				return err
			})
			require.Less(t, time.Since(start), 5*time.Second)
			if name == "on all ranks" {
				require.NoError(t, err)
				return
			}
			for rank, err := range errs {
				require.ErrorContains(t, err, "the ranks' models differ: parameter 0 is a.weight float32[5000 64]", "rank %d", rank)
				require.ErrorContains(t, err, "without gradient", "rank %d", rank)
			}
		})
	}
}

// TestGroup: a program reaches what package ddp does, on several ranks and on one.
func TestGroup(t *testing.T) {
	for _, ranks := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(ranks), func(t *testing.T) {
			require.NoError(t, spawn(t, lite.DDPSpawn{}, ranks, func(l *lite.Lite) error {
				g := l.Group()
				last, err := g.Sub(ranks - 1)
				if err != nil {
					return err
				}
				if last != nil {
					defer last.Close()
				}
				return firstError(
					same("size", ranks, g.Size()),
					same("rank", l.GlobalRank(), g.Rank()),
					same("the group, asked for again", true, g == l.Group()),
					same("a product", []float64{0, 1, 2, 6}[ranks], g.AllReduce(torch.Full(float64(l.GlobalRank()+1), 1), dist.Product).Item()),
					same("in the sub-group", l.GlobalRank() == ranks-1, last != nil),
				)
			}))
		})
	}
}

// TestSyncBatchNormUnderLite: a converted model on a part of each batch learns what the model learns from whole batches, and its
// state has the same keys.
func TestSyncBatchNormUnderLite(t *testing.T) {
	train := func(ranks int) (keys []string, state map[string][]float32) {
		const batch = 12
		require.NoError(t, spawn(t, lite.DDPSpawn{}, ranks, func(l *lite.Lite) error {
			l.SeedEverything(1)
			net := newNormal()
			if n := ddp.ConvertSyncBatchNorm(net, l.Group()); n != 2 {
				return fmt.Errorf("%d converted, want 2", n)
			}
			opt := optim.NewSGD(nn.Parameters(net), 0.1)
			model, err := lite.Setup(l, net, net.Run, opt)
			if err != nil {
				return err
			}
			in := torch.Options{Generator: torch.NewGenerator(1)}
			part := func(t *torch.Tensor) *torch.Tensor { return t.Narrow(0, batch/ranks*l.GlobalRank(), batch/ranks) }
			for n := range 3 {
				torch.Scope(func() {
					x, y := in.Randn(batch, 1, 28, 28), in.RandInt(0, 10, batch)
					opt.ZeroGrad()
					l.Backward(F.CrossEntropy(model.Forward(part(x), n), part(y)))
					opt.Step()
				})
			}
			if l.GlobalRank() == 0 {
				keys, state = model.StateDict().Keys(), map[string][]float32{}
				for name, p := range model.StateDict().All() {
					state[name] = torch.ToSlice[float32](p.To(torch.Float32))
				}
			}
			return nil
		}))
		return keys, state
	}
	require.Equal(t, nn.StateDict(newNormal()).Keys(), func() []string { keys, _ := train(2); return keys }())
	_, whole := train(1)
	for _, ranks := range []int{2, 3} {
		_, parts := train(ranks)
		require.Len(t, parts, len(whole))
		for name := range whole {
			require.InDeltaSlice(t, whole[name], parts[name], 1e-4, "%d ranks, %s", ranks, name)
		}
	}
}

// TestJoinOnOneRank just runs its function.
func TestJoinOnOneRank(t *testing.T) {
	require.NoError(t, spawn(t, lite.DDPSpawn{}, 1, func(l *lite.Lite) error {
		net := newHeavy()
		model, err := lite.Setup(l, net, net.Run)
		if err != nil {
			return err
		}
		ran := 0
		l.Join(model, func() { ran++ })
		return same("times", 1, ran)
	}))
}
