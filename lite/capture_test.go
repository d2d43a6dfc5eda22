package lite

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/lite/accelerator/builtin"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/nn"
	F "github.com/golite/golite/torch/nn/functional"
	"github.com/golite/golite/torch/optim"
)

// taped is a capture whose recording is a function that is called again: no GPU is needed to see when it is made, replayed and left alone.
type taped struct {
	*capture[batchOf, *torch.Tensor]
	warmed, recorded, replayed, reset int
	failing                           error
	logs                              *observer.ObservedLogs
}

type batchOf struct {
	X    *torch.Tensor
	Note string
}

// tapedGraph runs a step again, on the tensors that it was recorded with.
type tapedGraph struct {
	t *taped
	n int // which recording it is
}

func (g *tapedGraph) Replay() {
	g.t.replayed++
	r := g.t.made[g.n]
	g.t.l.recording = true
	defer func() { g.t.l.recording = false }()
	again := func() {
		r.out.Copy_(torch.EnableGradOf(func() *torch.Tensor {
			out := g.t.step(batchOf{X: r.in[0]})
			if scaler := g.t.l.precision.Scaler(); scaler != nil {
				scaler.Update()
			}
			return out
		}))
	}
	for _, s := range g.t.stepped {
		inner := again
		again = func() { optim.Recording(s.o, inner) }
	}
	again()
}

func (g *tapedGraph) Reset() { g.t.reset++ }

func tape(l *Lite, step func(batchOf) *torch.Tensor) *taped {
	core, logs := observer.New(zap.WarnLevel)
	l.log = zap.New(core)
	t := &taped{capture: &capture[batchOf, *torch.Tensor]{l: l, step: step, said: map[string]bool{}}, logs: logs}
	t.newGraphs = func() accelerator.Graphs { return t }
	t.graphs = t
	return t
}

func (t *taped) Warm(f func()) { t.warmed++; f() }

func (t *taped) Record(f func(), _ ...*torch.Generator) (accelerator.Graph, error) {
	t.recorded++
	defer t.parameters()() // what is recorded doesn't run
	err := torch.Try(f)
	return &tapedGraph{t, len(t.made)}, errors.Join(err, t.failing)
}

// parameters returns a function that gives the optimizers' parameters the values that they have now.
func (t *taped) parameters() (restore func()) {
	var params, values []*torch.Tensor
	for _, s := range t.stepped {
		for _, p := range s.o.Tensors() {
			params, values = append(params, p), append(values, p.Detach().Clone())
		}
	}
	return func() {
		torch.NoGrad(func() {
			for i, p := range params {
				p.Copy_(values[i])
			}
		})
	}
}

func onCPU(t *testing.T, f func(l *Lite)) {
	t.Helper()
	require.NoError(t, Run(t.Context(), Config{}, func(_ context.Context, l *Lite) error { f(l); return nil }))
}

// recordingCPU is a CPU whose steps can be recorded, and whose recordings do nothing.
type recordingCPU struct {
	builtin.CPU
	calls *[]string
}

type stepGraph struct{ calls *[]string }

func (recordingCPU) Name() string                               { return "recording" }
func (r recordingCPU) Recorder(torch.Device) accelerator.Graphs { r.note("Recorder"); return r }
func (r recordingCPU) Warm(f func())                            { r.note("Warm"); f() }
func (r recordingCPU) note(call string) {
	if r.calls != nil {
		*r.calls = append(*r.calls, call)
	}
}
func (g stepGraph) Reset()  { *g.calls = append(*g.calls, "Reset") }
func (g stepGraph) Replay() { *g.calls = append(*g.calls, "Replay") }
func (r recordingCPU) Record(f func(), _ ...*torch.Generator) (accelerator.Graph, error) {
	r.note("Record")
	return stepGraph{r.calls}, torch.Try(f)
}

// Steps are recorded on whatever can record them, and run as they are under a strategy that can't be recorded.
func TestCaptureOnAnotherAccelerator(t *testing.T) {
	var calls []string
	cfg := Config{Accelerator: recordingCPU{calls: &calls}}
	require.NoError(t, Run(t.Context(), cfg, func(_ context.Context, l *Lite) error {
		step := Capture(l, func(x *torch.Tensor) *torch.Tensor { return x.MulScalar(2) })
		for range captureWarmup + 2 {
			step(torch.Ones(2))
		}
		return nil
	}))
	require.Equal(t, []string{"Recorder", "Warm", "Warm", "Warm", "Record", "Replay", "Replay"}, calls)

	core, logs := observer.New(zap.WarnLevel)
	cfg = Config{Accelerator: recordingCPU{}, Devices: "2", Strategy: "ddp_spawn", Logger: zap.New(core)}
	require.NoError(t, Run(t.Context(), cfg, func(_ context.Context, l *Lite) error {
		step := Capture(l, func(x *torch.Tensor) *torch.Tensor { return x.MulScalar(2) })
		if r := torch.ToSlice[float32](step(torch.Ones(2))); r[0] != 2 || r[1] != 2 {
			return fmt.Errorf("the step gives %v", r)
		}
		return nil
	}))
	require.Equal(t, 2, logs.FilterMessageSnippet("several ranks average their gradients in it").Len())
}

