package zero_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/zero"
)

const recorded = "../../../ddp/shard/testdata/"

// unpack unpacks a recorded folder.
func unpack(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(recorded + "checkpoints/" + name + ".tar.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		require.NoError(t, err)
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
}

func dict(t testing.TB, v any, keys ...any) *pickle.Dict {
	t.Helper()
	for _, k := range keys {
		d, ok := v.(*pickle.Dict)
		require.True(t, ok)
		v, ok = d.Get(k)
		require.True(t, ok, "no %v", k)
	}
	d, ok := v.(*pickle.Dict)
	require.True(t, ok)
	return d
}

func tensor(t testing.TB, v any) fixture.Tensor {
	t.Helper()
	x, ok := v.(*ptfile.Tensor)
	require.True(t, ok)
	out := fixture.Tensor{DType: string(x.DType), Shape: x.Shape}
	require.NoError(t, x.Dense(func(p []byte) error {
		out.Data = append(out.Data, p...)
		return nil
	}))
	return out
}

// compare compares a tree with what DeepSpeed itself said of the run: weights, and optimizer states by name.
func compare(t *testing.T, c *fixture.Case, root *pickle.Dict) {
	t.Helper()
	model := dict(t, root, "model")
	for _, name := range c.Names("param.") {
		v, ok := model.Get(name)
		require.True(t, ok, name)
		c.Equal(t, "param."+name, tensor(t, v))
	}
	require.Len(t, c.Names("param."), model.Len())
	names, _ := root.Get("param_names")
	groups, _ := pickle.Items(names)
	number := 0
	for _, g := range groups {
		list, _ := pickle.Items(g)
		for _, name := range list {
			for _, s := range []string{"exp_avg", "exp_avg_sq"} {
				if key := fmt.Sprintf("%s.%v", s, name); c.Has(key) {
					v, _ := dict(t, root, "optimizer", "state", number).Get(s)
					c.Equal(t, key, tensor(t, v))
				}
			}
			step, _ := dict(t, root, "optimizer", "state", number).Get("step")
			require.Equal(t, []byte{0, 0, 0x20, 0x41}, tensor(t, step).Data, "10 steps, as float32")
			number++
		}
	}
	require.Equal(t, number, dict(t, root, "optimizer", "state").Len())
	epoch, _ := root.Get("epoch")
	require.Equal(t, 3, epoch)
}

// folders are the recorded folders of DeepSpeed with their cases.
func folders(t testing.TB) map[string]*fixture.Case {
	file, err := fixture.Read(recorded + "sharded.json.gz")
	require.NoError(t, err)
	out := map[string]*fixture.Case{}
	for _, c := range file.Cases {
		var f struct{ Checkpoint string }
		c.Decode(t, &f)
		if strings.HasPrefix(f.Checkpoint, "deepspeed") {
			out[f.Checkpoint] = c
		}
	}
	require.Len(t, out, 15)
	return out
}

// TestReadsDeepSpeed: every stage, float32 and bfloat16, uneven sizes, groups, frozen parameters.
func TestReadsDeepSpeed(t *testing.T) {
	for name, c := range folders(t) {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, name)
			for _, path := range []string{dir, filepath.Join(dir, "checkpoint")} {
				require.True(t, zero.Looks(path))
				z, err := zero.Open(path)
				require.NoError(t, err)
				require.Equal(t, 2, z.World)
				compare(t, c, z.Root)
				n, err := z.Verify()
				require.NoError(t, err)
				require.Positive(t, n)
				require.NoError(t, z.Close())
			}
		})
	}
}

