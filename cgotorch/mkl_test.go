package cgotorch_test

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
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
		unset := []string{"GOLITE_TEST_PRODUCT=1", "OMP_NUM_THREADS=1", "GOLITE_MKL_AVX512=", "GOLITE_OVERRIDES=",
			"MKL_CBWR="}
		cmd.Env = append(append(os.Environ(), unset...), set...)
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
	fast, own := bits("GOLITE_OVERRIDES=mkl"), bits("GOLITE_OVERRIDES=-mkl")
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	info := string(cpu)
	amd := runtime.GOARCH == "amd64" && strings.Contains(info, "AuthenticAMD") && strings.Contains(info, " avx512f ")
	if amd {
		require.NotEqual(t, own, fast, "the kernels for AVX-512 add in another order")
	} else {
		require.Equal(t, own, fast)
	}
	want := own
	if family := regexp.MustCompile(`cpu family\s*: (\d+)`).FindStringSubmatch(info); amd && family != nil {
		if n, err := strconv.Atoi(family[1]); err == nil && n >= 26 { // Zen 5
			want = fast
		}
	}
	for _, c := range []struct {
		set  []string
		want string
	}{
		{nil, want},
		{[]string{"GOLITE_OVERRIDES=all"}, want},
		{[]string{"GOLITE_OVERRIDES=all,-mkl"}, own},
		{[]string{"GOLITE_OVERRIDES=none"}, own},
		{[]string{"GOLITE_OVERRIDES=none, mkl"}, fast},
		{[]string{"GOLITE_MKL_AVX512=1"}, fast},
		{[]string{"GOLITE_MKL_AVX512=0"}, own},
		{[]string{"GOLITE_MKL_AVX512=0", "GOLITE_OVERRIDES=mkl"}, fast},
		{[]string{"GOLITE_TEST_CHOICE=true"}, fast},
		{[]string{"GOLITE_TEST_CHOICE=false", "GOLITE_OVERRIDES=mkl"}, own},
	} {
		require.Equal(t, c.want, bits(c.set...), "%v", c.set)
	}
	require.Equal(t, bits("GOLITE_MKL_AVX512=0", "MKL_CBWR=COMPATIBLE"),
		bits("GOLITE_MKL_AVX512=1", "MKL_CBWR=COMPATIBLE"), "MKL_CBWR goes before")
}

func product() {
	choice := os.Getenv("GOLITE_TEST_CHOICE")
	if choice != "" {
		if err := torch.SetMKLAVX512(choice == "true"); err != nil {
			panic(err)
		}
	}
	torch.ManualSeed(1)
	x, w := torch.Randn(64, 784), torch.Randn(128, 784)
	h := fnv.New64a()
	got := x.MatMul(w.T())
	h.Write(got.ToBytes())
	exact := x.To(torch.Float64).MatMul(w.To(torch.Float64).T())
	if !got.To(torch.Float64).AllClose(exact, torch.CloseOptions{RTol: new(1e-4), ATol: new(1e-3)}) {
		panic("a wrong product")
	}
	// Where there is a choice, it comes too late now.
	if before := torch.MKLAVX512(); before && torch.SetMKLAVX512(false) == nil {
		panic("a choice after the first product was taken in silence")
	}
	fmt.Printf("product %x\n", h.Sum64())
}
