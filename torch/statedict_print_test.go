package torch_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
)

func TestAStateDictPrintsNamesTypesAndShapes(t *testing.T) {
	d := &torch.StateDict{}
	require.Equal(t, "StateDict of 0", fmt.Sprint(d))
	d.Set("fc1.weight", torch.Ones(2, 3))
	d.Set("step", torch.Options{DType: torch.Int64}.Zeros())
	require.Equal(t, "StateDict of 2:\n  fc1.weight: float32 [2, 3]\n  step: int64 []", fmt.Sprint(d))
}
