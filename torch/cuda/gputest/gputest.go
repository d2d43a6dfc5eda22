// Package gputest is for tests that run on a GPU as well, or only there. Without one they say "skipped: no CUDA
// device".
package gputest

import (
	"testing"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// Need skips a test that needs a GPU, and gives its tensors' options.
func Need(t testing.TB) torch.Options {
	t.Helper()
	if !cuda.IsAvailable() {
		t.Skip("skipped: no CUDA device")
	}
	return torch.Options{Device: torch.CUDA(0)}
}

// NeedTwo skips a test that needs two GPUs.
func NeedTwo(t testing.TB) {
	t.Helper()
	Need(t)
	if cuda.DeviceCount() < 2 {
		t.Skip("skipped: fewer than 2 CUDA devices")
	}
}

// EachDevice runs f as the subtests "cpu" and "cuda", each in a scope of its own.
func EachDevice(t *testing.T, f func(t *testing.T, on torch.Options)) {
	t.Helper()
	t.Run("cpu", func(t *testing.T) { torch.Scope(func() { f(t, torch.Options{Device: torch.CPU}) }) })
	t.Run("cuda", func(t *testing.T) {
		on := Need(t)
		torch.Scope(func() { f(t, on) })
	})
}

// Site is where a recorded case is computed: on the CPU, where every bit counts, or on a GPU, whose numbers are near
// the recorded ones.
type Site struct{ Device torch.Device }

// OnCPU is where cases were recorded.
var OnCPU = Site{torch.CPU}

// OnGPU skips a test that has none, and keeps TF32 out of it.
func OnGPU(t testing.TB) Site {
	t.Helper()
	on := Need(t)
	Exact(t)
	return Site{on.Device}
}

// Equal compares a tensor with the recorded one: within near on a GPU, on the CPU bit for bit, within tol on another
// vendor's processor.
func (s Site) Equal(t testing.TB, c *fixture.Case, name string, got *torch.Tensor, near float64,
	tol ...fixture.Tolerance) {
	t.Helper()
	raw := fixture.Tensor{DType: got.DType().String(), Shape: got.Shape(), Data: got.Detach().ToBytes()}
	if s == OnCPU {
		c.Equal(t, name, raw, tol...)
	} else {
		c.Near(t, name, raw, near)
	}
}

// Exact keeps TF32 out of float32's arithmetic while a test runs, so that a GPU's results are near the CPU's.
func Exact(t testing.TB) {
	t.Helper()
	for _, s := range []cuda.Switch{cuda.MatMulTF32, cuda.CuDNNTF32} {
		before := s.Set(false)
		t.Cleanup(func() { s.Set(before) })
	}
}

// Near fails the test where two tensors of one shape, on whatever devices, differ by more than tol, or tol of the
// larger value.
func Near(t testing.TB, want, got *torch.Tensor, tol float64, what string) {
	t.Helper()
	a, b := want.Detach().CPU().Double(), got.Detach().CPU().Double()
	if !a.AllClose(b, torch.CloseOptions{RTol: &tol, ATol: &tol, EqualNaN: true}) {
		t.Errorf("%s differs by up to %g, of values up to %g", what, a.Sub(b).Abs().Max().Item(), a.Abs().Max().Item())
	}
}
