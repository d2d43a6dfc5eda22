package lite_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func init() {
	jobs["ownsamplers"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, ownSamplers(ctx, l) }
	jobs["refusedloaders"] = func(_ context.Context, l *lite.Lite) (result, error) { return result{}, refusedLoaders(l) }
	jobs["augment"] = func(ctx context.Context, l *lite.Lite) (result, error) { return result{}, augment(ctx, l) }
	jobs["zip"] = zipRank
}

func TestSamplersOfTheProgramsOwn(t *testing.T) { onBoth(t, "ownsamplers", 2) }
func TestLoadersThatAreRefused(t *testing.T)    { onBoth(t, "refusedloaders", 2) }
func TestRanksDrawDifferently(t *testing.T)     { onBoth(t, "augment", 2) }

// backwards gives n-1, n-2, …, 0.
type backwards int

func (n backwards) Len() int { return int(n) }
func (n backwards) Indices() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := int(n) - 1; i >= 0 && yield(i); i-- {
		}
	}
}

// triples gives 0 1 2, 3 4 5, …
type triples int

func (n triples) Len() int { return int(n) }
func (n triples) Batches() iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		for i := range int(n) {
			if !yield([]int{3 * i, 3*i + 1, 3*i + 2}) {
				return
			}
		}
	}
}

// counting is the stream 0, 1, 2…
type counting struct{ n, rank, replicas int }

func (c counting) Shard(rank, replicas int) data.Iterable[*torch.Tensor] {
	return counting{c.n, rank, replicas}
}
func (c counting) Samples(context.Context) iter.Seq2[*torch.Tensor, error] {
	return func(yield func(*torch.Tensor, error) bool) {
		for i := c.rank; i < c.n && yield(torch.From([]int64{int64(i)}, 1), nil); i += c.replicas {
		}
	}
}

// unsharded is a stream that can't be divided.
type unsharded struct{ data.Iterable[*torch.Tensor] }

func ownSamplers(ctx context.Context, l *lite.Lite) error {
	none, exact := lite.LoaderOptions{}, lite.LoaderOptions{Exact: true}
	batches := data.Options{BatchSampler: triples(3)}
	mine := data.Options{Sampler: sampler.NewDistributed(8, 4, 1+l.GlobalRank(), sampler.DistributedOptions{NoShuffle: true})}
	stream, err := lite.SetupDataLoader(l, data.NewIterableLoader[*torch.Tensor](counting{5, 0, 1}, 2))
	if err != nil {
		return err
	}
	kept, err := lite.SetupDataLoader(l, data.NewIterableLoader[*torch.Tensor](unsharded{counting{2, 0, 1}}, 2), lite.LoaderOptions{KeepSampler: true})
	if err != nil {
		return err
	}
	read := func(ld *data.Loader[*torch.Tensor]) (all []int64) {
		for b, err := range ld.Batches(ctx) {
			if err != nil {
				return nil
			}
			all = append(all, torch.ToSlice[int64](b)...)
		}
		return all
	}
	return firstError(
		sampled(ctx, l, "a sampler", 5, data.Options{Sampler: backwards(5)}, none, [][]int64{{4, 2, 0}, {3, 1, 4}}),
		sampled(ctx, l, "a sampler, exactly", 5, data.Options{Sampler: backwards(5)}, exact, [][]int64{{4, 2, 0}, {3, 1}}),
		sampledIn(ctx, l, "a batch sampler", 0, 9, batches, none, [][]int64{{0, 1, 2, 6, 7, 8}, {3, 4, 5, 0, 1, 2}}),
		sampledIn(ctx, l, "a batch sampler, exactly", 0, 9, batches, exact, [][]int64{{0, 1, 2, 6, 7, 8}, {3, 4, 5}}),
		sampled(ctx, l, "a Distributed", 8, mine, none, [][]int64{{1, 5}, {2, 6}}, [][]int64{{1, 5}, {2, 6}}),
		same("a Sharder", [][]int64{{0, 2, 4}, {1, 3}}, lite.AllGather(l, read(stream))),
		same("a stream that shards itself", [][]int64{{0, 1}, {0, 1}}, lite.AllGather(l, read(kept))),
		zipped(ctx, l),
	)
}

// zipped: two loaders, each with its own part, walked together.
func zipped(ctx context.Context, l *lite.Lite) error {
	loaders, err := lite.SetupDataLoaders(l, []*data.Loader[*torch.Tensor]{data.NewLoader[*torch.Tensor](counted(6), 1), data.NewLoader[*torch.Tensor](counted(4), 1)})
	if err != nil {
		return err
	}
	var all []int64
	for p, err := range data.Zip(loaders[0], loaders[1]).Batches(ctx) {
		if err != nil {
			return err
		}
		all = append(all, torch.ToSlice[int64](p.First)[0], torch.ToSlice[int64](p.Second)[0])
	}
	return same("a Zip", [][]int64{{0, 0, 2, 2}, {1, 1, 3, 3}}, lite.AllGather(l, all))
}

