package serial_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
	"github.com/golite/golite/torch/serial/errs"
)

// rows splits n rows over world ranks.
func rows(rank, world, n int) (from, count int) {
	from = rank * n / world
	return from, (rank+1)*n/world - from
}

func counted(n int, from float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = from + float32(i)
	}
	return out
}

// shardedState is what one of world ranks saves: w (10x6) in rows, v (4x6) in columns, the rest alike on all.
func shardedState(rank, world int, base float32) map[string]any {
	from, n := rows(rank, world, 10)
	w := torch.From(counted(n*6, base+float32(6*from)), n, 6)
	left, cols := rows(rank, world, 6)
	v := torch.Zeros(4, cols)
	v.Bytes(func(p []byte) {
		var all []float32
		for r := range 4 {
			all = append(all, counted(cols, base+float32(6*r+left))...)
		}
		torch.From(all, 4, cols).Bytes(func(q []byte) { copy(p, q) })
	})
	return map[string]any{
		"w": &serial.Shard{Tensor: w, Offsets: []int{from, 0}, Shape: []int{10, 6}},
		"nested": map[string]any{
			"v": serial.Shard{Tensor: v, Offsets: []int{0, left}, Shape: []int{4, 6}},
			"b": torch.From([]int64{1, 2, 3}), "half": torch.From([]float32{1, 2}),
		},
		"state": map[int]any{0: map[string]any{"step": torch.From([]float32{3})}, 1: map[string]any{}},
		"list":  []any{1, torch.From([]float64{2.5})}, "step": 7, "text": "x", "betas": serial.Tuple{0.9, 0.99},
	}
}