func TestCaptureRecordsOnceAndReplays(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.MulScalar(2).Sum() })
		var results []*torch.Tensor
		for i := range 8 {
			r := tp.call(batchOf{X: torch.Full(float64(i), 3)})
			require.Equal(t, float64(6*i), r.Item())
			results = append(results, r)
		}
		require.Equal(t, []int{captureWarmup, 1, 8 - captureWarmup}, []int{tp.warmed, tp.recorded, tp.replayed})
		require.Equal(t, 36.0, results[6].Item(), "a result is not written by the next replay")
		require.Zero(t, tp.logs.Len())
	})
}

func TestCaptureFallsBackForOtherBatchesAndSaysSoOnce(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		for range captureWarmup + 1 {
			tp.call(batchOf{X: torch.Ones(3)})
		}
		replayed := tp.replayed
		for i := range captureSeen {
			require.Equal(t, 2.0, tp.call(batchOf{X: torch.Ones(2)}).Item())
			require.Equal(t, 3.0, tp.call(batchOf{X: torch.Ones(3), Note: fmt.Sprint("another", i)}).Item())
		}
		require.Equal(t, replayed, tp.replayed)
		require.Equal(t, 1, tp.logs.Len())
		require.Contains(t, tp.logs.All()[0].Message, "a tensor is float32[2], not float32[3]")
		tp.call(batchOf{X: torch.Ones(3)})
		require.Equal(t, replayed+1, tp.replayed, "those that fit are replayed on")

		require.Equal(t, 2.0, tp.call(batchOf{X: torch.Ones(2)}).Item())
		require.Equal(t, []int{2, replayed + 2}, []int{tp.recorded, tp.replayed}, "a kind that comes often has a recording of its own")
		require.Equal(t, 6.0, tp.call(batchOf{X: torch.Full(2, 3)}).Item(), "and the first kind goes on with its own")
		require.Equal(t, 1, tp.logs.Len())
	})
}

func TestCaptureRecordsFewKindsOfBatches(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		for i := range 200 {
			n := 1 + i%10
			require.Equal(t, float64(n), tp.call(batchOf{X: torch.Ones(n)}).Item())
		}
		require.Equal(t, captureGraphs, tp.recorded)
		for i := range 200 {
			tp.call(batchOf{X: torch.Ones(100 + i)})
		}
		require.LessOrEqual(t, len(tp.seen), 4*captureGraphs, "what is remembered of batches that are all different is bounded")
	})
}

// A second recording that fails leaves the first.
func TestCaptureOfAnotherKindMayFail(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		for range captureWarmup + 1 {
			tp.call(batchOf{X: torch.Ones(3)})
		}
		tp.failing = errors.New("out of memory")
		for range captureSeen + 3 {
			require.Equal(t, 2.0, tp.call(batchOf{X: torch.Ones(2)}).Item())
		}
		require.Equal(t, []int{2, 1}, []int{tp.recorded, tp.replayed}, "it is not tried again")
		require.Contains(t, tp.logs.All()[1].Message, "out of memory")
		tp.call(batchOf{X: torch.Ones(3)})
		require.Equal(t, 2, tp.replayed)
	})
}

func TestCaptureThatFailsRunsTheStepAsItIs(t *testing.T) {
	onCPU(t, func(l *Lite) {
		tp := tape(l, func(b batchOf) *torch.Tensor { return b.X.Sum() })
		tp.failing = errors.New("the step waits for the device")
		for range captureWarmup + 4 {
			require.Equal(t, 3.0, tp.call(batchOf{X: torch.Ones(3)}).Item())
		}
		require.Equal(t, []int{1, 0}, []int{tp.recorded, tp.replayed})
		require.Equal(t, 1, tp.logs.Len())
		require.Contains(t, tp.logs.All()[0].Message, "waits for the device")
	})
}

