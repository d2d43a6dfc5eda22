package data_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

// readings is a data set of samples of so many floats, which counts how many were read.
type readings struct {
	floats int
	read   *atomic.Int64
}

func (c readings) Len() int { return 100 }

func (c readings) Get(context.Context, int) (data.Example, error) {
	c.read.Add(1)
	return data.Example{Input: torch.Zeros(c.floats), Target: torch.Zeros()}, nil
}

// Workers read as many batches ahead as are asked for, and otherwise two, or more of small ones; the loop has one more.
func TestHowFarWorkersReadAhead(t *testing.T) {
	for _, c := range []struct {
		what              string
		floats            int
		options           data.Options
		first, afterwards int64 // read when the loop has the first batch, and beyond those it had when it has another
	}{
		{"as asked for", 4, data.Options{Workers: 2, Prefetch: 3}, 7, 6},
		{"of small batches, 16", 4, data.Options{Workers: 2}, 5, 32},
		{"of a megabyte, 4", 1<<18 - 1, data.Options{Workers: 1}, 3, 4},
		{"of large ones, 2", 1 << 20, data.Options{Workers: 1}, 3, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			var read atomic.Int64
			n := int64(0)
			run(t, data.NewLoader(readings{c.floats, &read}, 1, c.options), func(data.Example) bool {
				n++
				want := n + c.afterwards
				if n == 1 {
					want = c.first
				}
				require.Eventually(t, func() bool { return read.Load() >= want }, 10*time.Second, time.Millisecond)
				time.Sleep(time.Millisecond)
				require.Equal(t, want, read.Load(), "batch %d", n)
				return n < 4
			})
		})
	}
}

func TestHowManyBatchesFit(t *testing.T) {
	type pair struct {
		A, B *torch.Tensor
		N    int
		ok   bool
	}
	type named struct {
		Input *torch.Tensor
		Name  string
	}
	type files struct {
		Input *torch.Tensor
		Files [][]byte
	}
	require.Equal(t, 16, data.Fitting(torch.Zeros(4)))
	require.Equal(t, 8, data.Fitting(pair{A: torch.Zeros(1 << 16), B: torch.Options{DType: torch.Int64}.Zeros(1 << 15),
		N: 1, ok: true}))
	require.Equal(t, 2, data.Fitting([]*torch.Tensor{torch.Zeros(1 << 20), torch.Zeros(1 << 20)}))
	for what, n := range map[string]int{
		"a name": data.Fitting(named{torch.Zeros(4), "a"}), "files": data.Fitting(files{torch.Zeros(4), nil}),
		"no tensor": data.Fitting(3), "nil": data.Fitting[*torch.Tensor](nil),
	} {
		require.Equal(t, 2, n, what)
	}
}
