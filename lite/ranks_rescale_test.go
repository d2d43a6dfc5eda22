package lite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/sampler"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

func init() {
	jobs["leg"] = func(ctx context.Context, l *lite.Lite) (got result, err error) {
		var s scan
		if err := json.Unmarshal([]byte(os.Getenv(envArg)), &s); err != nil {
			return got, err
		}
		return got, s.leg(ctx, l)
	}
}

// scan is a pass over a data set of the numbers 0 to N-1 by changing numbers of ranks.
type scan struct {
	N, Size       int
	Kind          string // of the sampler
	Shuffle, Drop bool
	Exact         bool
	Workers       int
	Stop          int // batches of each rank, after which the pass is saved and left; 0: it goes on to its end, and a second one follows
	Path          string
	Out           string // where each leg leaves what the ranks saw
}

// seen is what the ranks saw, each its own samples.
type seen struct{ First, Second [][]int }

func (s scan) loader(l *lite.Lite) (*data.Loader[*torch.Tensor], error) {
	o := data.Options{Shuffle: s.Shuffle, DropLast: s.Drop, Workers: s.Workers}
	lo := lite.LoaderOptions{Exact: s.Exact}
	size := s.Size
	switch s.Kind {
	case "own generator":
		o.Generator = torch.NewGenerator(21)
	case "own sampler":
		o.Sampler = backwards(s.N)
	case "own random sampler":
		o.Sampler = sampler.NewRandom(s.N, sampler.RandomOptions{Samples: s.N - 3})
	case "own batches":
		o, size = data.Options{BatchSampler: triples(s.N / 3)}, 0
	case "own distributed", "own distributed, dropping":
		o.Sampler = sampler.NewDistributed(s.N, l.WorldSize(), l.GlobalRank(), sampler.DistributedOptions{
			NoShuffle: !s.Shuffle, Seed: 77, DropLast: s.Kind != "own distributed",
		})
		o.Shuffle = false
	case "kept":
		lo.KeepSampler = true
	case "stream":
		return lite.SetupDataLoader(l, data.NewIterableLoader[*torch.Tensor](counting{s.N, 0, 1}, size), lo)
	}
	return lite.SetupDataLoader(l, data.NewLoader[*torch.Tensor](counted(s.N), size, o), lo)
}

// leg goes on with the pass where the checkpoint left it.
func (s scan) leg(ctx context.Context, l *lite.Lite) error {
	l.SeedEverything(13)
	loader, err := s.loader(l)
	if err != nil {
		return err
	}
	state := lite.State{"loader": loader}
	if _, err := l.Load(s.Path, state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pass := func(stop int) (mine []int, err error) {
		n := 0
		for b, err := range loader.Batches(ctx) {
			if err != nil {
				return nil, err
			}
			for _, v := range torch.ToSlice[int64](b) {
				mine = append(mine, int(v))
			}
			torch.Rand(3) // the model's dropout
			if n++; n == stop {
				return mine, l.Save(s.Path, state)
			}
		}
		return mine, nil
	}
	var got seen
	first, err := pass(s.Stop)
	if err != nil {
		return err
	}
	got.First = lite.AllGather(l, first)
	if s.Stop == 0 {
		second, err := pass(0)
		if err != nil {
			return err
		}
		got.Second = lite.AllGather(l, second)
	}
	if !l.IsGlobalZero() {
		return nil
	}
	text, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return os.WriteFile(s.Out, text, 0o644)
}

// run makes one leg on so many ranks: "ddp" in processes.
func (s scan) run(t *testing.T, strategy string, ranks int, log *zap.Logger) (got seen) {
	t.Helper()
	s.Out = filepath.Join(t.TempDir(), "seen")
	if strategy == "ddp" && ranks > 1 {
		arg, err := json.Marshal(s)
		require.NoError(t, err)
		job{do: "leg", arg: string(arg), strategy: strategy, ranks: ranks}.run(t)
	} else {
		cfg := lite.Config{Accelerator: "cpu", Strategy: strategy, Devices: lite.Devices(fmt.Sprint(ranks)), Logger: log}
		if ranks == 1 {
			cfg.Strategy = ""
		}
		require.NoError(t, lite.Run(ctx, cfg, s.leg))
	}
	text, err := os.ReadFile(s.Out)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &got))
	return got
}

