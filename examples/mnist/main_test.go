package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
	"github.com/golite/golite/torch/serial"
)

// asProgram makes the test binary the program itself: for tests that need processes.
const asProgram = "MNIST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	fixture.Main(m)
}

// few has a tenth of the images, for what does not depend on their number.
var few = digits{first(6000, all.train), first(1000, all.test)}

func first(n int, of func() data.Dataset[data.Example]) func() data.Dataset[data.Example] {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	return func() data.Dataset[data.Example] { return data.NewSubset(of(), at) }
}

// trained runs the program with flags, here, and returns what it printed.
func trained(t *testing.T, d digits, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), d, newFlags(), args, &out))
	return out.String()
}

func newFlags() *flag.FlagSet {
	fs := flag.NewFlagSet("mnist", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// line is one line of a -metrics file.
type line struct {
	Rank     *int
	Epoch    *int
	Step     *int
	Loss     json.Number
	Accuracy json.Number
}

func readMetrics(t *testing.T, path string) (steps []line, accuracy float64) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	accuracy = -1
	for _, l := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		d := json.NewDecoder(strings.NewReader(l))
		d.DisallowUnknownFields()
		var v line
		require.NoError(t, d.Decode(&v), l)
		if v.Accuracy == "" {
			require.NotNil(t, v.Rank, l)
			require.NotNil(t, v.Epoch, l)
			require.NotNil(t, v.Step, l)
			steps = append(steps, v)
			continue
		}
		require.Equal(t, -1.0, accuracy, "two lines have an accuracy")
		accuracy, err = v.Accuracy.Float64()
		require.NoError(t, err)
	}
	return steps, accuracy
}

func losses(t *testing.T, steps []line) []float64 {
	t.Helper()
	out := make([]float64, len(steps))
	for i, s := range steps {
		v, err := s.Loss.Float64()
		require.NoError(t, err)
		out[i] = float64(float32(v)) // the decimal is the shortest for a float32
	}
	return out
}

// parameters reads a checkpoint's model, in order.
func parameters(t *testing.T, path string) []fixture.Tensor {
	t.Helper()
	var out []fixture.Tensor
	torch.Scope(func() {
		model, err := serial.LoadStateDict(path, serial.LoadOptions{Key: "model"})
		require.NoError(t, err)
		for _, p := range model.All() {
			out = append(out, fixture.Tensor{DType: p.DType().String(), Shape: p.Shape(), Data: p.ToBytes()})
		}
	})
	return out
}

// The program's hundred first steps are PyTorch's: each loss, and the parameters that come out.
func TestHundredStepsArePyTorchs(t *testing.T) {
	file := fixture.Open(t, "testdata/train.json.gz")
	for _, name := range []string{"mlp/sgd", "cnn/adam"} {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, name)
			var want struct{ Losses fixture.Floats }
			c.Decode(t, &want)
			dir := t.TempDir()
			metrics, saved := filepath.Join(dir, "metrics"), filepath.Join(dir, "a.pt")
			model, _, _ := strings.Cut(name, "/")
			trained(t, digits{all.train, few.test}, "-model", model, "-seed", fmt.Sprint(c.Seed), "-max-steps", "100", "-threads", "1", "-metrics", metrics, "-checkpoint", saved)

			steps, accuracy := readMetrics(t, metrics)
			c.EqualFloats(t, "losses", want.Losses, losses(t, steps))
			require.Greater(t, accuracy, 0.85)
			got, keys := parameters(t, saved), c.Names("param.")
			require.Len(t, got, len(keys))
			for i, key := range keys { // the recorded model has other names for the same layers
				c.Equal(t, "param."+key, got[i])
			}
		})
	}
}

func TestMetricsAndOutput(t *testing.T) {
	dir := t.TempDir()
	metrics, saved := filepath.Join(dir, "metrics"), filepath.Join(dir, "a.pt")
	out := trained(t, few, "-batch-size", "2000", "-epochs", "2", "-metrics", metrics, "-checkpoint", saved)
	steps, accuracy := readMetrics(t, metrics)
	require.Len(t, steps, 6)
	for i, s := range steps {
		require.Equal(t, []int{0, i / 3, i + 1}, []int{*s.Rank, *s.Epoch, *s.Step})
	}
	require.Equal(t, fmt.Sprintf("test accuracy %.2f %%\nsaved %s\n", 100*accuracy, saved), out)

	trained(t, few, "-batch-size", "6000", "-epochs", "1", "-metrics", filepath.Join(dir, "one"))
	one, err := os.ReadFile(filepath.Join(dir, "one"))
	require.NoError(t, err)
	require.Regexp(t, `\A\{"rank":0,"epoch":0,"step":1,"loss":2\.[0-9]{4,7}\}\n\{"accuracy":0\.[0-9]{1,4}\}\n\z`, string(one))
	trained(t, few, "-batch-size", "6000", "-epochs", "1", "-metrics", filepath.Join(dir, "one"))
	twice, err := os.ReadFile(filepath.Join(dir, "one"))
	require.NoError(t, err)
	require.Equal(t, string(one)+string(one), string(twice), "the same run again is appended, and is the same")
}

