package aten_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

// Arguments on which libtorch's kernels end the process, or do not end, are errors; those beside them are taken.
func TestGuardedValues(t *testing.T) {
	i64 := torch.Options{DType: torch.Int64}
	weight, indices, offsets := torch.Ones(4, 2), i64.Zeros(3), i64.Zeros(1)
	states := []*torch.Tensor{torch.Ones(1, 1, 2), torch.Ones(1, 1, 2)}
	cell := []*torch.Tensor{torch.Ones(8, 2), torch.Ones(8, 2)}
	lstm := func(sizes *torch.Tensor) []any {
		return []any{torch.Ones(3, 2), sizes, states, cell, false, 1, 0.0, false, false}
	}
	for name, c := range map[string]struct {
		op   string
		args []any
		want string // empty: it is taken
	}{
		"a bag's mode": {"embedding_bag", []any{weight, indices, offsets, false, 3},
			"mode is 3: want 0 (sum), 1 (mean) or 2 (max)"},
		"a bag's offsets": {"embedding_bag.padding_idx", []any{torch.Ones(4, 0), i64.Zeros(4, 0), i64.Zeros(4, 0), false,
			0, true, torch.Ones(4, 0), true, nil}, "offsets has 2 dimensions: want 1"},
		"no offsets": {"embedding_bag", []any{weight, indices, i64.Zeros(0), false, 0, false, nil, true},
			"offsets has no elements"},
		"bags":                 {"embedding_bag", []any{weight, indices, offsets, false, 2}, ""},
		"rows of bags":         {"embedding_bag", []any{weight, i64.Zeros(3, 2), i64.Zeros(3), false, 0}, ""},
		"batch sizes, 2-d":     {"lstm.data", lstm(i64.Ones(3, 1)), "batch_sizes has 2 dimensions: want 1"},
		"batch sizes beyond":   {"lstm.data", lstm(i64.Ones(4)), "batch_sizes add up to 4, and data has 3 rows"},
		"no batch sizes":       {"lstm.data", lstm(i64.Zeros(0)), "batch_sizes has no elements"},
		"negative batch sizes": {"lstm.data", lstm(torch.From([]int64{4, -1})), "batch_sizes go from -1 to 4"},
		"batch sizes":          {"lstm.data", lstm(i64.Ones(3)), ""},
		"a GRU's": {"gru.data", []any{torch.Ones(3, 2), i64.Ones(5), states[0], cell, false, 1, 0.0, false,
			false}, "batch_sizes add up to 5"},
		"chances": {"binomial", []any{torch.Ones(2), torch.From([]float32{0.5, 1.5})},
			"prob goes from 0.5 to 1.5: want 0 to 1"},
		"trials":   {"binomial", []any{torch.Ones(2).Neg(), torch.Ones(2)}, "count goes from -1 to -1"},
		"a NaN":    {"binomial", []any{torch.Ones(1), torch.Zeros(1).DivScalar(0)}, "prob goes from NaN to NaN"},
		"in range": {"binomial", []any{torch.Ones(2), torch.From([]float32{0, 1})}, ""},
		"bins": {"choose_qparams_optimized", []any{torch.Ones(8), 8, 1 << 40, 1.0, 1},
			"n_bins is 1099511627776: want 2^20 or fewer"},
		"few bins": {"choose_qparams_optimized", []any{torch.Rand(8), 8, 200, 0.16, 8}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := torch.Try(func() { aten.Call("aten::"+c.op, c.args...) })
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
