package serial_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
	"github.com/golite/golite/torch/cuda"
	"github.com/golite/golite/torch/serial"
)

// withoutPlainMemory are tensors whose memory does not hold their values, or that have none, with the values that a
// file must give back.
func withoutPlainMemory() map[string]struct {
	t    *torch.Tensor
	want []complex64
} {
	x := torch.From([]float32{1, -2, 3}).RequiresGrad_(true)
	x.Sgn().Sum().Backward()
	zeros := x.Grad()
	z := torch.From([]complex64{1 + 2i, 3 - 4i})
	column := torch.From([]complex64{1 + 1i, 2, 3 - 1i, 4}, 2, 2).Transpose(0, 1).Conj()
	negative := func(t *torch.Tensor) *torch.Tensor { return aten.Call("aten::_neg_view", t)[0].(*torch.Tensor) }
	return map[string]struct {
		t    *torch.Tensor
		want []complex64
	}{
		"zeros":            {zeros, []complex64{0, 0, 0}},
		"a zero":           {zeros.Select(0, 2), []complex64{0}},
		"conjugate":        {z.Conj(), []complex64{1 - 2i, 3 + 4i}},
		"conjugate, moved": {column, []complex64{1 - 1i, 3 + 1i, 2, 4}},
		"negative":         {negative(torch.From([]float32{1, 2})), []complex64{-1, -2}},
		"imaginary part":   {aten.Imag(z.Conj()), []complex64{-2, 4}},
		"empty":            {torch.Zeros(0, 2), []complex64{}},
		"of inference mode": {torch.InferenceModeOf(func() *torch.Tensor { return torch.Ones(2).AddScalar(1) }),
			[]complex64{2, 2}},
	}
}

func complexes(t *torch.Tensor) []complex64 {
	if t.DType() == torch.Complex64 {
		return torch.ToSlice[complex64](t)
	}
	out := []complex64{}
	for _, v := range torch.ToSlice[float32](t) {
		out = append(out, complex(v, 0))
	}
	return out
}

// TestTensorsWithoutPlainMemory: every way to write a tensor writes its values, in inference mode as well, and every
// way to read gives them back.
func TestTensorsWithoutPlainMemory(t *testing.T) {
	ways := map[string]struct {
		save func(path string, x *torch.Tensor) error
		load func(path string) (*torch.Tensor, error)
	}{
		"Save": {
			func(path string, x *torch.Tensor) error { return serial.Save(path, x) },
			func(path string) (*torch.Tensor, error) {
				v, err := serial.Load(path)
				if err != nil {
					return nil, err
				}
				return v.(*torch.Tensor), nil
			},
		},
		"Saver": {
			func(path string, x *torch.Tensor) error {
				var s serial.Saver
				if err := s.Save(path, map[string]any{"x": x}); err != nil {
					return err
				}
				return s.Close()
			},
			loadX,
		},
		"SaveSafetensors": {
			func(path string, x *torch.Tensor) error {
				sd := &torch.StateDict{}
				sd.Set("x", x)
				return serial.SaveSafetensors(path, sd, nil)
			},
			loadX,
		},
		"SavePart": {
			func(path string, x *torch.Tensor) error {
				id := serial.NewSaveID()
				index, err := serial.SavePart(path, 0, id, map[string]any{"x": x})
				if err != nil {
					return err
				}
				return serial.CommitParts(path, [][]byte{index})
			},
			func(path string) (*torch.Tensor, error) {
				d, err := serial.LoadSharded(path)
				if err != nil {
					return nil, err
				}
				v, _ := d.Get("x")
				return v.(*torch.Tensor), nil
			},
		},
	}
	for kind, x := range withoutPlainMemory() {
		for name, w := range ways {
			for _, inference := range []bool{false, true} {
				path := filepath.Join(t.TempDir(), "x")
				do := func() {
					require.NoError(t, w.save(path, x.t), "%s: %s", kind, name)
					got, err := w.load(path)
					require.NoError(t, err, "%s: %s", kind, name)
					require.Equal(t, x.t.Shape(), got.Shape(), "%s: %s", kind, name)
					require.Equal(t, x.t.DType(), got.DType(), "%s: %s", kind, name)
					require.Equal(t, x.want, complexes(got), "%s: %s", kind, name)
					require.False(t, got.IsInference(), "what was read can be trained")
				}
				if do(); inference {
					torch.InferenceMode(do)
				}
			}
		}
	}
}

func loadX(path string) (*torch.Tensor, error) {
	sd, err := serial.LoadStateDict(path)
	if err != nil {
		return nil, err
	}
	x, _ := sd.Get("x")
	return x, nil
}

// devices are the CPU, and a GPU where there is one.
func devices() []torch.Device {
	if cuda.IsAvailable() {
		return []torch.Device{torch.CPU, torch.CUDA(0)}
	}
	return []torch.Device{torch.CPU}
}

