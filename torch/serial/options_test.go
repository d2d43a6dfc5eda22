package serial_test

import (
	"os"
	"path/filepath"
	"strings"
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

// An error names its file once, and a program's types as the program writes them.
func TestASaveThatIsRefusedNamesTheFileOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	sd := &torch.StateDict{}
	sd.Set("w", torch.Options{Device: torch.Device{Type: torch.MetaType}}.Ones(2))
	for name, err := range map[string]error{
		"value":       serial.Save(path, make(chan int)),
		"inside":      serial.Save(path, map[string]any{"s": make(chan int)}),
		"state dict":  serial.SaveStateDict(path, sd),
		"safetensors": serial.SaveSafetensors(path, sd, nil),
	} {
		require.Error(t, err, name)
		require.Equal(t, 1, strings.Count(err.Error(), path), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "pickle.", name)
	}
}
