package cgotorch

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A build without the flags of cmd/libtorch names the two commands that set it up, and nothing else is wrong.
func TestABuildWithoutLibtorchNamesTheCommands(t *testing.T) {
	compiler := os.Getenv("CXX")
	if compiler == "" {
		compiler = "g++"
	}
	cmd := exec.CommandContext(t.Context(), compiler, "-std=c++20", "-fsyntax-only", "cgotorch.cc")
	cmd.Env = append(os.Environ(), "LC_ALL=C", "CPATH=", "CPLUS_INCLUDE_PATH=")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "it compiles without libtorch")
	require.Contains(t, string(out), "go run github.com/golite/golite/cmd/libtorch install")
	require.Contains(t, string(out), `eval \"$(go run github.com/golite/golite/cmd/libtorch env)\"`)
	require.Equal(t, 2, strings.Count(string(out), " error: "), "%s", out)
}
