package torch

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/fixture"
)

// onlyOnCPU are methods that libtorch has no CUDA kernel for.
var onlyOnCPU = []string{"Histogram"}

// unordered are methods that write some elements twice: which value stays is a GPU's own choice.
var unordered = []string{"Scatter"}

// upToSigns are factorisations whose vectors' signs are the library's choice.
var upToSigns = []string{"QR", "SVD", "Eigh"}

// needGPU is gputest.Need, which imports this package.
func needGPU(t *testing.T) Device {
	t.Helper()
	if count, err := cgotorch.CUDA(cgotorch.CUDACount); err != nil || count[0] == 0 {
		t.Skip("skipped: no CUDA device")
	}
	return CUDA(0)
}

// near fails the test where a GPU's results are not the CPU's, the last bits left aside.
func near(t *testing.T, want, got []*Tensor, absolute bool) {
	t.Helper()
	require.Len(t, got, len(want))
	tol := 1e-4
	for i := range want {
		a, b := want[i], got[i].CPU()
		require.Equal(t, a.DType(), b.DType())
		require.Equal(t, a.Shape(), b.Shape())
		if absolute {
			a, b = a.Abs(), b.Abs()
		}
		if a.DType().IsFloating() || a.DType().IsComplex() {
			require.True(t, a.AllClose(b, CloseOptions{RTol: &tol, ATol: &tol, EqualNaN: true}), "result %d is\n%s\nand not\n%s",
				i, b, a)
		} else {
			require.True(t, a.Equal(b), "result %d is\n%s\nand not\n%s", i, b, a)
		}
	}
}

// Every method with a recorded case gives on a GPU what it gives on the CPU. Those that draw random numbers give as
// many of them.
func TestMethodsAsRecordedOnAGPU(t *testing.T) {
	device := needGPU(t)
	here := inputs(t, fixture.Open(t, "testdata/ops.json.gz"))
	there := map[string]*Tensor{}
	for name, x := range here {
		there[name] = x.To(device)
	}
	onCPU, onGPU := recordedMethods(here), recordedMethods(there)
	for name := range onCPU {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(onlyOnCPU, name) {
				require.Error(t, Try(func() { onGPU[name]() }), "it is on GPUs too: take it off the list")
				return
			}
			Scope(func() {
				ManualSeed(3)
				state := DefaultGenerator(CPU).State().ToBytes()
				want := onCPU[name]()
				got := onGPU[name]()
				if slices.Equal(state, DefaultGenerator(CPU).State().ToBytes()) && !slices.Contains(unordered, name) {
					near(t, want, got, slices.Contains(upToSigns, name))
					return
				}
				for i, x := range got {
					require.Equal(t, device, x.Device())
					require.Equal(t, []any{want[i].DType(), want[i].Shape()}, []any{x.DType(), x.Shape()})
				}
			})
		})
	}
}

func TestPlainMethodsAsRecordedOnAGPU(t *testing.T) {
	device := needGPU(t)
	file := fixture.Open(t, "testdata/ops.json.gz")
	in := inputs(t, file)
	for name, f := range plainMethods {
		t.Run(name, func(t *testing.T) {
			var fields struct{ Argument string }
			file.Case(t, "plain "+name).Decode(t, &fields)
			Scope(func() {
				x := in[fields.Argument]
				y := x.Clone().To(device)
				near(t, []*Tensor{f[0](x)}, []*Tensor{f[0](y)}, false)
				require.Same(t, y, f[1](y), "in place gives the receiver")
				near(t, []*Tensor{f[0](x)}, []*Tensor{y}, false)
			})
		})
	}
}
