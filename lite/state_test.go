package lite_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
	"github.com/golite/golite/torch/serial"
)

type (
	label  string
	loss   float32
	flag   bool
	ladder [3]int
)

// A pointer to whatever a State can save is filled with the same again, of its own type.
func TestPointersComeBack(t *testing.T) {
	nan := loss(math.NaN())
	for _, c := range []struct{ from, to any }{
		{new(7), new(int)}, {new(int8(-3)), new(int8)}, {new(uint16(9)), new(uint16)}, {new(uint64(math.MaxUint64)), new(uint64)}, {new(0.1), new(float64)}, {new(float32(0.1)), new(float32)},
		{new("x"), new(string)}, {new(label("best")), new(label)}, {new(flag(true)), new(flag)}, {new(loss(0.25)), new(loss)},
		{new(90 * time.Second), new(time.Duration)},
		{new([]float64{1, 0.5}), new([]float64)}, {new([]loss{0.5}), new([]loss)}, {new([]string{"a", ""}), new([]string)},
		{new([]label{"a"}), new([]label)}, {new([]byte{1, 2}), new([]byte)}, {new([]bool{true, false}), new([]bool)},
		{new([]time.Duration{time.Second}), new([]time.Duration)}, {new([]any{1, "a", 2.5}), new([]any)},
		{new([][]int{{1}, {}, {2, 3}}), new([][]int)}, {new(ladder{1, 2, 3}), new(ladder)}, {new([]int{}), new([]int)},
		{new(map[string]float64{"a": 1, "b": 0.5}), new(map[string]float64)}, {new(map[label][]int{"a": {1}}), new(map[label][]int)},
		{new(map[int]string{1: "a"}), new(map[int]string)}, {new(map[string]map[string]loss{"a": {"b": 1}}), new(map[string]map[string]loss)},
		{new(map[string]any{"a": 1, "b": "c"}), new(map[string]any)}, {new(map[int]float64{}), new(map[int]float64)},
	} {
		t.Run(fmt.Sprintf("%T %v", c.from, c.from), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.pt")
			on(t, lite.Config{}, func(l *lite.Lite) {
				require.NoError(t, l.Save(path, lite.State{"v": c.from}))
				_, err := l.Load(path, lite.State{"v": c.to})
				require.NoError(t, err)
				require.Equal(t, c.from, c.to)
			})
		})
	}
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		tensors := map[string]*torch.Tensor{"a": torch.Ones(2)}
		require.NoError(t, l.Save(path, lite.State{"nan": &nan, "tensors": &tensors}))
		got, back := loss(0), map[string]*torch.Tensor(nil)
		_, err := l.Load(path, lite.State{"nan": &got, "tensors": &back})
		require.NoError(t, err)
		require.True(t, got != got)
		require.Equal(t, []float32{1, 1}, torch.ToSlice[float32](back["a"]))
	})
}

// What is no pointer is replaced in the State, as in Fabric, and keeps its type where it can.
func TestPlainValuesAreReplacedInTheState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		require.NoError(t, l.Save(path, lite.State{"step": 7, "name": label("x"), "list": []float64{1, 2}, "kind": "text", "none": 3}))
		state := lite.State{"step": 0, "name": label(""), "list": []float64(nil), "kind": 5, "none": nil}
		rest, err := l.Load(path, state)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, lite.State{"step": 7, "name": label("x"), "list": []float64{1, 2}, "kind": "text", "none": 3}, state)
	})
}

