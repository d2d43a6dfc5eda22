package data_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/data"
)

type counted int

func (n counted) Len() int { return int(n) }
func (n counted) Get(_ context.Context, i int) (*torch.Tensor, error) {
	return torch.Full(float64(i), 2), nil
}

// A transfer is done by whoever reads, ahead of the loop; what it leaves is done by the loop, when the batch's turn
// comes.
func TestTransfer(t *testing.T) {
	for _, workers := range []int{0, 2} {
		torch.RunRank(func() {
			var transfers atomic.Int32
			var given, readied int
			l := data.NewLoader[*torch.Tensor](counted(12), 3, data.Options{Workers: workers}).
				WithTransfer(func(_ context.Context, b **torch.Tensor) (func(), error) {
					transfers.Add(1)
					*b = (*b).AddScalar(100)
					first := (*b).Index(0, 0).Item()
					return func() { readied++; require.Equal(t, float64(100+3*given), first, "in the batches' order") }, nil
				})
			for b, err := range l.Batches(t.Context()) {
				require.NoError(t, err)
				require.Equal(t, given+1, readied, "before the loop has it")
				require.Equal(t, float64(100+3*given), b.Index(0, 0).Item(), "what the transfer made outlives its scope")
				given++
			}
			require.Equal(t, 4, given)
			require.Equal(t, int32(4), transfers.Load())
		})
	}
}

func TestATransferThatFails(t *testing.T) {
	wrong := errors.New("no device")
	for _, workers := range []int{0, 1} {
		l := data.NewLoader[*torch.Tensor](counted(4), 2, data.Options{Workers: workers}).
			WithTransfer(func(context.Context, **torch.Tensor) (func(), error) { return nil, wrong })
		var got error
		for _, err := range l.Batches(t.Context()) {
			got = err
		}
		require.ErrorIs(t, got, wrong)
	}
}

// A panic in a transfer is an error of the loop, whoever ran it, and so is one of a stream's.
func TestATransferThatPanics(t *testing.T) {
	for _, workers := range []int{0, 1} {
		transfer := func(context.Context, **torch.Tensor) (func(), error) { panic("no stream") }
		for _, l := range []*data.Loader[*torch.Tensor]{
			data.NewLoader[*torch.Tensor](counted(4), 2, data.Options{Workers: workers}).WithTransfer(transfer),
			data.NewIterableLoader[*torch.Tensor](endless{}, 2, data.Options{Workers: workers}).WithTransfer(transfer),
		} {
			var got error
			for _, err := range l.Batches(t.Context()) {
				got = err
			}
			require.ErrorContains(t, got, "no stream")
			var e *data.Error
			require.ErrorAs(t, got, &e)
		}
	}
}

// endless is a stream without an end.
type endless struct{}

func (endless) Samples(context.Context) iter.Seq2[*torch.Tensor, error] {
	return func(yield func(*torch.Tensor, error) bool) {
		for yield(torch.Ones(2), nil) {
		}
	}
}

// A transfer that leaves nothing to be done runs once a batch, of a stream as well.
func TestATransferRunsOnce(t *testing.T) {
	for _, workers := range []int{0, 1} {
		transfers := atomic.Int32{}
		transfer := func(context.Context, **torch.Tensor) (func(), error) { transfers.Add(1); return nil, nil }
		for range data.NewLoader[*torch.Tensor](counted(4), 2,
			data.Options{Workers: workers}).WithTransfer(transfer).Batches(t.Context()) {
			continue
		}
		require.Equal(t, int32(2), transfers.Load())
	}
}