func TestCaptureHeedsTheOptimizers(t *testing.T) {
	onCPU(t, func(l *Lite) {
		net := nn.NewLinear(3, 1)
		build := func(opt optim.Optimizer) *taped {
			require.NoError(t, l.SetupOptimizers(opt))
			return tape(l, func(b batchOf) *torch.Tensor {
				opt.ZeroGrad()
				loss := net.Forward(b.X).Sum()
				l.Backward(loss)
				opt.Step()
				return loss.Detach()
			})
		}
		b := batchOf{X: torch.Ones(1, 3)}
		plain := build(optim.NewAdam(nn.Parameters(net), 0.1))
		for range captureWarmup + 2 {
			plain.call(b)
		}
		require.Zero(t, plain.recorded)
		require.Contains(t, plain.logs.All()[0].Message, "give it Fused")

		sgd := optim.NewSGD(nn.Parameters(net), 0.1)
		changing := build(sgd)
		for i := range captureWarmup + 2*captureMin {
			if i == captureWarmup+captureMin+1 {
				sgd.ParamGroups()[0].LR = 0.01
			}
			changing.call(b)
		}
		require.Equal(t, []int{2, 1}, []int{changing.recorded, changing.reset}, "a new rate is recorded anew")
		require.Zero(t, changing.logs.Len())
		sgd.ParamGroups()[0].LR = 0.001
		changing.replays = 1
		changing.call(b)
		require.Contains(t, changing.logs.All()[0].Message, "settings changed after 1 steps")

	})
}

// signs is a user's rule: each weight goes by the sign of a running mean.
type signs struct{}

func (signs) Name() string                         { return "Signs" }
func (signs) Defaults() map[string]any             { return map[string]any{"lr": 0.01} }
func (signs) Slots() []optim.Slot                  { return []optim.Slot{{Name: "exp_avg"}} }
func (signs) Capturable(g *optim.ParamGroup) error { return nil }

func (signs) Update(g *optim.ParamGroup, b *optim.Batch) {
	aten.ForeachLerpScalar_(b.State("exp_avg"), b.Grads, torch.Float(0.1))
	aten.ForeachAddList_(b.Params, aten.ForeachSign(b.State("exp_avg")), torch.Float(-g.LR))
}

// A user's rule that can be captured is, with the weights of steps that are not.
func TestCaptureOfAUsersRule(t *testing.T) {
	train := func(captured bool) (w []float32) {
		onCPU(t, func(l *Lite) {
			l.SeedEverything(1)
			net := nn.NewLinear(3, 1)
			opt := optim.New(signs{}, optim.Group{Params: nn.Parameters(net)})
			require.NoError(t, l.SetupOptimizers(opt))
			step := func(b batchOf) *torch.Tensor {
				opt.ZeroGrad()
				loss := net.Forward(b.X).Pow(2).Sum()
				l.Backward(loss)
				opt.Step()
				return loss.Detach()
			}
			tp := tape(l, step)
			if captured {
				step = tp.call
			}
			for i := range captureWarmup + 4 {
				step(batchOf{X: torch.Full(float64(i-3), 1, 3)})
			}
			require.Equal(t, captured, tp.replayed > 0)
			require.Zero(t, tp.logs.Len())
			w = torch.ToSlice[float32](net.Weight.Detach())
		})
		return w
	}
	require.Equal(t, train(false), train(true))
}

// Setup refuses an optimizer that no constructor has made, with the remedy, and nothing of it is kept.
func TestSetupRefusesAnOptimizerThatWasNotMade(t *testing.T) {
	type own struct{ optim.Base }
	onCPU(t, func(l *Lite) {
		for _, opt := range []optim.Optimizer{&own{}, &optim.Adam{}, &struct{ *optim.Base }{}, struct{ optim.Optimizer }{}} {
			var e *torch.Error
			net := nn.NewLinear(1, 1)
			_, err := Setup(l, net, net.Forward, opt)
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, "lite: Setup: optimizer 0 (")
			require.ErrorContains(t, err, "was not made by optim.New or a constructor such as optim.NewAdam")
			require.Empty(t, l.steppers)
		}
	})
}