// A Load that refuses one thing has changed no other: whatever is wrong, the rest would have fitted.
func TestARefusalChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		require.NoError(t, l.Save(path, lite.State{"a": nn.NewLinear(2, 2), "b": nn.NewLinear(3, 3), "n": 300, "words": []string{"x"},
			"t": torch.Ones(2), "by": map[string]any{"k": "text"}}))
		for name, c := range map[string]struct {
			key  string
			into any
			want string
		}{
			"a number that is too large": {"n", new(int8), "the value 300 doesn't fit a int8"},
			"another kind":               {"n", new(string), "want a string, found a int"},
			"another kind inside":        {"words", new([]int), "element 0: want a int, found a string"},
			"another kind in a map":      {"by", new(map[string]int), "under k: want a int, found a string"},
			"another length":             {"words", new([2]string), "found 1 elements"},
			"a nil pointer":              {"n", (*int)(nil), "nil"},
			"a module's shape":           {"b", nn.NewLinear(2, 3), "weight"},
			"no module":                  {"n", nn.NewLinear(2, 2), "want a module's state"},
			"a tensor's shape":           {"t", torch.Zeros(1), "want a tensor of shape [1], found one of [2]"},
			"no tensor":                  {"n", torch.Zeros(1), "want a tensor, found a int"},
			"no state":                   {"n", optim.NewSGD(nn.Parameters(nn.NewLinear(1, 1)), 0.1), "want the state of"},
			"a missing key":              {"z", new(int), "missing: z"},
		} {
			t.Run(name, func(t *testing.T) {
				a, words, vector := nn.NewLinear(2, 2), []string{"before"}, torch.Zeros(2)
				weight := a.Weight.ToBytes()
				state := lite.State{"a": a, "words": &words, "t": vector, "by": 1}
				state[c.key] = c.into
				_, err := l.Load(path, state)
				require.ErrorContains(t, err, c.want)
				require.Equal(t, weight, a.Weight.ToBytes())
				require.Equal(t, []string{"before"}, words)
				require.Equal(t, []float32{0, 0}, torch.ToSlice[float32](vector))
				if c.key != "by" {
					require.Equal(t, 1, state["by"])
				}
			})
		}
	})
}

// wrapper is a module whose own keys all begin as DDP's do.
type wrapper struct {
	nn.Base
	Module *nn.Linear
}

// The file that torch.save(ddp.state_dict()) writes loads into a bare module, as a file of its own and in a State.
func TestFileOfDDP(t *testing.T) {
	dir := t.TempDir()
	bare, whole := filepath.Join(dir, "bare.pt"), filepath.Join(dir, "whole.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		from := NewMLP()
		prefixed := serial.NewOrderedDict()
		for name, p := range nn.StateDict(from).All() {
			require.NoError(t, prefixed.Set("module."+name, p))
		}
		require.NoError(t, serial.Save(bare, prefixed))
		require.NoError(t, serial.Save(whole, map[string]any{"model": prefixed}))

		fresh := func() (*MLP, *lite.Net[*MLP]) {
			net := NewMLP()
			model, err := lite.Setup(l, net, net.Forward)
			require.NoError(t, err)
			return net, model
		}
		net, model := fresh()
		require.NoError(t, l.LoadRaw(bare, model))
		require.Equal(t, from.FC1.Weight.ToBytes(), net.FC1.Weight.ToBytes())
		net = NewMLP()
		require.NoError(t, l.LoadRaw(bare, net))
		require.Equal(t, from.FC1.Weight.ToBytes(), net.FC1.Weight.ToBytes())
		net, model = fresh()
		_, err := l.Load(whole, lite.State{"model": model})
		require.NoError(t, err)
		require.Equal(t, from.FC2.Bias.ToBytes(), net.FC2.Bias.ToBytes())

		// One key without the prefix, and it stays.
		require.NoError(t, prefixed.Set("extra", torch.Ones(1)))
		require.NoError(t, serial.Save(bare, prefixed))
		require.ErrorContains(t, l.LoadRaw(bare, NewMLP()), "module.fc1.weight")

		// Keys that are the module's own stay as well.
		w := &wrapper{Module: nn.NewLinear(2, 2)}
		require.NoError(t, l.Save(bare, nn.StateDict(w)))
		again := &wrapper{Module: nn.NewLinear(2, 2)}
		require.NoError(t, l.LoadRaw(bare, again))
		require.Equal(t, w.Module.Weight.ToBytes(), again.Module.Weight.ToBytes())
	})
}

func TestLoadRaw(t *testing.T) {
	path := filepath.Join(t.TempDir(), "opt.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		layer := nn.NewLinear(2, 2)
		opt := optim.NewSGD(nn.Parameters(layer), 0.125)
		require.NoError(t, l.Save(path, opt.StateDict()))
		other := optim.NewSGD(nn.Parameters(layer), 0.5)
		require.NoError(t, l.LoadRaw(path, other))
		require.Equal(t, 0.125, other.ParamGroups()[0].LR)
		require.ErrorContains(t, l.LoadRaw(path, 3), "want a model")
		require.ErrorIs(t, l.LoadRaw(path+"x", layer), os.ErrNotExist)
	})
}

