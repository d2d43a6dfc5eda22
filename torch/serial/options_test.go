package serial_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// A second options struct is refused, and nothing is written.
func TestASecondOptionsStructIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	load := []serial.LoadOptions{{}, {}}
	save := []serial.SaveOptions{{}, {}}
	value := map[string]any{"x": 1}
	for name, f := range map[string]func() error{
		"Load":          func() error { _, err := serial.Load(path, load...); return err },
		"LoadStateDict": func() error { _, err := serial.LoadStateDict(path, load...); return err },
		"LoadSharded": func() error {
			_, err := serial.LoadSharded(path, serial.ShardOptions{}, serial.ShardOptions{})
			return err
		},
		"Save":            func() error { return serial.Save(path, value, save...) },
		"SaveStateDict":   func() error { return serial.SaveStateDict(path, &torch.StateDict{}, save...) },
		"SaveSafetensors": func() error { return serial.SaveSafetensors(path, &torch.StateDict{}, nil, save...) },
		"Saver.Save":      func() error { return new(serial.Saver).Save(path, value, save...) },
		"SavePart": func() error {
			_, err := serial.SavePart(path, 0, serial.NewSaveID(), value, serial.PartOptions{}, serial.PartOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := f()
			require.ErrorContains(t, err, "want at most one ")
			require.ErrorContains(t, err, "Options, got 2")
		})
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
