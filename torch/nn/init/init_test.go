package nninit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// recorded is a case of testdata/init.json.gz: a function or a gain.
type recorded struct {
	Function     string
	Shape        []int
	DType        string
	Args         []float64
	Kwargs       map[string]any
	Nonlinearity string
	Param        *float64
	Value        fixture.Float
}

func (r *recorded) arg(i int, name string, def float64) float64 {
	if i < len(r.Args) {
		return r.Args[i]
	}
	if v, ok := r.Kwargs[name]; ok {
		return v.(float64)
	}
	return def
}

func (r *recorded) gain() XavierOptions {
	g := r.arg(0, "gain", 1)
	return XavierOptions{Gain: &g}
}

func (r *recorded) kaiming() KaimingOptions {
	o := KaimingOptions{A: r.arg(0, "a", 0), FanOut: r.Kwargs["mode"] == "fan_out"}
	if name, ok := r.Kwargs["nonlinearity"]; ok {
		o.Nonlinearity = nonlinearity(name.(string))
	}
	return o
}

func nonlinearity(name string) Nonlinearity {
	if strings.HasPrefix(name, "conv") {
		return Linear
	}
	for n := LeakyReLU; n <= SELU; n++ {
		if n.String() == name {
			return n
		}
	}
	panic("unknown nonlinearity " + name)
}

var functions = map[string]func(*torch.Tensor, *recorded){
	"uniform_": func(t *torch.Tensor, r *recorded) { Uniform_(t, r.arg(0, "a", 0), r.arg(1, "b", 1)) },
	"normal_":  func(t *torch.Tensor, r *recorded) { Normal_(t, r.arg(0, "mean", 0), r.arg(1, "std", 1)) },
	"trunc_normal_": func(t *torch.Tensor, r *recorded) {
		std, a, b := r.arg(9, "std", 1), r.arg(9, "a", -2), r.arg(9, "b", 2)
		TruncNormal_(t, TruncNormalOptions{Mean: r.arg(9, "mean", 0), Std: &std, A: &a, B: &b})
	},
	"constant_":        func(t *torch.Tensor, r *recorded) { Constant_(t, r.Args[0]) },
	"ones_":            func(t *torch.Tensor, _ *recorded) { Ones_(t) },
	"zeros_":           func(t *torch.Tensor, _ *recorded) { Zeros_(t) },
	"eye_":             func(t *torch.Tensor, _ *recorded) { Eye_(t) },
	"dirac_":           func(t *torch.Tensor, r *recorded) { Dirac_(t, int(r.arg(0, "groups", 1))) },
	"xavier_uniform_":  func(t *torch.Tensor, r *recorded) { XavierUniform_(t, r.gain()) },
	"xavier_normal_":   func(t *torch.Tensor, r *recorded) { XavierNormal_(t, r.gain()) },
	"kaiming_uniform_": func(t *torch.Tensor, r *recorded) { KaimingUniform_(t, r.kaiming()) },
	"kaiming_normal_":  func(t *torch.Tensor, r *recorded) { KaimingNormal_(t, r.kaiming()) },
	"orthogonal_":      func(t *torch.Tensor, r *recorded) { Orthogonal_(t, r.gain()) },
	"sparse_":          func(t *torch.Tensor, r *recorded) { Sparse_(t, r.Args[0], r.arg(1, "std", 0.01)) },
}

func TestFunctions(t *testing.T) {
	n := 0
	for _, c := range fixture.Open(t, "testdata/init.json.gz").Cases {
		if !strings.HasPrefix(c.Name, "function/") {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			var r recorded
			c.Decode(t, &r)
			d, err := torch.ParseDType(r.DType)
			require.NoError(t, err)
			torch.ManualSeed(c.Seed)
			x := torch.Options{DType: d}.Full(7, r.Shape...)
			f, ok := functions[r.Function]
			require.True(t, ok, r.Function)
			f(x, &r)
			var tol []fixture.Tolerance
			if r.Function == "orthogonal_" {
				tol = append(tol, fixture.Tolerance{ULP: 64, Abs: 1e-6, Why: "LAPACK's QR"})
			}
			c.Equal(t, "t", fixture.Tensor{DType: r.DType, Shape: x.Shape(), Data: x.ToBytes()}, tol...)
			next := torch.Rand(4)
			c.Equal(t, "next", fixture.Tensor{DType: "float32", Shape: []int{4}, Data: next.ToBytes()})
		})
	}
	require.Greater(t, n, 50)
}

func TestGains(t *testing.T) {
	n := 0
	for _, c := range fixture.Open(t, "testdata/init.json.gz").Cases {
		if !strings.HasPrefix(c.Name, "gain/") {
			continue
		}
		n++
		var r recorded
		c.Decode(t, &r)
		var slope []float64
		if r.Param != nil {
			slope = append(slope, *r.Param)
		}
		require.Equal(t, float64(r.Value), CalculateGain(nonlinearity(r.Nonlinearity), slope...),
			c.Name) //nolint:testifylint // every bit counts
	}
	require.Positive(t, n)
}

func TestBadInput(t *testing.T) {
	tests := map[string]struct {
		f    func()
		says []string
	}{
		"fans":       {func() { KaimingUniform_(torch.Ones(3)) }, []string{"at least 2 dimensions", "[3]"}},
		"eye":        {func() { Eye_(torch.Ones(2, 2, 2)) }, []string{"nninit.Eye_", "[2 2 2]"}},
		"dirac":      {func() { Dirac_(torch.Ones(3, 2, 2), 2) }, []string{"3 outputs", "2 groups"}},
		"two groups": {func() { Dirac_(torch.Ones(3, 2, 2), 1, 1) }, []string{"at most one int, got 2"}},
		"orthogonal": {func() { Orthogonal_(torch.Ones(3)) }, []string{"nninit.Orthogonal_", "[3]"}},
		"sparse":     {func() { Sparse_(torch.Ones(3), 0.5, 1) }, []string{"nninit.Sparse_", "[3]"}},
		"two":        {func() { Uniform_(torch.Ones(3), 0, 1, Options{}, Options{}) }, []string{"at most one"}},
	}
	for name, test := range tests {
		err := torch.Try(test.f)
		require.Error(t, err, name)
		for _, part := range test.says {
			require.ErrorContains(t, err, part, name)
		}
	}
}

func TestUnseenByAutograd(t *testing.T) {
	p := torch.Options{RequiresGrad: true}.Ones(2, 2)
	Ones_(XavierNormal_(p))
	require.True(t, p.IsLeaf())
	require.Equal(t, []float32{1, 1, 1, 1}, torch.ToSlice[float32](p))
}

func TestGenerator(t *testing.T) {
	a, b := torch.Empty(5), torch.Empty(5)
	Uniform_(a, 0, 1, Options{torch.NewGenerator(3)})
	Uniform_(b, 0, 1, Options{torch.NewGenerator(3)})
	require.Equal(t, torch.ToSlice[float32](a), torch.ToSlice[float32](b))
}