func refusedLoaders(l *lite.Lite) error {
	plain := func() *data.Loader[*torch.Tensor] { return data.NewLoader[*torch.Tensor](counted(4), 1) }
	own := data.Options{Sampler: sampler.NewDistributed(4, 2, l.GlobalRank())}
	exact := lite.LoaderOptions{Exact: true}
	setup := func(ld *data.Loader[*torch.Tensor], o lite.LoaderOptions) error {
		_, err := lite.SetupDataLoader(l, ld, o)
		return err
	}
	_, zip := lite.SetupDataLoader(l, data.Zip(plain(), plain()))
	for want, err := range map[string]error{
		"give it a method Shard": setup(data.NewIterableLoader[*torch.Tensor](unsharded{counting{4, 0, 1}}, 1), lite.LoaderOptions{}),
		"Zip the results":        zip,
		"of an Iterable":         setup(data.NewIterableLoader[*torch.Tensor](counting{4, 0, 1}, 1), exact),
		"DistributedOptions":     setup(data.NewLoader[*torch.Tensor](counted(4), 1, own), exact),
		"exclude each other":     setup(plain(), lite.LoaderOptions{Exact: true, KeepSampler: true}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("want an error with %q, got %v", want, err)
		}
	}
	return nil
}

// drawn is a stream whose ranks read the same samples, and augment them at random.
type drawn struct{ own bool }

func (d drawn) Shard(int, int) data.Iterable[*torch.Tensor] { return d }
func (d drawn) Samples(ctx context.Context) iter.Seq2[*torch.Tensor, error] {
	return func(yield func(*torch.Tensor, error) bool) {
		for range 4 {
			x := torch.Rand(1)
			if d.own {
				x = torch.From([]float32{data.WorkerFrom(ctx).Rand.Float32()}, 1)
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// augment: what ranks draw for their samples differs, unless the workers are left alone.
func augment(ctx context.Context, l *lite.Lite) error {
	for _, workers := range []int{0, 1} {
		for _, alike := range []bool{false, true} {
			l.SeedEverything(3, lite.SeedOptions{NoWorkers: alike})
			loader, err := lite.SetupDataLoader(l, data.NewIterableLoader[*torch.Tensor](drawn{own: workers == 0}, 1, data.Options{Workers: workers}))
			if err != nil {
				return err
			}
			var mine []float32
			for b, err := range loader.Batches(ctx) {
				if err != nil {
					return err
				}
				mine = append(mine, torch.ToSlice[float32](b)...)
			}
			all := lite.AllGather(l, mine)
			for i := range all[0] {
				if (all[0][i] == all[1][i]) != alike {
					return fmt.Errorf("%d workers, alike %t: the ranks drew %v", workers, alike, all)
				}
			}
		}
	}
	return nil
}

// zipRank walks two loaders from where the checkpoint left off, and saves after some pairs.
func zipRank(ctx context.Context, l *lite.Lite) (got result, err error) {
	var saveAt, workers int
	if _, err := fmt.Sscanf(os.Getenv(envArg), "%d %d", &saveAt, &workers); err != nil {
		return got, err
	}
	l.SeedEverything(11)
	o := data.Options{Workers: workers}
	a, errA := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(72), 2, o))
	o.Shuffle = true
	b, errB := lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(72), 2, o))
	if err := errors.Join(errA, errB); err != nil {
		return got, err
	}
	loader := data.Zip(a, b)
	path := filepath.Join(os.Getenv(envDir), "zip.pt")
	state := lite.State{"loader": loader}
	if _, err := os.Stat(path); err == nil {
		if _, err := l.Load(path, state); err != nil {
			return got, err
		}
	}
	var mine []float64
	pairs := 0
	for p, err := range loader.Batches(ctx) {
		if err != nil {
			return got, err
		}
		for _, v := range append(torch.ToSlice[int64](p.First), torch.ToSlice[int64](p.Second)...) {
			mine = append(mine, float64(v))
		}
		mine = append(mine, torch.Rand().Item())
		if pairs++; pairs == saveAt {
			if err := l.Save(path, state); err != nil {
				return got, err
			}
			break
		}
	}
	got.Losses = lite.AllGather(l, mine)
	return got, nil
}

// TestZipIsResumed: a Zip that was stopped in mid-pass goes on as one that was not, on one rank and on two, and on another
// number of ranks after as many samples.
func TestZipIsResumed(t *testing.T) {
	for _, workers := range []int{0, 2} {
		for _, ranks := range []int{1, 2} {
			t.Run(fmt.Sprintf("workers %d, ranks %d", workers, ranks), func(t *testing.T) {
				zip := func(saveAt int, dir string) [][]float64 {
					return job{do: "zip", arg: fmt.Sprint(saveAt, " ", workers), strategy: "ddp_spawn", ranks: ranks, dir: dir}.run(t).Losses
				}
				whole := zip(0, t.TempDir())
				dir := t.TempDir()
				before, after := zip(6, dir), zip(0, dir)
				for rank := range ranks {
					require.Len(t, whole[rank], 72/2/ranks*5)
					require.Equal(t, whole[rank], append(before[rank], after[rank]...))
				}
			})
		}
	}
	dir := t.TempDir()
	job{do: "zip", arg: "6 0", strategy: "ddp_spawn", ranks: 2, dir: dir}.run(t)
	after := job{do: "zip", arg: "0 0", strategy: "ddp_spawn", ranks: 3, dir: dir}.run(t).Losses
	for rank := range 3 {
		require.Equal(t, []float64{float64(24 + rank), float64(27 + rank)}, after[rank][:2], "6 batches of 2 on 2 ranks are 24 samples")
		require.Len(t, after[rank], (12-4)*5)
	}
}
