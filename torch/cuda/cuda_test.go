package cuda_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/cuda"
)

// gpu skips a test that needs one.
func gpu(t *testing.T) {
	t.Helper()
	if !cuda.IsAvailable() {
		t.Skip("skipped: no CUDA device")
	}
}

// TestWhatIsThere holds everywhere: there is a GPU, or a reason that names what was looked for.
func TestWhatIsThere(t *testing.T) {
	n := cuda.DeviceCount()
	require.Equal(t, n > 0, cuda.IsAvailable())
	path, why := cgotorch.CUDALibrary()
	t.Logf("%d devices; library %q; %s%s", n, path, why, cuda.Why())
	if n > 0 {
		require.Empty(t, cuda.Why())
		return
	}
	require.NotEmpty(t, cuda.Why())
	if path != "" {
		require.Contains(t, cuda.Why(), path, "the library is open: CUDA itself has no device, or no driver")
		require.Contains(t, cuda.Why(), "CUDA")
		return
	}
	require.Contains(t, cuda.Why(), why)
}

// GOLITE_TEST_CUDA says that libcgotorch_cuda.so must have been opened (make test-cuda sets it).
func TestLibraryIsOpenWhereItMustBe(t *testing.T) {
	if os.Getenv("GOLITE_TEST_CUDA") == "" {
		t.Skip("skipped: GOLITE_TEST_CUDA is not set (make test-cuda sets it)")
	}
	path, why := cgotorch.CUDALibrary()
	require.NotEmpty(t, path, why)
	require.Equal(t, "libcgotorch_cuda.so", filepath.Base(path))
	allocated, reserved := cgotorch.CUDAAllocated()
	require.Zero(t, allocated)
	require.Zero(t, reserved)
	require.NotNil(t, cgotorch.NCCL())
	_, err := cgotorch.CUDA(9999)
	require.ErrorContains(t, err, "no function number 9999")
	if cuda.DeviceCount() == 0 {
		_, err = cgotorch.CUDA(cgotorch.CUDAMemory, 0)
		require.NotNil(t, err, "CUDA's own errors come through as errors")
		require.NotContains(t, err.Message, "Exception raised from")
		torch.ShowCPPTraces(true)
		defer torch.ShowCPPTraces(false)
		_, err = cgotorch.CUDA(cgotorch.CUDAMemory, 0)
		require.Contains(t, err.Message, "Exception raised from", "with their C++ trace, where it is asked for")
	}
}

// Without a device everything says why, and what can be left out is.
func TestWithoutADevice(t *testing.T) {
	if cuda.IsAvailable() {
		t.Skip("skipped: there is a CUDA device")
	}
	for name, f := range map[string]func(){
		"cuda.Synchronize":      func() { cuda.Synchronize(0) },
		"cuda.DeviceProperties": func() { cuda.DeviceName(0) },
		"cuda.MemoryInfo":       func() { cuda.MemoryInfo(0) },
		"cuda.NewStream":        func() { cuda.NewStream(0) },
		"cuda.NewEvent":         func() { cuda.NewEvent() },
		"cuda.NewGraph":         func() { cuda.NewGraph(0) },
		"cuda.WithDevice":       func() { cuda.WithDevice(0, func() {}) },
	} {
		err := torch.Try(f)
		require.ErrorContains(t, err, name+": there is no CUDA device: "+cuda.Why())
	}
	require.Zero(t, cuda.MemoryStats(0))
	cuda.ResetPeakMemoryStats(0)
	cuda.EmptyCache()
	cuda.ManualSeedAll(1)
	ran := false
	cuda.Mark("here")
	cuda.Range("there", func() { ran = true })
	require.True(t, ran)
	err := torch.Try(func() { torch.Zeros(1).CUDA() })
	require.Error(t, err)
}

func TestASecondOptionsStructIsRefused(t *testing.T) {
	err := torch.Try(func() { cuda.NewStream(0, cuda.StreamOptions{}, cuda.StreamOptions{}) })
	require.ErrorContains(t, err, "at most one StreamOptions, got 2")
	err = torch.Try(func() { cuda.NewEvent(cuda.EventOptions{}, cuda.EventOptions{}) })
	require.ErrorContains(t, err, "at most one EventOptions, got 2")
	require.ErrorContains(t, new(cuda.Graph).Capture(func() {}, cuda.CaptureOptions{}, cuda.CaptureOptions{}),
		"at most one CaptureOptions, got 2")
}

func TestSwitches(t *testing.T) {
	for s, on := range map[cuda.Switch]bool{cuda.MatMulTF32: false, cuda.CuDNNTF32: true, cuda.CuDNN: true,
		cuda.CuDNNBenchmark:     false,
		cuda.CuDNNDeterministic: false, cuda.FlashAttention: true, cuda.MemoryEfficientAttention: true,
		cuda.MathAttention: true, cuda.CuDNNAttention: true} {
		require.Equal(t, on, s.On(), "switch %d has PyTorch's default", s)
		require.Equal(t, on, s.Set(!on))
		require.Equal(t, !on, s.On())
		require.Equal(t, !on, s.Set(on))
	}
}

