package lite_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

// Behaviours of LightningLite that take several ranks to show.

func init() {
	jobs["samplers2"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, samplers2(ctx, l) }
	jobs["samplers4"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, samplers4(ctx, l) }
	jobs["collectives"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, collectives(ctx, l) }
	jobs["values"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, travel(l) }
	jobs["exact"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, exact(ctx, l) }
	jobs["random"] = randomRank
	jobs["overflow"] = overflowRank
}

func TestSamplersOfTwoRanks(t *testing.T)    { onBoth(t, "samplers2", 2) }
func TestSamplersOfFourRanks(t *testing.T)   { onBoth(t, "samplers4", 4) }
func TestCollectivesOfTwoRanks(t *testing.T) { onBoth(t, "collectives", 2) }
func TestGoValuesTravel(t *testing.T)        { onBoth(t, "values", 3) }
func TestExactShardingWithUnevenBatches(t *testing.T) {
	onBoth(t, "exact", 2)
}

func onBoth(t *testing.T, name string, ranks int) {
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			job{do: name, strategy: strategy, ranks: ranks, timeout: 20 * time.Second}.run(t)
		})
	}
}

// same is an error that names what was not as expected.
func same(what string, want, got any) error {
	if reflect.DeepEqual(want, got) {
		return nil
	}
	return fmt.Errorf("%s: want %v, got %v", what, want, got)
}

// counted is the data set 0, 1, 2...
type counted int

func (n counted) Len() int { return int(n) }

func (n counted) Get(_ context.Context, i int) (*torch.Tensor, error) {
	return torch.From([]int64{int64(i)}, 1), nil
}

// passes gives this rank's samples of some passes over 0..n-1.
func passes(ctx context.Context, l *lite.Lite, n, count int, o data.Options, lo lite.LoaderOptions) (all [][]int64, err error) {
	return passesIn(ctx, l, 2, n, count, o, lo)
}

// passesIn is passes with another size of batches.
func passesIn(ctx context.Context, l *lite.Lite, size, n, count int, o data.Options, lo lite.LoaderOptions) (all [][]int64, err error) {
	loader, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(n), size, o), lo)
	if err != nil {
		return nil, err
	}
	for range count {
		var pass []int64
		for batch, err := range loader.Batches(ctx) {
			if err != nil {
				return nil, err
			}
			pass = append(pass, torch.ToSlice[int64](batch)...)
		}
		all = append(all, pass)
	}
	return all, nil
}

// sampled compares the samples of all ranks, pass by pass.
func sampled(ctx context.Context, l *lite.Lite, what string, n int, o data.Options, lo lite.LoaderOptions, want ...[][]int64) error {
	return sampledIn(ctx, l, what, 2, n, o, lo, want...)
}

// sampledIn is sampled with another size of batches.
func sampledIn(ctx context.Context, l *lite.Lite, what string, size, n int, o data.Options, lo lite.LoaderOptions, want ...[][]int64) error {
	mine, err := passesIn(ctx, l, size, n, len(want), o, lo)
	if err != nil {
		return err
	}
	for i, pass := range mine {
		if err := same(fmt.Sprintf("%s, pass %d", what, i), want[i], lite.AllGather(l, pass)); err != nil {
			return err
		}
	}
	return nil
}

func samplers2(ctx context.Context, l *lite.Lite) error {
	var none lite.LoaderOptions
	shuffle := data.Options{Shuffle: true}
	// Before SeedEverything the seed is 0.
	mine, err := passes(ctx, l, 8, 2, shuffle, none)
	if err != nil {
		return err
	}
	first := lite.Broadcast(l, mine, 0)
	if err := same("a shuffled pass, rank 0", [][]int64{{4, 7, 2, 1}, {5, 2, 7, 1}}, first); err != nil {
		return err
	}
	if err := sampled(ctx, l, "8 samples", 8, data.Options{}, none, [][]int64{{0, 2, 4, 6}, {1, 3, 5, 7}}); err != nil {
		return err
	}
	if err := sampled(ctx, l, "5 samples", 5, data.Options{}, none, [][]int64{{0, 2, 4}, {1, 3, 0}}); err != nil {
		return err
	}
	if err := sampled(ctx, l, "exact", 5, data.Options{}, lite.LoaderOptions{Exact: true}, [][]int64{{0, 2, 4}, {1, 3}}); err != nil {
		return err
	}
	if err := sampled(ctx, l, "kept", 3, data.Options{}, lite.LoaderOptions{KeepSampler: true}, [][]int64{{0, 1, 2}, {0, 1, 2}}); err != nil {
		return err
	}
	l.SeedEverything(1)
	if err := sampled(ctx, l, "8 samples, shuffled", 8, shuffle, none, [][]int64{{5, 2, 7, 1}, {4, 6, 3, 0}}); err != nil {
		return err
	}
	if mine, err = passes(ctx, l, 8, 2, shuffle, none); err != nil {
		return err
	}
	return same("the second pass of rank 0", []int64{0, 7, 6, 1}, lite.Broadcast(l, mine[1], 0))
}