// TestCopiesOfStorages: a save in the background copies whole storages, each once, whatever parts of them its tensors
// are, and leaves those as they were.
func TestCopiesOfStorages(t *testing.T) {
	for _, device := range devices() {
		base := torch.From([]float32{0, 1, 2, 3, 4, 5, 6, 7}, 4, 2).To(device)
		odd := torch.From([]uint8{1, 2, 3, 4, 5}).To(device)
		state := map[string]any{
			"slice": base.Narrow(0, 2, 2), "column": base.Select(1, 1), "whole": base,
			"transposed": base.Transpose(0, 1),
			"expanded":   base.Select(0, 3).Unsqueeze(0).Expand(2, 2), "last": base.Select(0, 3).Select(0, 1),
			"none": base.Narrow(0, 4, 0), "odd": odd, "a half": odd.Narrow(0, 2, 2).ViewDType(torch.Int16),
		}
		path := filepath.Join(t.TempDir(), "x.pt")
		var s serial.Saver
		require.NoError(t, s.Save(path, state))
		base.Fill_(9) // the copy was made
		require.NoError(t, s.Close())
		require.Equal(t, 32, base.StorageBytes())
		sd, err := serial.LoadStateDict(path)
		require.NoError(t, err)
		read := func(name string) *torch.Tensor {
			x, ok := sd.Get(name)
			require.True(t, ok, name)
			return x
		}
		for name, want := range map[string][]float32{
			"slice": {4, 5, 6, 7}, "column": {1, 3, 5, 7}, "whole": {0, 1, 2, 3, 4, 5, 6, 7},
			"transposed": {0, 2, 4, 6, 1, 3, 5, 7}, "expanded": {6, 7, 6, 7}, "last": {7}, "none": {},
		} {
			require.Equal(t, want, torch.ToSlice[float32](read(name)), name)
			require.True(t, read(name).SameStorage(read("whole")), name)
		}
		require.Equal(t, []uint8{1, 2, 3, 4, 5}, torch.ToSlice[uint8](read("odd")))
		require.Equal(t, []int16{3 | 4<<8}, torch.ToSlice[int16](read("a half")))
		require.True(t, read("odd").SameStorage(read("a half")))
	}
}

// TestZerosAreReadIntoMemory: Into's tensor that has no memory is not written, a new one takes its place.
func TestZerosAreReadIntoMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pt")
	require.NoError(t, serial.Save(path, map[string]any{"x": torch.Ones(3)}))
	x := torch.From([]float32{1, -2, 3}).RequiresGrad_(true)
	x.Sgn().Sum().Backward()
	v, err := serial.Load(path, serial.LoadOptions{Into: func(string) *torch.Tensor { return x.Grad() }})
	require.NoError(t, err)
	got, _ := v.(*serial.Dict).Get("x")
	require.Equal(t, []float32{1, 1, 1}, torch.ToSlice[float32](got.(*torch.Tensor)))
	require.Equal(t, []float32{0, 0, 0}, torch.ToSlice[float32](x.Grad()))
}

// TestWhatHasNoBytesIsRefused: tensors that no file can hold are an error, and none ends the process.
func TestWhatHasNoBytesIsRefused(t *testing.T) {
	dir := t.TempDir()
	released := torch.Ones(2)
	released.Release()
	nested := aten.NestedTensorFromTensorList([]*torch.Tensor{torch.Ones(2), torch.Ones(1)}, 0, 0, torch.Device{}, nil)
	for name, x := range map[string]*torch.Tensor{
		"meta":     torch.Options{Device: torch.Meta}.Ones(2),
		"released": released,
		"a nested tensor has no memory of one shape": nested,
		"mkldnn": aten.ToMkldnn(torch.Ones(2), 0),
	} {
		var s serial.Saver
		sd := &torch.StateDict{}
		sd.Set("x", x)
		for _, err := range []error{serial.Save(filepath.Join(dir, "x"), x), s.Save(filepath.Join(dir, "x"), x),
			serial.SaveSafetensors(filepath.Join(dir, "x"), sd, nil)} {
			require.ErrorContains(t, err, name)
		}
		_, err := serial.SavePart(filepath.Join(dir, "x"), 0, "id", map[string]any{"x": x})
		require.ErrorContains(t, err, name)
		require.NoError(t, s.Close())
	}
	require.Empty(t, names(t, dir))
}

// TestReadingInInferenceMode: what was read is a normal tensor, which can be written and trained.
func TestReadingInInferenceMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pt")
	require.NoError(t, serial.Save(path, map[string]any{"x": torch.Ones(3)}))
	into := torch.Zeros(3)
	var x *torch.Tensor
	torch.InferenceMode(func() {
		var err error
		x, err = loadX(path)
		require.NoError(t, err)
		v, err := serial.Load(path, serial.LoadOptions{Into: func(string) *torch.Tensor { return into }})
		require.NoError(t, err)
		got, _ := v.(*serial.Dict).Get("x")
		require.Same(t, into, got)
		require.True(t, torch.InferenceEnabled(), "the mode is as it was")
	})
	require.Equal(t, []float32{1, 1, 1}, torch.ToSlice[float32](into))
	x.RequiresGrad_(true)
	x.Mul(x).Sum().Backward()
	require.Equal(t, []float32{2, 2, 2}, torch.ToSlice[float32](x.Grad()))
}
