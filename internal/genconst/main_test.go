package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The constants in Go are those of the headers.
func TestConstantsAreTheHeaders(t *testing.T) {
	dir := filepath.Join("..", "..", "cgotorch")
	want, err := generate(dir)
	require.NoError(t, err)
	have, err := os.ReadFile(filepath.Join(dir, target))
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "run go generate ./cgotorch")
}

func TestEnumerationsAreRead(t *testing.T) {
	header := "enum Tag : uint64_t {\n kNone = 0, // GL_X = 9\n kLast };\nenum { GL_A = 3, /* more */ GL_B_DTYPE, " +
		"GL_FAILURE_A = -7 };\n"
	for _, tt := range []struct {
		e    enumeration
		want []constant
	}{
		{enumeration{prefix: "k"}, []constant{{"kNone", 0}, {"kLast", 1}}},
		{enumeration{prefix: "GL_", not: []string{"GL_FAILURE_"}}, []constant{{"GL_A", 3}, {"GL_B_DTYPE", 4}}},
		{enumeration{prefix: "GL_FAILURE_"}, []constant{{"GL_FAILURE_A", -7}}},
	} {
		list, err := tt.e.read(header)
		require.NoError(t, err)
		require.Equal(t, tt.want, list)
	}
	require.Equal(t, "InfoBDType", enumeration{prefix: "GL_", goPrefix: "Info"}.goName("GL_B_DTYPE"))
	_, err := enumeration{prefix: "GL_NONE_"}.read(header)
	require.ErrorContains(t, err, `no constant begins with "GL_NONE_"`)
}
