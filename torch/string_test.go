package torch

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded reads the cases of a file of testdata.
func recorded[C any](t *testing.T, name string) []C {
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	var file struct{ Cases []C }
	require.NoError(t, json.Unmarshal(text, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

func TestStringPrintsAsPyTorch(t *testing.T) {
	how := map[string]func(*Tensor) *Tensor{
		"":              func(x *Tensor) *Tensor { return x },
		"requires_grad": func(x *Tensor) *Tensor { return x.RequiresGrad_(true) },
		"mul":           func(x *Tensor) *Tensor { return x.RequiresGrad_(true).Mul(Full(2)) },
		"sum":           func(x *Tensor) *Tensor { return x.RequiresGrad_(true).Sum() },
		"view":          func(x *Tensor) *Tensor { return x.RequiresGrad_(true).View(-1) },
		"transpose":     (*Tensor).T,
		"meta":          func(x *Tensor) *Tensor { return x.To(Meta) },
		"sparse":        func(x *Tensor) *Tensor { return sparseOf(&opToSparse, x) },
		"csr":           func(x *Tensor) *Tensor { return sparseOf(&opToCSR, x) },
		"conj":          (*Tensor).Conj,
		"expand":        func(x *Tensor) *Tensor { return x.Expand(3, -1) },
	}
	for _, c := range recorded[struct {
		Name, DType, Data, How, Text string
		Shape                        []int
	}](t, "print.json") {
		t.Run(c.Name, func(t *testing.T) {
			data, err := base64.StdEncoding.DecodeString(c.Data)
			require.NoError(t, err)
			dtype, err := ParseDType(c.DType)
			require.NoError(t, err)
			x := how[c.How](FromBytes(data, dtype, c.Shape...))
			assert.Equal(t, c.Text, x.String())
		})
	}
}

func TestStringOfWhatIsNoTensor(t *testing.T) {
	require.Equal(t, "None", (*Tensor)(nil).String())
	x := Ones(2)
	x.Release()
	require.Equal(t, "tensor(released)", x.String())
}

func TestStringLeavesNothingBehind(t *testing.T) {
	x := Randn(50, 50)
	before := LiveTensors()
	_ = x.String()
	require.LessOrEqual(t, LiveTensors(), before)
}

func TestPrintOptions(t *testing.T) {
	sci := true
	before := SetPrintOptions(PrintOptions{Precision: 2, Threshold: 4, EdgeItems: 1})
	defer SetPrintOptions(before)
	require.Equal(t, "tensor([0.00,  ..., 0.50])", From([]float32{0, .125, .25, .375, .5}).String())
	SetPrintOptions(PrintOptions{SciMode: &sci})
	require.Equal(t, "tensor([1.5000e+00, 2.0000e+00])", From([]float32{1.5, 2}).String())
}
