package cgotorch_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

// A child multiplies and prints a hash of the product's bits; which kernels MKL takes is decided once in a process.
func TestMKLTakesTheKernelsOfTheProcessor(t *testing.T) {
	if os.Getenv("GOLITE_TEST_PRODUCT") != "" {
		product()
		return
	}
	bits := func(set ...string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMKLTakesTheKernelsOfTheProcessor$")
		cmd.Env = append(os.Environ(), append(set, "GOLITE_TEST_PRODUCT=1", "OMP_NUM_THREADS=1")...)
		out, err := cmd.Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			if hash, ok := strings.CutPrefix(line, "product "); ok {
				return hash
			}
		}
		require.Fail(t, "no product", "%s", out)
		return ""
	}
	fast, own := bits("GOLITE_MKL_AVX512=", "MKL_CBWR="), bits("GOLITE_MKL_AVX512=0", "MKL_CBWR=")
	info, _ := os.ReadFile("/proc/cpuinfo")
	avx512 := strings.Contains(string(info), " avx512f ")
	if runtime.GOARCH == "amd64" && strings.Contains(string(info), "AuthenticAMD") && avx512 {
		require.NotEqual(t, own, fast, "the kernels for AVX-512 add in another order")
	} else {
		require.Equal(t, own, fast)
	}
	require.Equal(t, bits("GOLITE_MKL_AVX512=0", "MKL_CBWR=COMPATIBLE"), bits("GOLITE_MKL_AVX512=", "MKL_CBWR=COMPATIBLE"), "MKL_CBWR goes before")
}

func product() {
	torch.ManualSeed(1)
	x, w := torch.Randn(64, 784), torch.Randn(128, 784)
	h := fnv.New64a()
	got := x.MatMul(w.T())
	h.Write(got.ToBytes())
	exact := x.To(torch.Float64).MatMul(w.To(torch.Float64).T())
	if !got.To(torch.Float64).AllClose(exact, torch.CloseOptions{RTol: new(1e-4), ATol: new(1e-3)}) {
		panic("a wrong product")
	}
	fmt.Printf("product %x\n", h.Sum64())
}