func samplers4(ctx context.Context, l *lite.Lite) error {
	var none lite.LoaderOptions
	if err := sampled(ctx, l, "10 samples", 10, data.Options{}, none, [][]int64{{0, 4, 8}, {1, 5, 9}, {2, 6, 0}, {3, 7, 1}}); err != nil {
		return err
	}
	return sampled(ctx, l, "1 sample", 1, data.Options{}, none, [][]int64{{0}, {0}, {0}, {0}})
}

func collectives(ctx context.Context, l *lite.Lite) error {
	mine := func() *torch.Tensor { return torch.From([]float32{float32(l.GlobalRank() + 1)}, 1) }
	for _, c := range []struct {
		name string
		op   []dist.Op
		want float64
	}{{"max", []dist.Op{dist.Max}, 2}, {"sum", []dist.Op{dist.Sum}, 3}, {"mean", []dist.Op{dist.Mean}, 1.5}, {"default", nil, 1.5}, {"min", []dist.Op{dist.Min}, 1}} {
		x := mine()
		if r := l.AllReduce(x, c.op...); r != x || x.Item() != c.want {
			return fmt.Errorf("AllReduce, %s: want %v in the same tensor, got %v", c.name, c.want, r.Item())
		}
	}
	whole := torch.From([]int64{int64(l.GlobalRank() + 1)}, 1)
	if got := l.AllReduce(whole).Item(); got != 1 {
		return fmt.Errorf("AllReduce: the mean of the integers 1 and 2 is %v, want 1", got)
	}
	list := lite.AllGather(l, torch.From([]int32{int32(l.GlobalRank())}))
	for rank, r := range list {
		if r.DType() != torch.Int32 || len(r.Shape()) != 1 || int(r.Item()) != rank {
			return fmt.Errorf("AllGather: rank %d gave %v", rank, r)
		}
	}
	uneven := lite.AllGather(l, torch.Zeros(l.GlobalRank()+1, 2))
	if err := same("shapes of AllGather", [][]int{{1, 2}, {2, 2}}, [][]int{uneven[0].Shape(), uneven[1].Shape()}); err != nil {
		return err
	}
	w := torch.Options{RequiresGrad: true}.Ones(3)
	g := l.AllGatherGrad(w.MulScalar(1))
	if err := same("shape of AllGather with gradients", []int{2, 3}, g.Shape()); err != nil {
		return err
	}
	g.MulScalar(float64(l.GlobalRank() + 1)).Sum().Backward()
	if err := same("gradient of AllGather", []float32{3, 3, 3}, torch.ToSlice[float32](w.Grad())); err != nil {
		return err
	}
	return zeroFirst(l)
}

// zeroFirst: the other ranks find what rank 0 has made.
func zeroFirst(l *lite.Lite) error {
	path := filepath.Join(os.Getenv(envDir), "made")
	return l.RankZeroFirst(func() error {
		if l.GlobalRank() == 0 {
			time.Sleep(200 * time.Millisecond)
			return os.WriteFile(path, nil, 0o644)
		}
		_, err := os.Stat(path)
		return err
	})
}

func travel(l *lite.Lite) error {
	rank := l.GlobalRank()
	type point struct {
		Name string
		At   []float64
	}
	p := point{fmt.Sprint("p", rank), []float64{float64(rank), 0.1}}
	big := int64(1)<<62 - 7
	return firstError(
		same("Sum of ints", 6, lite.Sum(l, rank+1)),
		same("Sum of large ints", big, lite.Sum(l, map[bool]int64{true: big - 3, false: 0}[rank == 0]+int64(rank))),
		same("Sum of floats, in the order of ranks", 0.6000000000000001, lite.Sum(l, []float64{0.1, 0.2, 0.3}[rank])),
		same("Broadcast", point{"p1", []float64{1, 0.1}}, lite.Broadcast(l, p, 1)),
		same("Broadcast of text", "from 2", lite.Broadcast(l, fmt.Sprint("from ", rank), 2)),
		same("AllGather", []point{{"p0", []float64{0, 0.1}}, {"p1", []float64{1, 0.1}}, {"p2", []float64{2, 0.1}}}, lite.AllGather(l, p)),
		same("AllGather of different lengths", []string{"", "x", "xx"}, lite.AllGather(l, "xx"[:rank])),
		mixedTravel(l),
		same("Broadcast of a tensor", []float32{1, 1}, torch.ToSlice[float32](lite.Broadcast(l, torch.Ones(2).MulScalar(float64(rank)), 1))),
	)
}

