package cgotorch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
)

// libtorch finds the shim's functions for the default generator and type; where it does not, a program learns of it.
func TestLibtorchUsesTheShimsDefaults(t *testing.T) {
	if strings.Contains(os.Getenv("GOLITE_OVERRIDES"), "-defaults") {
		t.Skip("skipped: GOLITE_OVERRIDES leaves them out")
	}
	_, err := cgotorch.Interposed()
	require.NoError(t, err)
}

// Each switch is read once in a process, so that a child prints what it found.
func TestOverrides(t *testing.T) {
	if os.Getenv("GOLITE_TEST_OVERRIDES") != "" {
		printOverrides()
		return
	}
	child := func(set ...string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestOverrides$")
		cmd.Env = append(append(os.Environ(), "GOLITE_TEST_OVERRIDES=1", "GOLITE_OVERRIDES="), set...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, _, _ := strings.Cut(string(out), "PASS")
		return text
	}
	const names = "[allocator new mallopt mkl defaults gomaxprocs recorder log gc cuda]"
	const fine = "run: <nil>\ngenerator: <nil>\ndtype: <nil>\n"
	require.Equal(t, names+"\n"+fine, child())
	require.Equal(t, names+"\n"+fine, child("GOLITE_OVERRIDES=none,all"))
	require.Equal(t, "[new mkl defaults gomaxprocs recorder log gc cuda]\n"+fine,
		child("GOLITE_OVERRIDES=all, -allocator,-mallopt"))
	require.Equal(t, "[defaults]\n"+fine, child("GOLITE_OVERRIDES=none,defaults"))

	without := child("GOLITE_OVERRIDES=-defaults")
	require.Contains(t, without, "run: lite: a generator and a default type for each goroutine are left out")
	require.Contains(t, without, "generator: torch.WithGenerator: a generator and a default type")
	require.Contains(t, without, "dtype: torch.WithDefaultDType: a generator and a default type")
	require.Contains(t, child("GOLITE_OVERRIDES=all,-mlk"), `run: lite: GOLITE_OVERRIDES has "-mlk": want all, none, and names`)
}

func printOverrides() {
	var on []string
	for _, name := range cgotorch.Overrides {
		if cgotorch.Overridden(name) {
			on = append(on, name)
		}
	}
	fmt.Println(on)
	cfg := lite.Config{Accelerator: "cpu", Devices: "2", Strategy: "ddp_spawn"}
	fmt.Println("run:", lite.Run(context.Background(), cfg, func(context.Context, *lite.Lite) error { return nil }))
	fmt.Println("generator:", torch.Try(func() { torch.WithGenerator(torch.NewGenerator(1), func() {}) }))
	fmt.Println("dtype:", torch.Try(func() { torch.WithDefaultDType(torch.Float64, func() {}) }))
	for range 100 { // the blocks of tensors and objects, in whatever list they are kept
		torch.Scope(func() { torch.Randn(64, 64).MatMul(torch.Randn(64, 64)) })
	}
}