// A run that ended at a step, or with an epoch, and went on from its file comes to where an undisturbed one comes.
func TestResumedRunIsTheUndisturbedOne(t *testing.T) {
	common := []string{"-model", "mlp", "-batch-size", "600", "-threads", "1"}
	with := func(args ...string) []string { return append(append([]string{}, common...), args...) }
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	trained(t, few, with("-epochs", "3", "-metrics", at("whole"), "-checkpoint", at("whole.pt"))...)
	whole, accuracy := readMetrics(t, at("whole"))
	require.Len(t, whole, 30)
	for name, first := range map[string][]string{
		"amid an epoch":     {"-epochs", "3", "-max-steps", "17"},
		"at an epoch's end": {"-epochs", "2"},
		"at its last step":  {"-epochs", "3", "-max-steps", "10"},
		"before its first":  {"-epochs", "3", "-max-steps", "11"},
		"after everything":  {"-epochs", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			metrics, saved := filepath.Join(t.TempDir(), "metrics"), filepath.Join(t.TempDir(), "a.pt")
			trained(t, few, with(append(first, "-metrics", metrics, "-checkpoint", saved)...)...)
			half, _ := readMetrics(t, metrics)
			require.NoError(t, os.Remove(metrics))
			out := trained(t, few, with("-epochs", "3", "-metrics", metrics, "-resume", saved, "-checkpoint", saved)...)
			require.Contains(t, out, fmt.Sprintf("step %d\n", len(half)))
			var rest []line
			got := accuracy
			if len(half) < 30 {
				rest, got = readMetrics(t, metrics)
			}
			require.Equal(t, whole, append(half, rest...))
			require.Equal(t, accuracy, got)
			require.Equal(t, parameters(t, at("whole.pt")), parameters(t, saved))
		})
	}
}

// The flags of the first start serve for all that follow.
func TestResumeAuto(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "a.pt")
	start := func(steps string) string {
		return trained(t, few, "-batch-size", "600", "-threads", "1", "-epochs", "3", "-max-steps", steps, "-checkpoint", saved, "-resume", "auto")
	}
	require.Contains(t, start("4"), "starting anew: there is no "+saved+" yet\n")
	require.Contains(t, start("12"), "resuming at epoch 0, step 4\n")
	require.Contains(t, start("12"), "resuming at epoch 1, step 12\n")

	require.NoError(t, os.WriteFile(saved, []byte("torn"), 0o644))
	err := run(t.Context(), few, newFlags(), []string{"-checkpoint", saved, "-resume", "auto"}, io.Discard)
	require.ErrorContains(t, err, saved, "a file that can't be read is no reason to start anew")
}

func TestRefusals(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pt")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-model", "rnn"}, `-model "rnn": want mlp or cnn`},
		{[]string{"train"}, `"train" is no flag`},
		{[]string{"-epochs", "-1"}, "can't be negative"},
		{[]string{"-max-steps", "-5"}, "can't be negative"},
		{[]string{"-batch-size", "0"}, "the batch size is 0"},
		{[]string{"-lr", "-1"}, "learning rate"},
		{[]string{"-precision", "8"}, "precision"},
		{[]string{"-devices", "two"}, "devices"},
		{[]string{"-resume", missing}, missing},
		{[]string{"-resume", "auto"}, "-resume auto goes on from what -checkpoint names"},
		{[]string{"-metrics", filepath.Join(missing, "m")}, "-metrics"},
		{[]string{"-epochs", "x"}, "invalid value"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			err := run(context.Background(), few, newFlags(), c.args, io.Discard)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, 1, lite.ExitCode(err))
		})
	}
}

func TestFlags(t *testing.T) {
	fs := newFlags()
	require.ErrorIs(t, run(t.Context(), few, fs, []string{"-h"}, io.Discard), flag.ErrHelp)
	for _, name := range []string{
		"accelerator", "devices", "num-nodes", "strategy", "precision",
		"model", "epochs", "batch-size", "lr", "seed", "checkpoint", "resume", "metrics", "threads", "max-steps",
	} {
		require.NotNil(t, fs.Lookup(name), name)
	}
}

// Where there is nothing left to train, the checkpoint that was asked for is written all the same.
func TestNothingToTrainIsSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	out := trained(t, few, "-epochs", "0", "-checkpoint", path)
	require.Contains(t, out, "saved "+path)
	require.Len(t, parameters(t, path), 4)
}
