package amp_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/amp"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
	F "github.com/golite/golite/torch/nn/functional"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func raw(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.Detach().ToBytes()}
}

func TestAutocastGivesPyTorchsTypes(t *testing.T) {
	file := fixture.Open(t, "testdata/amp.json.gz")
	for name, dtype := range map[string]torch.DType{"autocast/float16": torch.Float16, "autocast/bfloat16": torch.BFloat16} {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, name)
			var want struct{ DTypes map[string]string }
			c.Decode(t, &want)
			torch.Scope(func() {
				torch.ManualSeed(c.Seed)
				a, b, bias := torch.Randn(4, 4), torch.Randn(4, 4), torch.Randn(4)
				out := map[string]*torch.Tensor{}
				amp.Autocast(torch.CPUType, dtype, func() {
					out["mm"] = a.MatMul(b)
					out["linear"] = F.Linear(a, b, bias)
					out["softmax"] = F.Softmax(a.MatMul(b), -1)
					out["sum"] = a.MatMul(b).Sum()
					out["add"] = a.MatMul(b).Add(b)
					out["mse"] = F.MSELoss(a.MatMul(b), b)
					out["int"] = a.To(torch.Int64).AddScalar(1)
					amp.NoAutocast(torch.CPUType, func() { out["off"] = a.MatMul(b) })
				})
				require.Len(t, out, len(want.DTypes))
				for what, got := range out {
					require.Equal(t, want.DTypes[what], got.DType().String(), what)
				}
				for _, what := range []string{"mm", "linear", "softmax", "mse"} {
					c.Equal(t, what, raw(out[what]))
				}
			})
		})
	}
}

// Goroutines change threads, and libtorch keeps autocast's state for each thread.
func TestAutocastStaysWithItsGoroutine(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				x := torch.Ones(2, 2)
				if i%2 == 0 {
					amp.Autocast(torch.CPUType, torch.BFloat16, func() {
						if d := x.MatMul(x).DType(); d != torch.BFloat16 {
							t.Errorf("under autocast: %s", d)
						}
					})
				}
				if _, on := amp.Enabled(torch.CPUType); on {
					t.Error("autocast is on outside of it")
				}
				if d := x.MatMul(x).DType(); d != torch.Float32 {
					t.Errorf("outside of autocast: %s", d)
				}
				x.Release()
			}
		}()
	}
	wg.Wait()
}

func TestAutocastEndsWithAPanic(t *testing.T) {
	require.Error(t, torch.Try(func() {
		amp.Autocast(torch.CPUType, torch.BFloat16, func() { torch.Ones(2, 3).MatMul(torch.Ones(2, 3)) })
	}))
	_, on := amp.Enabled(torch.CPUType)
	require.False(t, on)
}

func TestPrecisions(t *testing.T) {
	for name, want := range map[string]struct {
		name    string
		module  torch.DType
		inside  torch.DType // of a matrix product of the converted input in the forward pass
		outside torch.DType
		scaler  bool
	}{
		"":           {"32-true", 0, torch.Float32, torch.Float32, false},
		"32":         {"32-true", 0, torch.Float32, torch.Float32, false},
		"64":         {"64-true", torch.Float64, torch.Float64, torch.Float32, false},
		"16":         {"16-mixed", 0, torch.Float16, torch.Float32, true},
		"bf16":       {"bf16-mixed", 0, torch.BFloat16, torch.Float32, false},
		"16-true":    {"16-true", torch.Float16, torch.Float16, torch.Float32, false},
		" BF16-true": {"bf16-true", torch.BFloat16, torch.BFloat16, torch.Float32, false},
	} {
		p, err := amp.New(name, torch.CPU)
		require.NoError(t, err)
		require.Equal(t, want.name, p.Name())
		require.Equal(t, want.module, p.ModuleDType())
		require.Equal(t, want.scaler, p.Scaler() != nil)
		torch.Scope(func() {
			x := torch.Ones(2, 2)
			var y *torch.Tensor
			p.Forward(torch.CPUType, func() { in := p.Input(x); y = in.MatMul(in) })
			require.Equal(t, want.inside, y.DType(), name)
			require.Equal(t, want.outside, p.Output(y).DType(), name)
			whole := torch.From([]int64{1, 2})
			require.Same(t, whole, p.Input(whole), "integers are left alone")
		})
	}
	_, err := amp.New("8", torch.CPU)
	require.ErrorContains(t, err, "bf16-mixed")
}
