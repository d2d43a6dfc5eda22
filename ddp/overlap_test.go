package ddp_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// deep has layers of equal size, a bucket each.
type deep struct {
	nn.Base
	Layers []*nn.Linear
}

const (
	deepLayers = 4
	deepWidth  = 64
)

func newDeep() *deep {
	m := &deep{}
	for range deepLayers {
		m.Layers = append(m.Layers, nn.NewLinear(deepWidth, deepWidth))
	}
	return m
}

func (m *deep) Run(x *torch.Tensor) *torch.Tensor {
	for _, l := range m.Layers {
		x = l.Forward(x).Tanh()
	}
	return x
}

// timeline is what happened in one backward pass, by the clock of spans.
type timeline struct {
	buckets  []dist.Span
	gradient [deepLayers]time.Duration // when the layer's weights had theirs
	end      time.Duration
}

// TestReductionOverlapsWithBackward traces a backward pass: the gradients of the last layers are on their way, and have
// come from all ranks, before those of the first are computed. The pass itself waits for that: at the first layer it
// goes on only when another layer's bucket has come back, which without overlap would never be.
func TestReductionOverlapsWithBackward(t *testing.T) {
	for _, kind := range []string{"inprocess", "plain gloo"} {
		t.Run(kind, func(t *testing.T) {
			var mu sync.Mutex
			lines := make([]timeline, 2)
			ranktest.RequireNone(t, ranktest.Run(t, kind, 2, dist.Options{}, func(ctx context.Context, g *dist.Group) error {
				line, err := traceBackward(ctx, g)
				mu.Lock()
				defer mu.Unlock()
				lines[g.Rank()] = line
				return err
			}))
			for r, line := range lines {
				require.Len(t, line.buckets, deepLayers, "rank %d: a bucket a layer", r)
				t.Logf("rank %d\n%s", r, line)
				for i, b := range line.buckets {
					layer := deepLayers - 1 - i
					require.False(t, b.Failed)
					require.GreaterOrEqual(t, b.Start, line.gradient[layer], "bucket %d began before its gradients were there", i)
					if layer > 0 {
						require.Less(t, b.Start, line.gradient[0], "bucket %d waited for the first layer's gradients", i)
					}
				}
				came := slices.IndexFunc(line.buckets, func(b dist.Span) bool { return b.End < line.gradient[0] })
				require.GreaterOrEqual(t, came, 0, "no sum had come before the first layer's gradients")
			}
		})
	}
}

func traceBackward(ctx context.Context, g *dist.Group) (line timeline, err error) {
	net := newDeep()
	bytes := 4 * (deepWidth*deepWidth + deepWidth)
	d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{BucketCapMB: float64(bytes) / (1 << 20)})
	if err != nil {
		return line, err
	}
	defer d.Close()
	step := func() {
		nn.ZeroGrad(net)
		loss := d.Forward(func() *torch.Tensor { return net.Run(torch.Randn(8, deepWidth)) }).Sum()
		g.TranslateErrors(func() { loss.Backward() })
	}
	step()
	step() // buckets are laid out anew before it
	if d.Rebuilt() != 1 {
		return line, fmt.Errorf("buckets were laid out anew %d times, want once", d.Rebuilt())
	}
	g.Trace(100)
	for i, l := range net.Layers {
		l.Weight.RegisterHook(func(*torch.Tensor) *torch.Tensor {
			if i == 0 {
				line.buckets = append(line.buckets, awaitBucket(g)...)
			}
			line.gradient[i] = dist.Now()
			return nil
		})
	}
	step()
	line.end = dist.Now()
	for _, s := range g.Trace(0) {
		if strings.HasPrefix(s.What, "all_reduce") {
			line.buckets = append(line.buckets, s)
		}
	}
	slices.SortFunc(line.buckets, func(a, b dist.Span) int { return a.Number - b.Number })
	return line, nil
}

// awaitBucket waits for the first reductions to end, and takes them out of the trace.
func awaitBucket(g *dist.Group) (ended []dist.Span) {
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(100 * time.Microsecond) {
		for _, s := range g.Trace(100) {
			if strings.HasPrefix(s.What, "all_reduce") {
				ended = append(ended, s)
			}
		}
		if len(ended) > 0 {
			return ended
		}
	}
	return nil
}

func (l timeline) String() string {
	var b strings.Builder
	zero := l.buckets[0].Start
	for i, s := range l.buckets {
		fmt.Fprintf(&b, "bucket %d from %v to %v\n", i, s.Start-zero, s.End-zero)
	}
	for i := deepLayers - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "layer %d has its gradient at %v\n", i, l.gradient[i]-zero)
	}
	fmt.Fprintf(&b, "backward ends at %v", l.end-zero)
	return b.String()
}

// TestBucketsAreLaidOutAnewOnce: after the first step, in the order in which gradients came.
func TestBucketsAreLaidOutAnewOnce(t *testing.T) {
	ranktest.Everywhere(t, func(ctx context.Context, t *testing.T, g *dist.Group) error {
		net := newDeep()
		d, err := ddp.Wrap(ctx, g, net, ddp.ParallelOptions{BucketCapMB: 0.02})
		if err != nil {
			return err
		}
		defer d.Close()
		for step := range 4 {
			out := d.Forward(func() *torch.Tensor { return net.Run(torch.Randn(8, deepWidth)) })
			assert.Equal(t, min(step, 1), d.Rebuilt(), "before step %d", step)
			g.TranslateErrors(func() { out.Sum().Backward() })
		}
		numbers, texts := d.Stats()
		assert.Equal(t, int64(1), numbers["has_rebuilt_buckets"])
		assert.NotEmpty(t, texts["rebuilt_bucket_sizes"])
		return nil
	})
}
