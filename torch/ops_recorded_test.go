package torch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// lapack is what factorisations may differ by on another vendor's processor.
var lapack = fixture.Tolerance{ULP: 1 << 12, Abs: 1e-5, Why: "square roots and LAPACK"}

func fixtureOf(t *Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

func inputs(t *testing.T, file *fixture.File) map[string]*Tensor {
	in := map[string]*Tensor{}
	c := file.Case(t, "inputs")
	for _, name := range c.Names("") {
		x := c.Tensor(t, name)
		d, err := ParseDType(x.DType)
		require.NoError(t, err)
		in[name] = FromBytes(x.Data, d, x.Shape...)
	}
	return in
}

func check(t *testing.T, c *fixture.Case, got []*Tensor) {
	require.Len(t, got, len(c.Tensors))
	for i, r := range got {
		c.Equal(t, c.Tensors[i].Name, fixtureOf(r), lapack)
	}
}

// checkLoosely is check for LAPACK's gelsy, whose last bits change from one run of the same program to the next.
func checkLoosely(t *testing.T, c *fixture.Case, got *Tensor) {
	recorded := c.Tensor(t, c.Names("")[0])
	want := FromBytes(recorded.Data, Float32, recorded.Shape...)
	require.Equal(t, want.Shape(), got.Shape())
	require.InDeltaSlice(t, ToSlice[float32](want), ToSlice[float32](got), 1e-4)
}

func TestMethodsAsRecorded(t *testing.T) {
	file := fixture.Open(t, "testdata/ops.json.gz")
	methods := recordedMethods(inputs(t, file))
	for _, c := range file.Cases {
		if c.Name == "inputs" || strings.HasPrefix(c.Name, "plain ") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			f, ok := methods[c.Name]
			require.True(t, ok, "no method for the recorded case")
			ManualSeed(3)
			if c.Name == "LstSq" {
				checkLoosely(t, c, f()[0])
				return
			}
			check(t, c, f())
		})
	}
	require.Len(t, methods, len(file.Cases)-1-len(plainMethods), "every method has its recorded case")
}

func TestPlainMethodsAsRecorded(t *testing.T) {
	file := fixture.Open(t, "testdata/ops.json.gz")
	in := inputs(t, file)
	for name, f := range plainMethods {
		t.Run(name, func(t *testing.T) {
			c := file.Case(t, "plain "+name)
			var fields struct{ Argument string }
			c.Decode(t, &fields)
			x := in[fields.Argument]
			check(t, c, []*Tensor{f[0](x)})
			y := x.Clone()
			require.Same(t, y, f[1](y), "in place gives the receiver")
			check(t, c, []*Tensor{y})
		})
	}
}