// mixedTravel: tensors travel wherever they stand, and what an interface holds; what would be lost is refused.
func mixedTravel(l *lite.Lite) error {
	rank := l.GlobalRank()
	type mixed struct {
		Name string
		In   *torch.Tensor
		More map[string][]*torch.Tensor
		Any  map[string]any
	}
	v := mixed{fmt.Sprint(rank), torch.Full(float64(rank), 2), map[string][]*torch.Tensor{"a": {torch.Ones(rank + 1), nil}},
		map[string]any{"step": rank, "list": []any{"x", 0.5}, "t": torch.Full(float64(rank), 1), "deep": map[string]any{"on": true}}}
	got := append(lite.AllGather(l, v), lite.Broadcast(l, v, 1))
	for i, g := range got {
		from := []int{0, 1, 2, 1}[i]
		err := firstError(
			same("a name", fmt.Sprint(from), g.Name),
			same("a field's tensor", []float32{float32(from), float32(from)}, torch.ToSlice[float32](g.In)),
			same("a tensor in a map", []int{from + 1}, g.More["a"][0].Shape()),
			same("a nil tensor", true, g.More["a"][1] == nil),
			same("a tensor in an interface", float64(from), g.Any["t"].(*torch.Tensor).Item()),
			same("numbers and text in interfaces", []any{from, []any{"x", 0.5}, map[string]any{"on": true}}, []any{g.Any["step"], g.Any["list"], g.Any["deep"]}),
		)
		if err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
	}
	type hidden struct{ Name, secret string }
	refused := torch.Try(func() { lite.AllGather(l, hidden{"a", "b"}) })
	if refused == nil || !strings.Contains(refused.Error(), "secret") {
		return fmt.Errorf("an unexported field: %v", refused)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// exact evaluates a model of several ranks on a part that is larger on one of them.
func exact(ctx context.Context, l *lite.Lite) error {
	l.SeedEverything(1)
	net := newTiny(4)
	model, err := lite.Setup(l, net, net.Forward)
	if err != nil {
		return err
	}
	loader, err := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(7), 1), lite.LoaderOptions{Exact: true})
	if err != nil {
		return err
	}
	model.Eval()
	seen := 0
	err = torch.NoGradOf(func() error {
		for _, err := range loader.Batches(ctx) {
			if err != nil {
				return err
			}
			model.Forward(torch.Ones(1, 4))
			seen++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := same("batches", []int{4, 3}, lite.AllGather(l, seen)); err != nil {
		return err
	}
	return same("samples in all", 7, lite.Sum(l, seen))
}

// randomRank draws from each of a rank's streams.
func randomRank(_ context.Context, l *lite.Lite) (got result, err error) {
	l.SeedEverything(42)
	own := torch.ToSlice[float32](torch.Options{Generator: l.RankGenerator()}.Rand(4))
	shared := torch.ToSlice[float32](torch.Rand(4))
	var mine []float64
	for _, v := range append(own, shared...) {
		mine = append(mine, float64(v))
	}
	mine = append(mine, l.Rand().Float64())
	got.Losses = lite.AllGather(l, mine)
	return got, nil
}

func TestRandomStreamsOfRanks(t *testing.T) {
	goroutines := job{do: "random", strategy: "ddp_spawn", ranks: 2}.run(t).Losses
	processes := job{do: "random", strategy: "ddp", ranks: 2}.run(t).Losses
	require.Equal(t, processes, goroutines)
	require.Len(t, processes, 2)
	for i := range 9 {
		if i >= 4 && i < 8 {
			require.Equal(t, processes[0][i], processes[1][i], "the default generator is alike")
		} else {
			require.NotEqual(t, processes[0][i], processes[1][i], "the rank's own streams differ")
		}
	}
}

// overflowRank trains in 16-mixed; in step 3 rank 1's loss overflows.
func overflowRank(_ context.Context, l *lite.Lite) (got result, err error) {
	l.SeedEverything(1)
	net := newTiny(8)
	opt := optim.NewAdam(nn.Parameters(net), 0.01)
	model, err := lite.Setup(l, net, net.Forward, opt)
	if err != nil {
		return got, err
	}
	on := torch.Options{Generator: l.RankGenerator()}
	var mine []float64
	for step := 1; step <= 5; step++ {
		opt.ZeroGrad()
		loss := model.Forward(on.Randn(8, 4)).Pow(2).Mean()
		if step == 3 && l.GlobalRank() == 1 {
			loss = loss.MulScalar(math.Inf(1))
		}
		l.Backward(loss)
		opt.Step()
		if opt.Skipped() {
			mine = append(mine, float64(step))
		}
		mine = append(mine, lite.ScaleOf(l))
	}
	got.Losses = lite.AllGather(l, mine)
	for name, p := range nn.StateDict(net).All() {
		for rank, other := range lite.AllGather(l, p.ToBytes()) {
			if !bytes.Equal(other, p.ToBytes()) || p.IsFinite().All().Item() != 1 {
				return got, fmt.Errorf("%s is not finite, or differs between rank %d and rank %d", name, l.GlobalRank(), rank)
			}
		}
	}
	return got, nil
}

// TestOverflowOnOneRankSkipsTheStepOnAll: scales and parameters stay equal.
func TestOverflowOnOneRankSkipsTheStepOnAll(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			got := job{do: "overflow", strategy: strategy, ranks: 2, env: []string{"LITE_PRECISION=16-mixed"}}.run(t).Losses
			want := []float64{65536, 65536, 3, 32768, 32768, 32768}
			require.Equal(t, [][]float64{want, want}, got)
		})
	}
}
