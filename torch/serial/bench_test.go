package serial_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// benchState is a state dict of 256 MiB.
func benchState() *torch.StateDict {
	sd := &torch.StateDict{}
	for i := range 16 {
		sd.Set(fmt.Sprint("layer", i), torch.Zeros(4096, 1024))
	}
	return sd
}

func BenchmarkSave(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.pt")
	sd := benchState()
	b.SetBytes(256 << 20)
	for b.Loop() {
		require.NoError(b, serial.SaveStateDict(path, sd))
	}
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.pt")
	require.NoError(b, serial.SaveStateDict(path, benchState()))
	b.SetBytes(256 << 20)
	for b.Loop() {
		sd, err := serial.LoadStateDict(path)
		require.NoError(b, err)
		for _, t := range sd.All() {
			t.Release()
		}
	}
}