func TestDebugDeterministic(t *testing.T) {
	t.Setenv("CUBLAS_WORKSPACE_CONFIG", "")
	cuda.CuDNNBenchmark.Set(true)
	defer cuda.CuDNNBenchmark.Set(false)
	restore := cuda.DebugDeterministic()
	require.True(t, cuda.CuDNNDeterministic.On())
	require.False(t, cuda.CuDNNBenchmark.On())
	require.False(t, cuda.CuDNNTF32.On())
	require.Equal(t, ":4096:8", os.Getenv("CUBLAS_WORKSPACE_CONFIG"))
	// An operation without a deterministic way panics.
	err := torch.Try(func() {
		torch.Zeros(4).Put_(torch.From([]int64{1, 1}), torch.Ones(2), false)
	})
	require.ErrorContains(t, err, "deterministic")
	restore()
	require.False(t, cuda.CuDNNDeterministic.On())
	require.True(t, cuda.CuDNNBenchmark.On())
	require.True(t, cuda.CuDNNTF32.On())
	require.NoError(t, torch.Try(func() { torch.Zeros(4).Put_(torch.From([]int64{1, 1}), torch.Ones(2), false) }))
}

func TestDevices(t *testing.T) {
	gpu(t)
	p := cuda.DeviceProperties(0)
	require.NotEmpty(t, p.Name)
	require.GreaterOrEqual(t, p.Major, 5)
	free, total := cuda.MemoryInfo(0)
	require.Positive(t, free)
	require.GreaterOrEqual(t, total, free)
	require.Positive(t, cuda.LibraryVersions().NCCL)
	require.Zero(t, cuda.CurrentDevice())
	last := cuda.DeviceCount() - 1
	cuda.WithDevice(last, func() { require.Equal(t, last, cuda.CurrentDevice()) })
	require.Zero(t, cuda.CurrentDevice())
	require.ErrorContains(t, torch.Try(func() { cuda.Synchronize(last + 1) }), "there is no device")
}

func TestMemory(t *testing.T) {
	gpu(t)
	torch.Scope(func() {
		before := cuda.MemoryAllocated(0)
		cuda.ResetPeakMemoryStats(0)
		x := torch.Options{Device: torch.CUDA(0)}.Zeros(1 << 20)
		require.Equal(t, before+4<<20, cuda.MemoryAllocated(0))
		x.Release()
		require.Equal(t, before, cuda.MemoryAllocated(0))
		require.GreaterOrEqual(t, cuda.MaxMemoryAllocated(0), before+4<<20)
		cuda.EmptyCache()
	})
}

func TestOutOfMemoryIsAnErrorAndTheProgramGoesOn(t *testing.T) {
	gpu(t)
	err := torch.Try(func() { torch.Options{Device: torch.CUDA(0)}.Zeros(1 << 42) })
	var te *torch.Error
	require.ErrorAs(t, err, &te)
	require.True(t, te.OutOfMemory)
	require.Equal(t, 3.0, torch.Options{Device: torch.CUDA(0)}.Ones(3).Sum().Item())
}

func TestStreamsAndEvents(t *testing.T) {
	gpu(t)
	torch.Scope(func() {
		on := torch.Options{Device: torch.CUDA(0)}
		start, end := cuda.NewEvent(cuda.EventOptions{Timing: true}), cuda.NewEvent(cuda.EventOptions{Timing: true})
		s := cuda.NewStream(0)
		require.NotEqual(t, cuda.DefaultStream(0), s)
		var y *torch.Tensor
		x := on.Ones(256, 256)
		s.WaitStream(cuda.CurrentStream(0))
		cuda.WithStream(s, func() {
			require.Equal(t, s, cuda.CurrentStream(0))
			start.Record(s)
			y = x.MatMul(x)
			end.Record(s)
		})
		s.Uses(x)
		require.Equal(t, cuda.DefaultStream(0), cuda.CurrentStream(0))
		end.Wait(cuda.CurrentStream(0))
		require.Equal(t, 256.0, y.Index(0, 0).Item())
		s.Synchronize()
		require.True(t, s.Query())
		require.True(t, end.Query())
		require.Positive(t, start.ElapsedTime(end))
		require.Less(t, start.ElapsedTime(end), time.Minute)
	})
}

func TestGraphReplaysOnNewInputs(t *testing.T) {
	gpu(t)
	torch.Scope(func() {
		on := torch.Options{Device: torch.CUDA(0)}
		x, w := on.Ones(8, 8), on.Ones(8, 8)
		_ = x.MatMul(w) // cuBLAS sets itself up
		var y *torch.Tensor
		g := cuda.NewGraph(0)
		require.NoError(t, g.Capture(func() { y = x.MatMul(w).Keep() }))
		for _, v := range []float64{1, 2, 3} {
			x.Fill_(v)
			g.Replay()
			require.Equal(t, 8*v, y.Index(0, 0).Item())
		}
		require.ErrorContains(t, g.Capture(func() {}), "already")
		failing := cuda.NewGraph(0)
		require.Error(t, failing.Capture(func() { x.Sum().Item() }), "Item waits for the device")
		require.Equal(t, 24.0, x.MatMul(w).Index(0, 0).Item(), "the stream records no more")
	})
}

func TestTheReasonNamesWhatWasLookedFor(t *testing.T) {
	if path, _ := cgotorch.CUDALibrary(); path != "" || os.Getenv("GOLITE_CUDA_LIBRARY") != "" {
		t.Skip("skipped: this libtorch has CUDA")
	}
	require.True(t, strings.Contains(cuda.Why(), "libtorch_cuda.so") ||
		strings.Contains(cuda.Why(), "libcgotorch_cuda.so"), cuda.Why())
	require.Contains(t, cuda.Why(), "lib", "and where")
}