// A fused step has the rate that its group has when it is replayed.
func TestCaptureFollowsASchedule(t *testing.T) {
	const calls = captureWarmup + 12
	train := func(captured bool) (w []float32) {
		onCPU(t, func(l *Lite) {
			l.SeedEverything(1)
			net := nn.NewLinear(3, 1)
			opt := optim.NewSGD(nn.Parameters(net), 0.5, optim.SGDOptions{Fused: true})
			require.NoError(t, l.SetupOptimizers(opt))
			sched := optim.NewExponentialLR(opt, 0.5)
			step := func(b batchOf) *torch.Tensor {
				opt.ZeroGrad()
				loss := net.Forward(b.X).Square().Sum()
				l.Backward(loss)
				opt.Step()
				return loss.Detach()
			}
			if captured {
				tp := tape(l, step)
				step = tp.call
				defer func() {
					require.Equal(t, []int{1, calls - captureWarmup, 0}, []int{tp.recorded, tp.replayed, tp.logs.Len()})
				}()
			}
			for i := range calls {
				step(batchOf{X: torch.Full(0.1*float64(i+1), 1, 3)})
				sched.Step()
			}
			w = torch.ToSlice[float32](net.Weight.Detach())
		})
		return w
	}
	require.Equal(t, train(false), train(true))
}

// After LoadStateDict the optimizer has other tensors than those that the graph writes to, and may lack some, which the first step makes.
func TestCaptureIsMadeAnewWhenAStateIsLoaded(t *testing.T) {
	onCPU(t, func(l *Lite) {
		net := nn.NewLinear(3, 1)
		opt := optim.NewAdam(nn.Parameters(net), 0.1, optim.AdamOptions{Fused: true})
		require.NoError(t, l.SetupOptimizers(opt))
		tp := tape(l, func(b batchOf) *torch.Tensor {
			opt.ZeroGrad()
			loss := net.Forward(b.X).Sum()
			l.Backward(loss)
			opt.Step()
			return loss.Detach()
		})
		b := batchOf{X: torch.Ones(1, 3)}
		for range captureWarmup + 2 {
			tp.call(b)
		}
		require.Equal(t, []int{captureWarmup, 1, 2}, []int{tp.warmed, tp.recorded, tp.replayed})
		require.NoError(t, opt.LoadStateDict(opt.StateDict()))
		tp.call(b)
		require.Equal(t, []int{captureWarmup + 1, 1, 2, 1}, []int{tp.warmed, tp.recorded, tp.replayed, tp.reset}, "one step runs as it is")
		tp.call(b)
		require.Equal(t, []int{captureWarmup + 1, 2, 3}, []int{tp.warmed, tp.recorded, tp.replayed})
		require.Zero(t, tp.logs.Len())
	})
}

// A recording that fails between the scaler's division and the step leaves scaler, gradients and counts as if it had never been tried.
func TestCaptureThatFailsMidwayChangesNothing(t *testing.T) {
	const calls = captureWarmup + 4
	train := func(captured bool, unfinished error) (w []float32, scale float64, messages []string) {
		require.NoError(t, Run(t.Context(), Config{Precision: "16-mixed"}, func(_ context.Context, l *Lite) error {
			l.SeedEverything(1)
			net := nn.NewLinear(3, 1)
			opt := optim.NewSGD(nn.Parameters(net), 64, optim.SGDOptions{Fused: true})
			model, err := Setup(l, net, net.Forward, opt)
			require.NoError(t, err)
			n := 0
			step := func(b batchOf) *torch.Tensor {
				loss := model.Forward(b.X).Float().Sum().MulScalar(0.001) // float16 holds it 65536 times
				l.Backward(loss)
				l.ClipGradNorm(model, opt, 1e6)
				if l.recording && unfinished != nil {
					torch.Fail("lite.test", "%v", unfinished)
				}
				opt.Step()
				opt.ZeroGrad()
				return loss.Detach()
			}
			if captured {
				tp := tape(l, step)
				step = tp.call
				defer func() {
					require.Equal(t, []int{1, 0}, []int{tp.recorded, tp.replayed})
					for _, m := range tp.logs.All() {
						messages = append(messages, m.Message)
					}
				}()
			}
			for range calls {
				n++
				step(batchOf{X: torch.Full(float64(n), 1, 3)})
			}
			scale = l.precision.Scaler().CurrentScale()
			w = torch.ToSlice[float32](net.Weight.Detach())
			return nil
		}))
		return w, scale, messages
	}
	w, scale, _ := train(false, nil)
	got, gotScale, messages := train(true, errors.New("half way"))
	require.Equal(t, w, got)
	require.Equal(t, scale, gotScale)
	require.Len(t, messages, 1)
	require.Contains(t, messages[0], "half way")
}

// A graph must make its gradients itself: those of an earlier step are freed by whoever drops them, and it would write to what they were.
func TestCaptureRefusesToAddToOlderGradients(t *testing.T) {
	onCPU(t, func(l *Lite) {
		net := nn.NewLinear(3, 1)
		opt := optim.NewSGD(nn.Parameters(net), 0.1)
		require.NoError(t, l.SetupOptimizers(opt))
		tp := tape(l, func(b batchOf) *torch.Tensor {
			loss := net.Forward(b.X).Sum()
			l.Backward(loss)
			opt.Step()
			return loss.Detach()
		})
		for range captureWarmup + 1 {
			tp.call(batchOf{X: torch.Ones(1, 3)})
		}
		require.Equal(t, []int{1, 0, 1}, []int{tp.recorded, tp.replayed, tp.reset})
		require.Contains(t, tp.logs.All()[0].Message, "call ZeroGrad in it")
	})
}

