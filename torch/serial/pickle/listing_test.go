package pickle_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch/serial/pickle"
)

// shaped stands in for a tensor: this package does not know torch's.
type shaped struct{ shape []int }

func (s shaped) Shape() []int  { return s.shape }
func (s shaped) DType() string { return "float32" }

func dict(t *testing.T, kind pickle.DictKind, items ...any) *pickle.Dict {
	d := pickle.NewDict(kind)
	for i := 0; i < len(items); i += 2 {
		require.NoError(t, d.Set(items[i], items[i+1]))
	}
	return d
}

func TestADictPrintsItsKeysAndValues(t *testing.T) {
	model := dict(t, pickle.OrderedDict, "fc1.weight", shaped{[]int{128, 784}}, "scale", shaped{nil})
	d := dict(t, pickle.PlainDict, "model", model, "epoch", 3, "lr", 0.1, "name", "mlp", "none", nil, 7, true,
		"betas", pickle.Tuple{0.9, 0.999}, "steps", []any{1, 2}, "long", make([]any, 9), "empty", dict(t, pickle.PlainDict),
		"groups", []any{dict(t, pickle.PlainDict, "lr", 0.5)}, "raw", pickle.Bytes("abc"))
	require.Equal(t, `dict of 12:
  model: collections.OrderedDict of 2:
    fc1.weight: float32 [128, 784]
    scale: float32 []
  epoch: 3
  lr: 0.1
  name: "mlp"
  none: None
  7: true
  betas: (0.9, 0.999)
  steps: [1, 2]
  long: list of 9
  empty: dict of 0
  groups: list of 1:
    0: dict of 1:
      lr: 0.5
  raw: 3 bytes`, fmt.Sprint(d))
	require.Equal(t, "dict of 0", fmt.Sprint(pickle.NewDict(pickle.PlainDict)))
	require.Equal(t, "<nil>", fmt.Sprint((*pickle.Dict)(nil)))
}

// A dict that holds itself, or very much, has a text of bounded length.
func TestTheTextOfADictIsBounded(t *testing.T) {
	d := pickle.NewDict(pickle.PlainDict)
	for i := range 20 {
		require.NoError(t, d.Set(fmt.Sprint("self", i), d))
	}
	require.LessOrEqual(t, strings.Count(d.String(), "\n"), 1000)

	long := pickle.NewDict(pickle.PlainDict)
	for i := range 5000 {
		require.NoError(t, long.Set(i, i))
	}
	lines := strings.Split(long.String(), "\n")
	require.Len(t, lines, 1001)
	require.Equal(t, "  ... and 4001 more", lines[1000])
}