// TestWritesDeepSpeed writes each recorded folder again, at every stage and for other numbers of ranks, and reads it.
func TestWritesDeepSpeed(t *testing.T) {
	for name, c := range folders(t) {
		t.Run(name, func(t *testing.T) {
			from, err := zero.Open(unpack(t, name))
			require.NoError(t, err)
			defer from.Close()
			for _, o := range []zero.Options{{Stage: 1, World: 1}, {Stage: 1, World: 5}, {Stage: 2, World: 2}, {Stage: 3, World: 1}, {Stage: 3, World: 2}, {Stage: 3, World: 7}} {
				dir := filepath.Join(t.TempDir(), "out")
				require.NoError(t, zero.Write(dir, from.Root, o))
				require.ErrorContains(t, zero.Write(dir, from.Root, o), "there is a checkpoint already")
				z, err := zero.Open(dir)
				require.NoError(t, err)
				require.Equal(t, []int{o.Stage, o.World}, []int{z.Stage, z.World})
				compare(t, c, z.Root)
				require.NoError(t, z.Close())
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	from, err := zero.Open(unpack(t, "deepspeed_stage_1_uneven"))
	require.NoError(t, err)
	defer from.Close()
	good := zero.Options{Stage: 2, World: 2}
	plain := func(pairs ...any) *pickle.Dict {
		d := pickle.NewDict(pickle.PlainDict)
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, d.Set(pairs[i], pairs[i+1]))
		}
		return d
	}
	model := dict(t, from.Root, "model")
	two := []any{plain("params", []any{0}), plain("params", []any{1})}
	for name, c := range map[string]struct {
		root *pickle.Dict
		o    zero.Options
		want string
	}{
		"stage":          {from.Root, zero.Options{Stage: 4, World: 1}, "want a stage from 1 to 3"},
		"world":          {from.Root, zero.Options{Stage: 1}, "want a stage from 1 to 3, and at least one rank"},
		"tag":            {from.Root, zero.Options{Stage: 1, World: 1, Tag: "../x"}, "want the name of a folder"},
		"no model":       {plain("weights", 1), good, `there is no "model"`},
		"no groups":      {plain("model", model, "optimizer", plain("state", plain())), good, `want "state" and "param_groups"`},
		"numbers":        {plain("model", model, "optimizer", plain("state", plain(), "param_groups", two)), good, `add "param_names"`},
		"a wrong number": {plain("model", model, "optimizer", plain("state", plain(), "param_groups", []any{plain("params", []any{99})})), good, "has the parameter 99, and the model has 7"},
		"a name of none": {plain("model", model, "optimizer", plain("state", plain(), "param_groups", []any{plain("params", []any{"x"})})), good, "x: the model has no dense float tensor"},
		"different states": {plain("model", model, "optimizer", plain("state", plain(0, plain("step", 1)), "param_groups",
			[]any{plain("params", []any{0, 1})})), good, "has other states than"},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		require.ErrorContains(t, zero.Write(dir, c.root, c.o), c.want, name)
		require.NoDirExists(t, dir, name)
	}
}

// TestHostileFolders: each error names the file.
func TestHostileFolders(t *testing.T) {
	const optim, model = "checkpoint/zero_pp_rank_1_mp_rank_00_optim_states.pt", "checkpoint/mp_rank_00_model_states.pt"
	move := func(from, to string) func(string) error {
		return func(dir string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	}
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	}
	from := func(other, name string) func(string) error {
		return func(dir string) error {
			data, err := os.ReadFile(filepath.Join(unpack(t, other), name))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
	}
	for name, c := range map[string]struct {
		do   func(dir string) error
		want string
	}{
		"a part is missing": {func(dir string) error { return os.Remove(filepath.Join(dir, optim)) }, "partition_count is 2, and the folder has 1 parts"},
		"rank 0 is missing": {move("checkpoint/zero_pp_rank_0_mp_rank_00_optim_states.pt", "checkpoint/zero_pp_rank_2_mp_rank_00_optim_states.pt"), "part of rank 0 is missing"},
		"two of a rank": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "checkpoint/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"), nil, 0o644)
		}, "are both of rank 1"},
		"the model is missing":        {func(dir string) error { return os.Remove(filepath.Join(dir, model)) }, "mp_rank_00_model_states.pt"},
		"no model":                    {write(model, "hello"), "mp_rank_00_model_states.pt"},
		"an optimizer cut off":        {func(dir string) error { return os.Truncate(filepath.Join(dir, optim), 3000) }, "zero_pp_rank_1"},
		"latest names another folder": {write("latest", "../../etc"), "latest: want the name of a folder beside it"},
		"latest is empty":             {write("latest", " \n"), "latest: want the name"},
		"latest names no folder":      {write("latest", "step9"), "step9"},
		"a part of another stage":     {from("deepspeed_stage_3", optim), "zero_stage is 3, and rank 0's is 1"},
		"a part of another model":     {from("deepspeed_stage_1_uneven", optim), "have"},
		"a part with more groups":     {from("deepspeed_stage_1_groups", optim), "zero_pp_rank_1_mp_rank_00_optim_states.pt: it has 2 vectors of weights, and rank 0's file 1"},
		"the model of another":        {from("deepspeed_stage_1_groups", model), "param_shapes"},
		"the model file as an optimizer": {func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, model))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, optim), data, 0o644)
		}, `zero_pp_rank_1_mp_rank_00_optim_states.pt: it has no "optimizer_state_dict"`},
		"a device": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, model)), os.Mkdir(filepath.Join(dir, model), 0o755))
		}, "mp_rank_00_model_states.pt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, "deepspeed_stage_1")
			require.NoError(t, c.do(dir))
			z, err := zero.Open(dir)
			require.ErrorContains(t, err, c.want)
			require.Nil(t, z)
			require.Contains(t, err.Error(), dir)
		})
	}
	_, err := zero.Open(t.TempDir())
	require.ErrorContains(t, err, "want a checkpoint of DeepSpeed's stages 1 to 3")
	require.False(t, zero.Looks(t.TempDir()))
}

// Bytes of a part are changed: an error, or a tree whose tensors can be read.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"deepspeed_stage_1_uneven", "deepspeed_stage_3_uneven"} {
		f.Add(name == "deepspeed_stage_3_uneven", 0, 200, byte(1))
		f.Add(name == "deepspeed_stage_3_uneven", 1, 900, byte(255))
	}
	f.Fuzz(func(t *testing.T, three bool, file, at int, change byte) {
		name := "deepspeed_stage_1_uneven"
		if three {
			name = "deepspeed_stage_3_uneven"
		}
		dir := unpack(t, name)
		list, err := filepath.Glob(filepath.Join(dir, "checkpoint", "*"))
		require.NoError(t, err)
		path := list[uint(file)%uint(len(list))]
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		data[uint(at)%uint(len(data))] ^= change
		require.NoError(t, os.WriteFile(path, data, 0o644))
		z, err := zero.Open(dir)
		if err != nil {
			return
		}
		defer z.Close()
		for _, v := range dict(t, z.Root, "model").All() {
			if x, ok := v.(*ptfile.Tensor); ok {
				_ = x.Dense(func([]byte) error { return nil })
			}
		}
	})
}
