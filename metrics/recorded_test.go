package metrics_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/metrics"
	"github.com/golite/golite/torch"
)

var recordedFiles = []string{"classification", "confusion", "other"}

// near are the metrics whose arithmetic is not torchmetrics' operation by operation, with what they may differ by, relative
// to the value or 1, and why.
var near = map[string]struct {
	by  float64
	why string
}{
	"PearsonCorrCoef": {1e-6, "variances are scaled by deviations from each batch's mean, not the running one; the scale cancels, its rounding does not"},
}

// Every batch's value and that of all are torchmetrics', bit for bit; dtypes and shapes are, too.
func TestRecorded(t *testing.T) {
	counts := map[string]int{}
	for _, name := range recordedFiles {
		file := fixture.Open(t, "testdata/"+name+".json.gz")
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) {
				class, _, _ := strings.Cut(c.Name, "/")
				counts[class]++
				m, batches := metricOf(t, c)
				for i, forward := range batches {
					same(t, c, "batch."+string(rune('0'+i)), forward(m))
				}
				require.Equal(t, len(batches), m.UpdateCount())
				same(t, c, "value", m.Compute(nil))
				m.Reset()
			})
		}
	}
	for class, n := range counts {
		require.GreaterOrEqual(t, n, 20, class)
	}
}

func same(t *testing.T, c *fixture.Case, name string, got *torch.Tensor) {
	t.Helper()
	class, _, _ := strings.Cut(c.Name, "/")
	if tol, ok := near[class]; ok {
		c.Near(t, name, asFixture(got), tol.by)
		return
	}
	c.Equal(t, name, asFixture(got))
}

// ranksBy is by how much sums over three ranks may differ, relative to the value or 1: the floats of three ranks are added in
// another order. Counts are exact.
const ranksBy = 2e-6

// Three ranks, of which one may have no batch, have the value of one.
func TestRanksHaveTheValueOfOne(t *testing.T) {
	for _, name := range recordedFiles {
		file := fixture.Open(t, "testdata/"+name+".json.gz")
		t.Run(name, func(t *testing.T) {
			errs := ranktest.Run(t, "inprocess", 3, dist.Options{}, func(_ context.Context, g *dist.Group) error {
				for _, c := range file.Cases {
					m, batches := metricOf(t, c)
					for i, forward := range batches {
						if owner := i % 3; len(batches) == 1 && g.Rank() == 2 || len(batches) > 1 && g.Rank() == owner {
							forward(m)
						}
					}
					got := m.Compute(metrics.Over(g))
					if strings.HasPrefix(c.Name, "CosineSimilarity") || name == "other" {
						c.Near(t, "value", asFixture(got), ranksBy)
					} else {
						same(t, c, "value", got)
					}
				}
				return nil
			})
			for _, err := range errs {
				require.NoError(t, err)
			}
		})
	}
}
