package typename_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/typename"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

func TestOf(t *testing.T) {
	for want, v := range map[string]any{
		"nil": nil, "int": 1, "*serial.Dict": &pickle.Dict{}, "serial.Tuple": pickle.Tuple{},
		"*serial.ErrUnsafe":  &errs.ErrUnsafe{},
		"*serial.TensorInfo": &ptfile.Tensor{}, "serial.Size": ptfile.Size{}, "map[string]any": map[string]any{},
		"[]*serial.Set": []*pickle.Set{},
	} {
		require.Equal(t, want, typename.Of(v))
	}
}
