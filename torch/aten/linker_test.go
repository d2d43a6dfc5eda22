package aten_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program carries the operators that it calls, not thousands: the linker drops the functions that nobody calls, and
// their names with them. This test's own binary is such a program.
func TestUnusedOperatorsAreDropped(t *testing.T) {
	path, err := os.Executable()
	require.NoError(t, err)
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Contains(binary, []byte("aten::native_layer_norm_backward")), "an operator that is called")
	kept, all := 0, 0
	for _, s := range schemas(t) {
		if s.Namespace != "aten" || s.Refusal() != "" {
			continue
		}
		all++
		if bytes.Contains(binary, []byte(s.FullName())) {
			kept++
		}
	}
	t.Logf("%d of %d operators in %d bytes", kept, all, len(binary))
	require.Less(t, kept, all/3)
}
