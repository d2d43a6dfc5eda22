package serial_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// processorTime is what this process has used: other programs on the machine do not count.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyEntries writes a safetensors file of n tensors of a byte each, the last one first in memory.
func manyEntries(t *testing.T, n int) string {
	var h bytes.Buffer
	for i := range n {
		h.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&h, `"layer.%d.weight":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, n-i-1, n-i)
	}
	h.WriteByte('}')
	raw := binary.LittleEndian.AppendUint64(nil, uint64(h.Len()))
	raw = append(append(raw, h.Bytes()...), make([]byte, n)...)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}

// TestManyEntries: what a file of many tensors takes grows as their number does, in every way to read it and to write
// it again.
func TestManyEntries(t *testing.T) {
	const few, many = 5_000, 80_000
	taken := func(n int) map[string]time.Duration {
		path := manyEntries(t, n)
		memory := torch.Options{DType: torch.UInt8}.Zeros(n)
		at := 0
		into := serial.LoadOptions{Into: func(string) *torch.Tensor {
			at++
			return memory.Narrow(0, at-1, 1)
		}}
		out := map[string]time.Duration{}
		for name, f := range map[string]func() error{
			"Check": func() error { return serial.Check(path, true) },
			"Load":  func() error { _, err := serial.Load(path); return err },
			"Into":  func() error { _, err := serial.Load(path, into); return err },
			"Save": func() error {
				sd, err := serial.LoadStateDict(path)
				if err != nil {
					return err
				}
				return errors.Join(serial.SaveSafetensors(path+"2", sd, nil), serial.Save(path+".pt", sd))
			},
		} {
			torch.Scope(func() {
				runtime.GC()
				before := processorTime(t)
				require.NoError(t, f(), name)
				out[name] = processorTime(t) - before
			})
		}
		return out
	}
	base := taken(few)
	for name, d := range taken(many) {
		// 16 times the entries, and room for the collector; quadratic growth is 256 times.
		require.Less(t, d, 40*max(base[name], 5*time.Millisecond), "%s: %v for %d, %v for %d", name, base[name], few, d, many)
		t.Logf("%s: %v for %d, %v for %d", name, base[name], few, d, many)
	}
}