// KeepStreams leaves the random streams as the run has them.
func TestKeepStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	on(t, lite.Config{}, func(l *lite.Lite) {
		draw := func() []any {
			return []any{torch.Rand().Item(), torch.Options{Generator: l.RankGenerator()}.Rand().Item(), l.Rand().Uint64()}
		}
		l.SeedEverything(5)
		opt := optim.NewSGD(nn.Parameters(nn.NewLinear(2, 2)), 0.1)
		require.NoError(t, l.Save(path, lite.State{"opt": opt}))
		first, second := draw(), draw()
		load := func(o lite.LoadOptions) {
			_, err := l.Load(path, lite.State{"opt": opt}, o)
			require.NoError(t, err)
		}
		load(lite.LoadOptions{})
		require.Equal(t, first, draw())
		load(lite.LoadOptions{KeepStreams: true})
		require.Equal(t, second, draw())
		_, err := l.Load(path, lite.State{}, lite.LoadOptions{})
		require.NoError(t, err)
		require.NotEqual(t, first, draw(), "nothing that is trained further was loaded")
	})
}

// Async and Keep: the files are whole when Run has returned, and no more than were to stay.
func TestSaveAsyncAndKeep(t *testing.T) {
	dir := t.TempDir()
	keep := serial.Keep{Pattern: filepath.Join(dir, "{step}.pt"), Last: 2}
	files := func() []string {
		all, err := filepath.Glob(filepath.Join(dir, "*.pt"))
		require.NoError(t, err)
		for i := range all {
			all[i] = filepath.Base(all[i])
		}
		return all
	}
	value := torch.Zeros(1000)
	on(t, lite.Config{}, func(l *lite.Lite) {
		for step := range 4 {
			value.Fill_(float64(step))
			require.NoError(t, l.Save(filepath.Join(dir, fmt.Sprint(step, ".pt")), lite.State{"v": value}, lite.SaveOptions{Keep: keep}))
		}
		require.Equal(t, []string{"2.pt", "3.pt"}, files())
		for step := 4; step < 7; step++ {
			value.Fill_(float64(step))
			require.NoError(t, l.Save(filepath.Join(dir, fmt.Sprint(step, ".pt")), lite.State{"v": value}, lite.SaveOptions{Keep: keep, Async: true}))
			value.Fill_(-1) // the copy is made
		}
	})
	require.Subset(t, files(), []string{"5.pt", "6.pt"})
	require.LessOrEqual(t, len(files()), 4, "what was being written while the others were counted stays until the next save")
	on(t, lite.Config{}, func(l *lite.Lite) {
		rest, err := l.Load(filepath.Join(dir, "6.pt"), nil)
		require.NoError(t, err)
		require.Equal(t, 6.0, rest["v"].(*torch.Tensor).Mean().Item())
	})
}

// A write that fails in the background is an error of the next Save, or of Run.
func TestAsyncErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	below := filepath.Join(file, "a.pt")
	err := lite.Run(ctx, lite.Config{}, func(_ context.Context, l *lite.Lite) error {
		require.NoError(t, l.Save(below, lite.State{"n": 1}, lite.SaveOptions{Async: true}))
		require.Error(t, l.Save(file+".pt", lite.State{"n": 1}))
		require.NoError(t, l.Save(file+".pt", lite.State{"n": 1}), "it is told once")
		return l.Save(below, lite.State{"n": 1}, lite.SaveOptions{Async: true})
	})
	require.Error(t, err)
	require.ErrorContains(t, err, "a.pt")
}

// onlySaves is a checkpoint I/O that can't write in the background.
type onlySaves struct{ saved []string }

func (s *onlySaves) Save(path string, _ any) error { s.saved = append(s.saved, path); return nil }
func (s *onlySaves) Load(path string) (any, error) { return nil, errors.New("not this one") }

func TestAsyncNeedsSaveAsync(t *testing.T) {
	io := &onlySaves{}
	on(t, lite.Config{Plugins: []any{io}}, func(l *lite.Lite) {
		require.NoError(t, l.Save("a", lite.State{"n": 1}))
		require.ErrorContains(t, l.Save("b", lite.State{"n": 1}, lite.SaveOptions{Async: true}), "it has no SaveAsync")
	})
	require.Equal(t, []string{"a"}, io.saved)
}
