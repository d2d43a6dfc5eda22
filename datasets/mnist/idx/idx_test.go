package idx_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/datasets/mnist/idx"
)

// two images of 2x3.
var good = []byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

func zipped(t testing.TB, b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return z.Bytes()
}

func TestRead(t *testing.T) {
	for name, in := range map[string][]byte{"plain": good, "gzip": zipped(t, good)} {
		t.Run(name, func(t *testing.T) {
			a, err := idx.Read(iotest.OneByteReader(bytes.NewReader(in)))
			require.NoError(t, err)
			require.Equal(t, []int{2, 2, 3}, a.Dims)
			require.Equal(t, good[16:], a.Data)
		})
	}
}

func TestReadBad(t *testing.T) {
	z := zipped(t, good)
	flipped := bytes.Clone(z)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":             {nil, idx.ErrTruncated},
		"half a magic":      {good[:3], idx.ErrTruncated},
		"no magic":          {[]byte("\x89PNG\r\n"), idx.ErrMagic},
		"floats":            {[]byte{0, 0, 0x0d, 1, 0, 0, 0, 0}, idx.ErrMagic},
		"no dimension":      {[]byte{0, 0, 8, 0}, idx.ErrSize},
		"many dimensions":   {[]byte{0, 0, 8, 9}, idx.ErrSize},
		"half a dimension":  {good[:14], idx.ErrTruncated},
		"no elements":       {good[:16], idx.ErrTruncated},
		"an element less":   {good[:len(good)-1], idx.ErrTruncated},
		"an element more":   {append(bytes.Clone(good), 1), idx.ErrTrailing},
		"a huge claim":      {[]byte{0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, idx.ErrSize},
		"a large claim":     {[]byte{0, 0, 8, 2, 0, 0, 0x80, 0, 0, 0, 0x80, 0}, idx.ErrTruncated},
		"half a gzip":       {z[:len(z)-12], idx.ErrTruncated},
		"gzip without sum":  {z[:len(z)-4], idx.ErrTruncated},
		"gzip, a bit wrong": {flipped, gzip.ErrChecksum},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := idx.Read(bytes.NewReader(c.in))
			require.ErrorIs(t, err, c.want)
			var e *idx.Error
			require.ErrorAs(t, err, &e)
		})
	}
}

func TestReadPassesTheReadersError(t *testing.T) {
	broken := errors.New("the cable was cut")
	_, err := idx.Read(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestReadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cut.idx")
	require.NoError(t, os.WriteFile(path, good[:20], 0o600))
	_, err := idx.ReadFile(path)
	require.ErrorIs(t, err, idx.ErrTruncated)
	require.ErrorContains(t, err, path+": truncated: the elements of [2 2 3]: 4 bytes of 12")
	_, err = idx.ReadFile(path + ".no")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, unix.Mkfifo(path+".pipe", 0o600))
	_, err = idx.ReadFile(path + ".pipe") // it does not wait for the pipe's other end
	require.EqualError(t, err, path+".pipe is a named pipe; want a regular file")
}

func FuzzRead(f *testing.F) {
	f.Add(good)
	f.Add(zipped(f, good))
	f.Add(good[:10])
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := idx.Read(bytes.NewReader(in))
		if err != nil {
			var e *idx.Error
			require.ErrorAs(t, err, &e)
			return
		}
		n := 1
		for _, d := range a.Dims {
			n *= d
		}
		require.Len(t, a.Data, n)
	})
}