// inOrder puts what ranks saw into the order that they share: every so many-th sample, or batch of three, is a rank's.
func (s scan) inOrder(ranks [][]int) (order []int) {
	size := 1
	if s.Kind == "own batches" {
		size = 3
	}
	for i := 0; i < len(ranks[0]); i += size {
		for _, mine := range ranks {
			if i < len(mine) {
				order = append(order, mine[i:i+size]...)
			}
		}
	}
	return order
}

// scanned is the order that the legs of one pass read together, and the order that a run left alone reads on as many
// ranks as the first. The last leg's second pass is checked to be whole.
func (s scan) scanned(t *testing.T, strategy string, worlds []int, stops []int) (got, undisturbed []int) {
	t.Helper()
	s.Path = filepath.Join(t.TempDir(), "alone.pt")
	undisturbed = s.inOrder(s.run(t, strategy, worlds[0], nil).First)
	s.Path = filepath.Join(t.TempDir(), "legs.pt")
	for i, world := range worlds {
		s.Stop = 0
		if i < len(stops) {
			s.Stop = stops[i]
		}
		leg := s.run(t, strategy, world, nil)
		got = append(got, s.inOrder(leg.First)...)
		if s.Stop == 0 {
			alone := s
			alone.Path = filepath.Join(t.TempDir(), "next.pt")
			require.Len(t, s.inOrder(leg.Second), len(s.inOrder(alone.run(t, strategy, world, nil).Second)), "the next pass is whole")
		}
	}
	return got, undisturbed
}

// TestEverySampleOnceWhateverTheRanks: a pass that changing numbers of ranks read is the pass of the first, sample by
// sample, and what is added at its end to divide evenly is the order from its start.
func TestEverySampleOnceWhateverTheRanks(t *testing.T) {
	for _, c := range []struct {
		worlds, stops []int
	}{
		{[]int{1, 2}, []int{5}}, {[]int{1, 3}, []int{5}}, {[]int{2, 1}, []int{3}}, {[]int{3, 1}, []int{2}}, {[]int{2, 3}, []int{3}},
		{[]int{3, 2}, []int{2}}, {[]int{4, 1, 4}, []int{2, 3}}, {[]int{1, 2, 2, 1}, []int{3, 1, 1}}, {[]int{2, 2}, []int{3}}, {[]int{1, 1}, []int{5}},
	} {
		for _, n := range []int{48, 55} {
			for _, o := range []scan{{}, {Shuffle: true}, {Shuffle: true, Drop: true}, {Drop: true}, {Shuffle: true, Exact: true}, {Shuffle: true, Workers: 2}} {
				o.N, o.Size = n, 2
				t.Run(fmt.Sprintf("%v, %d samples, %+v", c.worlds, n, o), func(t *testing.T) { o.check(t, "ddp_spawn", c.worlds, c.stops, n) })
			}
		}
	}
}

// check wants the undisturbed order of a data set, and what divides its rest evenly.
func (s scan) check(t *testing.T, strategy string, worlds, stops []int, n int) {
	t.Helper()
	got, alone := s.scanned(t, strategy, worlds, stops)
	last := worlds[len(worlds)-1]
	consumed := 0
	for i, stop := range stops {
		consumed += stop * worlds[i] * s.Size
	}
	each := (n - consumed + last - 1) / last
	if s.Drop {
		each = each / s.Size * s.Size
	}
	want := consumed + each*last
	if s.Exact {
		want = n
	}
	require.Len(t, got, want)
	if !s.Drop {
		once := slices.Sorted(slices.Values(got[:n]))
		for i := range n {
			require.Equal(t, i, once[i], "each sample once")
		}
	}
	whole := min(n, len(alone), len(got)) // with Drop the run left alone lacks the end of the order
	require.Equal(t, alone[:whole], got[:whole])
	require.Equal(t, got[:max(want-n, 0)], got[min(n, want):], "what is added to divide evenly")
}