func saveSharded(t *testing.T, dir string, world int, base float32) {
	t.Helper()
	id := serial.NewSaveID()
	indexes := make([][]byte, world)
	found := make([]error, world)
	var wg sync.WaitGroup
	for rank := range world {
		wg.Go(func() { indexes[rank], found[rank] = serial.SavePart(dir, rank, id, shardedState(rank, world, base)) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(found...))
	require.NoError(t, serial.CommitParts(dir, indexes))
}

func at(t *testing.T, d *serial.Dict, keys ...any) any {
	t.Helper()
	var v any = d
	for _, k := range keys {
		if l, ok := v.([]any); ok {
			v = l[k.(int)]
			continue
		}
		var ok bool
		v, ok = v.(*serial.Dict).Get(k)
		require.True(t, ok, "%v", keys)
	}
	return v
}

func TestShardedAtOtherWorldSizes(t *testing.T) {
	for _, world := range []int{1, 2, 3} {
		dir := filepath.Join(t.TempDir(), "ckpt")
		_, err := serial.LoadSharded(dir)
		require.ErrorIs(t, err, fs.ErrNotExist)
		saveSharded(t, dir, world, 0)
		saveSharded(t, dir, world, 100) // over the first: its parts must be gone
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, world+1)
		require.NoError(t, serial.Check(dir, true))

		all, err := serial.LoadSharded(dir)
		require.NoError(t, err)
		require.Equal(t, counted(60, 100), torch.ToSlice[float32](at(t, all, "w").(*torch.Tensor)))
		require.Equal(t, counted(24, 100), torch.ToSlice[float32](at(t, all, "nested", "v").(*torch.Tensor)))
		require.Equal(t, 7, at(t, all, "step"))
		require.Equal(t, serial.Tuple{0.9, 0.99}, at(t, all, "betas"))
		require.Equal(t, []float32{3}, torch.ToSlice[float32](at(t, all, "state", 0, "step").(*torch.Tensor)))
		require.Equal(t, 0, at(t, all, "state", 1).(*serial.Dict).Len())
		require.Equal(t, []float64{2.5}, torch.ToSlice[float64](at(t, all, "list", 1).(*torch.Tensor)))

		for rank := range 4 { // four ranks read, each its columns of w
			left, cols := rows(rank, 4, 6)
			part, err := serial.LoadSharded(dir, serial.ShardOptions{
				Only: func(name string) bool { return name == "w" },
				Box:  func(name string, shape []int) ([]int, []int) { return []int{0, left}, []int{shape[0], cols} },
			})
			require.NoError(t, err)
			got := torch.ToSlice[float32](at(t, part, "w").(*torch.Tensor))
			for r := range 10 {
				require.Equal(t, counted(cols, float32(100+6*r+left)), got[r*cols:(r+1)*cols])
			}
		}
	}
}

func TestShardedNeedsEveryPart(t *testing.T) {
	dir := t.TempDir()
	saveSharded(t, dir, 2, 0)
	id := serial.NewSaveID()
	index, err := serial.SavePart(dir, 0, id, shardedState(0, 2, 50))
	require.NoError(t, err)
	err = serial.CommitParts(dir, [][]byte{index}) // rank 1 died
	require.ErrorContains(t, err, "a rank's part is missing")
	all, err := serial.LoadSharded(dir) // the save before is still there
	require.NoError(t, err)
	require.Equal(t, counted(60, 0), torch.ToSlice[float32](at(t, all, "w").(*torch.Tensor)))
}

func TestShardedDamage(t *testing.T) {
	dir := t.TempDir()
	saveSharded(t, dir, 2, 0)
	meta := filepath.Join(dir, ".metadata")
	raw, err := os.ReadFile(meta)
	require.NoError(t, err)
	mark := len("golite-crc32-")
	for i := range raw {
		bad := append([]byte{}, raw...)
		bad[i] ^= 0x04
		require.NoError(t, os.WriteFile(meta, bad, 0o644))
		d, err := serial.LoadSharded(dir)
		if err == nil { // only where the flip hides the checksum itself can nobody tell
			require.Equal(t, counted(60, 0), torch.ToSlice[float32](at(t, d, "w").(*torch.Tensor)), "byte %d", i)
			mark--
		}
	}
	require.GreaterOrEqual(t, mark, 0, "flips passed unseen elsewhere than in the checksum's mark")
	require.NoError(t, os.WriteFile(meta, raw, 0o644))
	parts, err := filepath.Glob(filepath.Join(dir, "*.distcp"))
	require.NoError(t, err)
	part, err := os.ReadFile(parts[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(parts[0], part[:len(part)-1], 0o644))
	_, err = serial.LoadSharded(dir)
	var c *errs.ErrCorrupt
	require.ErrorAs(t, err, &c)
	require.NoError(t, os.Remove(parts[0]))
	require.ErrorAs(t, serial.Check(dir, false), &c)
}

// TestDCPWithPython: torch.distributed.checkpoint reads golite's folder, and golite reads its.
func TestDCPWithPython(t *testing.T) {
	py := python.Find(t)
	ours, theirs := filepath.Join(t.TempDir(), "ours"), filepath.Join(t.TempDir(), "theirs")
	saveSharded(t, ours, 3, 0)
	out, err := exec.Command(py, filepath.Join(scripts, "dcp.py"), ours, theirs).CombinedOutput()
	require.NoError(t, err, "%s", out)
	all, err := serial.LoadSharded(theirs)
	require.NoError(t, err)
	require.Equal(t, counted(60, 0), torch.ToSlice[float32](at(t, all, "w").(*torch.Tensor)))
	require.Equal(t, counted(24, 0), torch.ToSlice[float32](at(t, all, "nested", "v").(*torch.Tensor)))
	require.Equal(t, torch.BFloat16, at(t, all, "extra", "bf").(*torch.Tensor).DType())
	require.Equal(t, []float32{0, 3, 1, 4, 2, 5}, torch.ToSlice[float32](at(t, all, "extra", "t").(*torch.Tensor)))
	require.Equal(t, 7, at(t, all, "step"))
	require.Equal(t, []float64{2.5}, torch.ToSlice[float64](at(t, all, "list", 1).(*torch.Tensor)))
	require.NoError(t, serial.Check(theirs, true))
}

// TestRanksShareEqualTensors: the rows of tensors that are equal on all ranks are spread over their parts; of those
// that differ rank 0's is written.
func TestRanksShareEqualTensors(t *testing.T) {
	const n = 1 << 18
	state := func(rank int) map[string]any {
		differs := torch.Zeros(n)
		differs.Fill_(float64(rank))
		return map[string]any{"equal": torch.From(counted(3*n, 0), n, 3), "differs": differs,
			"turned": torch.From(counted(3*n, 0), 3, n).T(),
			"small":  torch.Ones(3), "list": []any{torch.From(counted(n, 5)), 1}}
	}
	sums := make([]map[string]uint32, 3)
	for rank := range sums {
		var err error
		sums[rank], err = serial.TensorSums(state(rank))
		require.NoError(t, err)
		require.Len(t, sums[rank], 4)
	}
	require.Equal(t, sums[0]["equal"], sums[1]["equal"])
	require.NotEqual(t, sums[0]["differs"], sums[1]["differs"])
	dir := t.TempDir()
	o := serial.PartOptions{Ranks: 3, Equal: func(name string) bool { return name != "differs" }}
	indexes := make([][]byte, 3)
	for rank := range indexes {
		var err error
		indexes[rank], err = serial.SavePart(dir, rank, "s1", state(rank), o)
		require.NoError(t, err)
	}
	require.NoError(t, serial.CommitParts(dir, indexes))
	parts, err := filepath.Glob(filepath.Join(dir, "*.distcp"))
	require.NoError(t, err)
	require.Len(t, parts, 3)
	for _, p := range parts[1:] {
		st, err := os.Stat(p)
		require.NoError(t, err)
		require.InDelta(t, 7*n*4/3, st.Size(), 20000, "a third of what is equal")
	}
	got, err := serial.LoadSharded(dir)
	require.NoError(t, err)
	for name, want := range state(0) {
		if w, ok := want.(*torch.Tensor); ok {
			require.True(t, w.Equal(at(t, got, name).(*torch.Tensor)), name)
		}
	}
	require.Equal(t, counted(n, 5), torch.ToSlice[float32](at(t, got, "list", 0).(*torch.Tensor)))
	require.NoError(t, serial.Check(dir, true))
}

// TestShardedIntoWhatIsThere: boxes are read into tensors that are there, which stay as they are when anything is
// damaged; on the meta device nothing is read.
func TestShardedIntoWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	saveSharded(t, dir, 2, 0)
	rows, v := torch.Full(-1, 4, 6), torch.Full(-1, 9, 9)
	o := serial.ShardOptions{
		Box: func(name string, shape []int) (at, sizes []int) {
			if name == "w" {
				return []int{3, 0}, []int{4, 6}
			}
			return nil, nil
		},
		Into: func(name string) *torch.Tensor { return map[string]*torch.Tensor{"w": rows, "nested.v": v}[name] },
	}
	d, err := serial.LoadSharded(dir, o)
	require.NoError(t, err)
	require.Same(t, rows, at(t, d, "w"))
	require.Equal(t, counted(24, 18), torch.ToSlice[float32](rows))
	require.Equal(t, counted(24, 0), torch.ToSlice[float32](at(t, d, "nested", "v").(*torch.Tensor)),
		"another shape is read anew")

	for p, from := range map[string]float32{"__0_*": 20, "__1_*": 31} { // elements of the box, one of each rank
		parts, err := filepath.Glob(filepath.Join(dir, p))
		require.NoError(t, err)
		raw, err := os.ReadFile(parts[0])
		require.NoError(t, err)
		i := bytes.Index(raw, torch.From(counted(2, from)).ToBytes())
		require.Positive(t, i)
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		require.NoError(t, os.WriteFile(parts[0], bad, 0o644))
		rows.Fill_(-1)
		_, err = serial.LoadSharded(dir, o)
		var c *errs.ErrCorrupt
		require.ErrorAs(t, err, &c)
		require.True(t, torch.Full(-1, 4, 6).Equal(rows))
		o.Device = torch.Meta
		d, err = serial.LoadSharded(dir, o)
		require.NoError(t, err)
		require.Equal(t, []int{4, 6}, at(t, d, "w").(*torch.Tensor).Shape())
		require.Equal(t, torch.Meta, at(t, d, "w").(*torch.Tensor).Device())
		o.Device = torch.Device{}
		require.NoError(t, os.WriteFile(parts[0], raw, 0o644))
	}
}
