package serial_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

func TestStateDictRoundTrip(t *testing.T) {
	dir := t.TempDir()
	sd := &torch.StateDict{}
	w := torch.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	sd.Set("fc.weight", w)
	sd.Set("fc.bias", torch.From([]float64{-1, 2}))
	sd.Set("tied", w)
	sd.Set("empty", torch.Zeros(0, 3))
	sd.Set("steps", torch.From([]int64{1 << 40}))
	for name, save := range map[string]func(string) error{
		"a.pt":          func(p string) error { return serial.SaveStateDict(p, sd) },
		"a.safetensors": func(p string) error { return serial.SaveSafetensors(p, sd, map[string]string{"k": "v"}) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "sub", name)
			require.NoError(t, save(path))
			got, err := serial.LoadStateDict(path)
			require.NoError(t, err)
			require.Equal(t, sd.Keys(), got.Keys())
			for k, want := range sd.All() {
				have, _ := got.Get(k)
				require.Equal(t, want.DType(), have.DType(), k)
				require.Equal(t, want.Shape(), have.Shape(), k)
				require.Equal(t, want.ToBytes(), have.ToBytes(), k)
			}
			a, _ := got.Get("fc.weight")
			b, _ := got.Get("tied")
			require.Equal(t, filepath.Ext(name) == ".pt", a.SameStorage(b))
		})
	}
}