func TestCaptureOnTheCPUIsTheStep(t *testing.T) {
	onCPU(t, func(l *Lite) {
		calls := 0
		step := Capture(l, func(n int) int { calls++; return 2 * n })
		for i := range 5 {
			require.Equal(t, 2*i, step(i))
		}
		require.Equal(t, 5, calls)
	})
}

// A captured training step gives what the step itself gives, an overflow of the scaler and a rate that changes with every step included.
func TestCaptureTrainsAsTheStepDoes(t *testing.T) {
	if !cuda.IsAvailable() {
		t.Skip("skipped: no CUDA device")
	}
	for _, precision := range []string{"32-true", "16-mixed", "bf16-mixed"} {
		t.Run(precision, func(t *testing.T) {
			want, scale := trainOnGPU(t, precision, false)
			got, gotScale := trainOnGPU(t, precision, true)
			require.InDeltaSlice(t, want, got, 1e-5)
			require.Equal(t, scale, gotScale)
			if precision == "16-mixed" {
				require.Less(t, scale, 65536.0, "the batch that overflows has halved the scale")
			}
		})
	}
}

// trainOnGPU trains 20 steps, the twelfth on a batch that overflows float16. A captured step must have been replayed for all but the warm-up.
func trainOnGPU(t *testing.T, precision string, captured bool) (w []float32, scale float64) {
	cfg := Config{Accelerator: "cuda", Devices: "1", Precision: precision}
	require.NoError(t, Run(t.Context(), cfg, func(_ context.Context, l *Lite) error {
		core, logs := observer.New(zap.WarnLevel)
		l.log = zap.New(core)
		l.SeedEverything(1)
		net := nn.NewLinear(8, 4)
		opt := optim.NewAdam(nn.Parameters(net), 0.01, optim.AdamOptions{Fused: true})
		model, err := Setup(l, net, net.Forward, opt)
		if err != nil {
			return err
		}
		sched := optim.NewExponentialLR(opt, 0.9)
		ran := 0
		step := func(b batchOf) *torch.Tensor {
			ran++
			opt.ZeroGrad()
			loss := F.MSELoss(model.Forward(b.X).Float(), b.X.Narrow(1, 0, 4))
			l.Backward(loss)
			l.ClipGradNorm(model, opt, 1)
			opt.Step()
			return loss.Detach()
		}
		if captured {
			step = Capture(l, step)
		}
		const steps = 20
		for i := range steps {
			torch.Scope(func() {
				x := torch.Options{Device: l.Device()}.Randn(16, 8)
				if i == 11 && precision == "16-mixed" {
					x = x.MulScalar(1e5)
				}
				step(batchOf{X: x})
				sched.Step()
			})
		}
		require.Zero(t, logs.Len(), "nothing fell back: %v", logs.All())
		if captured {
			require.Equal(t, captureWarmup+1, ran, "all other steps were replays")
		}
		w = torch.ToSlice[float32](net.Weight.Detach().CPU())
		if s := l.precision.Scaler(); s != nil {
			scale = s.CurrentScale()
		}
		return nil
	}))
	return w, scale
}

// What can't be recorded leaves the GPU as it was: random numbers go on, and memory that another stream uses is given back.
func TestCaptureThatFailsOnTheGPU(t *testing.T) {
	if !cuda.IsAvailable() {
		t.Skip("skipped: no CUDA device")
	}
	require.NoError(t, Run(t.Context(), Config{Accelerator: "cuda", Devices: "1"}, func(_ context.Context, l *Lite) error {
		core, logs := observer.New(zap.WarnLevel)
		l.log = zap.New(core)
		l.SeedEverything(1)
		drop := nn.NewDropout(0.5)
		step := Capture(l, func(b batchOf) *torch.Tensor {
			y := drop.Forward(b.X).Sum()
			_ = y.Item()
			return y
		})
		for range captureWarmup + 3 {
			torch.Scope(func() { step(batchOf{X: torch.Options{Device: l.Device()}.Ones(1000)}) })
		}
		require.Equal(t, 1, logs.Len())
		require.Contains(t, logs.All()[0].Message, "runs as it is")
		return nil
	}))
}
