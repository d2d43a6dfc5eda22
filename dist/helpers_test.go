package dist_test

import (
	"testing"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
)

func TestMain(m *testing.M) { ranktest.Main(m) }

func fixtureOf(t *torch.Tensor) fixture.Tensor {
	return fixture.Tensor{DType: t.DType().String(), Shape: t.Shape(), Data: t.ToBytes()}
}

func filled(v float64, shape ...int) *torch.Tensor { return torch.Full(v, shape...) }

func floats(t *torch.Tensor) []float32 { return torch.ToSlice[float32](t) }
