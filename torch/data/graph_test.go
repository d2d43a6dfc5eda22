package data_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// graph is a data set whose samples refer to it and to each other.
type graph struct{ All []*vertex }

type vertex struct {
	X    *torch.Tensor
	Of   *graph
	Near []*vertex
	Deep any
}

func newGraph(n int) *graph {
	g := &graph{}
	for range n {
		g.All = append(g.All, &vertex{Of: g})
	}
	for _, v := range g.All {
		v.Near = g.All
	}
	return g
}

func (g *graph) Len() int { return len(g.All) }
func (g *graph) Get(_ context.Context, i int) (*vertex, error) {
	var deep any = torch.Full(float64(i), 2)
	for range 40 {
		deep = []any{deep}
	}
	return &vertex{X: torch.Full(float64(i), 2), Of: g, Near: g.All, Deep: deep}, nil
}

// Samples that refer to each other and to their data set are read in no time, and their tensors live as long as the
// loop's body.
func TestSamplesThatReferToEachOther(t *testing.T) {
	for _, workers := range []int{0, 2} {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		before := torch.LiveTensors()
		root(func() {
			n := 0
			for b, err := range data.NewLoaderFunc(newGraph(60), 4, vertices, data.Options{Workers: workers}).Batches(ctx) {
				require.NoError(t, err)
				for _, v := range b {
					require.Equal(t, float64(n), v.X.Mean().Item())
					deep := v.Deep
					for range 40 {
						deep = deep.([]any)[0]
					}
					require.Equal(t, float64(n), deep.(*torch.Tensor).Mean().Item(), "40 levels down")
					n++
				}
			}
			require.Equal(t, 60, n)
		})
		require.LessOrEqual(t, torch.LiveTensors(), before)
		cancel()
	}
}

func vertices(samples []*vertex) ([]*vertex, error) { return samples, nil }
