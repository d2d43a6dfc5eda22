package serial_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// A file's dict prints its tensors by type and shape, read or not.
func TestALoadedDictPrintsATensorByTypeAndShape(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	d := serial.NewDict()
	require.NoError(t, d.Set("weight", torch.Ones(2, 3)))
	require.NoError(t, d.Set("epoch", 3))
	require.NoError(t, serial.Save(path, d))
	const want = "dict of 2:\n  weight: float32 [2, 3]\n  epoch: 3"
	require.Equal(t, want, fmt.Sprint(d))
	v, err := serial.Load(path)
	require.NoError(t, err)
	require.Equal(t, want, fmt.Sprint(v))
}