func TestEverySampleOnceInProcesses(t *testing.T) {
	if raceDetector {
		t.Skip("processes are not what the race detector looks at")
	}
	for _, c := range []struct{ worlds, stops []int }{{[]int{2, 1, 3}, []int{3, 5}}, {[]int{1, 2}, []int{5}}} {
		scan{N: 49, Size: 2, Shuffle: true}.check(t, "ddp", c.worlds, c.stops, 49)
	}
}

// TestOwnSamplersWhateverTheRanks: so it is with samplers, batch samplers and generators of the program's own.
func TestOwnSamplersWhateverTheRanks(t *testing.T) {
	for _, worlds := range [][]int{{1, 2, 3}, {3, 2, 1}, {2, 3, 2}} {
		for _, kind := range []string{"own generator", "own sampler", "own random sampler", "own batches", "own distributed", "own distributed, dropping"} {
			for _, shuffle := range []bool{false, true} {
				if shuffle && (kind == "own sampler" || kind == "own random sampler" || kind == "own batches") {
					continue
				}
				t.Run(fmt.Sprint(worlds, kind, shuffle), func(t *testing.T) {
					s := scan{N: 60, Size: 2, Kind: kind, Shuffle: shuffle}
					got, alone := s.scanned(t, "ddp_spawn", worlds, []int{2, 1})
					n := map[string]int{"own random sampler": 57}[kind]
					if n == 0 {
						n = 60
					}
					if kind == "own distributed, dropping" {
						last, consumed := worlds[2], 2*(2*worlds[0]+worlds[1])
						n = consumed + (60-consumed)/last*last
						require.Len(t, got, n)
					}
					require.Equal(t, alone[:n], got[:n])
					require.Equal(t, got[:len(got)-n], got[n:], "what is added to divide evenly")
					require.Less(t, len(got)-n, map[bool]int{true: 3 * worlds[2], false: worlds[2]}[kind == "own batches"])
					require.Len(t, slices.Compact(slices.Sorted(slices.Values(got[:n]))), n, "each sample once")
				})
			}
		}
	}
}

func once(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// A loader whose sampler is kept reads on each rank what it reads on one.
func TestKeptSamplersWhateverTheRanks(t *testing.T) {
	for _, worlds := range [][]int{{1, 2}, {2, 1}, {2, 3}} {
		s := scan{N: 12, Size: 2, Kind: "kept", Shuffle: true, Path: filepath.Join(t.TempDir(), "kept.pt"), Stop: 2}
		before := s.run(t, "ddp_spawn", worlds[0], nil).First
		s.Stop = 0
		after := s.run(t, "ddp_spawn", worlds[1], nil).First
		require.Len(t, after, worlds[1])
		for _, rest := range after {
			require.Equal(t, once(12), slices.Sorted(slices.Values(append(slices.Clone(before[0]), rest...))), "%v", worlds)
		}
	}
}

// What can't be exact is logged: the parts of an Iterable are those of the old number of ranks.
func TestAnIterableOnOtherRanksIsLogged(t *testing.T) {
	for _, c := range []struct {
		kind string
		stop int
		want string
	}{{"stream", 2, `the pass of "loader" is not exact`}, {"", 2, "divide what is left"}} {
		s := scan{N: 24, Size: 2, Kind: c.kind, Path: filepath.Join(t.TempDir(), "stream.pt"), Stop: c.stop}
		s.run(t, "ddp_spawn", 2, nil)
		var out bytes.Buffer
		log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}), zapcore.AddSync(&out), zap.WarnLevel))
		s.Stop = 0
		s.run(t, "ddp_spawn", 3, log)
		text := out.String()
		require.Contains(t, text, "another number of ranks")
		require.Equal(t, c.kind == "stream", bytes.Contains(out.Bytes(), []byte("is not exact")), text)
	}
}
