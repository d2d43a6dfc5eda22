package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// asProgram makes the test binary the program itself.
const asProgram = "AUTOGRAD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestProgram(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), asProgram+"=1")
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	found := regexp.MustCompile(`\Aloss (\S+)
in.weight \[8 4\]
in.bias \[8\]
norm.weight \[8\]
norm.bias \[8\]
norm.running_mean \[8\]
norm.running_var \[8\]
norm.num_batches_tracked \[\]
norm.scales.0 \[8\]
norm.scales.1 \[8\]
out.weight \[1 8\]
out.bias \[1\]
\[1000 8\]
as it should: .*linear.*32.*4.*8.*
\z`).FindStringSubmatch(string(out))
	require.NotNil(t, found, string(out))
	loss, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	require.Less(t, loss, 2.0)
}

// The forward pass rounds to sixteenths; the gradient passes where the input was in range, and only there.
func TestRoundSTE(t *testing.T) {
	torch.Scope(func() {
		x := torch.From([]float32{-2, -1, -0.51, 0, 0.02, 0.04, 1, 1.5})
		x.RequiresGrad_(true)
		y := roundSTE(16).Apply(x)[0]
		require.Equal(t, []float32{-1, -1, -0.5, 0, 0, 0.0625, 1, 1}, torch.ToSlice[float32](y.Detach()))
		y.Mul(torch.From([]float32{1, 2, 3, 4, 5, 6, 7, 8})).Sum().Backward()
		require.Equal(t, []float32{0, 2, 3, 4, 5, 6, 7, 0}, torch.ToSlice[float32](x.Grad()))
	})
}

// In training the module normalises by the batch and remembers; in evaluation it uses what it remembers, and writes nothing.
func TestRunningNorm(t *testing.T) {
	torch.Scope(func() {
		n := NewRunningNorm(2, false)
		require.Len(t, nn.Parameters(n), 2, "without affine: the scales alone")
		x := torch.From([]float32{1, 10, 3, 30}, 2, 2)
		y := n.Forward(x).Detach()
		require.InDeltaSlice(t, []float32{-1, -1, 1, 1}, torch.ToSlice[float32](y), 1e-4)
		require.InDeltaSlice(t, []float32{0.2, 2}, torch.ToSlice[float32](n.RunningMean.Tensor), 1e-6)
		require.InDeltaSlice(t, []float32{0.9 + 0.1*1, 0.9 + 0.1*100}, torch.ToSlice[float32](n.RunningVar.Tensor), 1e-5)
		require.Equal(t, 1.0, n.Seen.Item())

		nn.Eval(n)
		n.Gate = nn.NewLinear(2, 2)
		before := map[string]*torch.Tensor{}
		for name, now := range nn.StateDict(n).All() {
			before[name] = now.Clone()
		}
		got := n.Forward(x)
		for name, now := range nn.StateDict(n).All() {
			require.True(t, before[name].Equal(now), name)
		}
		plain := x.Sub(n.RunningMean.Tensor).Div(n.RunningVar.AddScalar(1e-5).Sqrt())
		require.True(t, plain.Mul(n.Gate.Forward(plain)).Equal(got))
	})
}
