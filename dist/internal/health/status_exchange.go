package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/stacks"
)

// Store is what a StoreBoard needs of a *dist.Store.
type Store interface {
	Set(key string, value []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	Wait(ctx context.Context, keys ...string) error
	Check(keys ...string) (bool, error)
	Add(key string, amount int64) (int64, error)
	CompareSet(key string, expected, desired []byte) ([]byte, error)
	Delete(key string) (bool, error)
}

// Keys of the status of processes in the store: why they end, that they have finished, and what they wait for.
const (
	keyAborted = "aborted" // the first failure
	keyRead    = "read"    // by rank: it has read the failure
	keyLoss    = "failed"  // by rank: it has lost a peer itself, and so isn't the one that was lost
	// the first collective that a rank won't make any more, and the rank; by rank: that it has finished
	keyFinished      = "finished"
	keyStatusRequest = "asked"  // the number of requests for statuses
	keyStatus        = "doing"  // by rank: the request that it answers, and its status
	keyStacks        = "stacks" // by rank: the stacks of its goroutines
	keyCall          = "call"   // by number: the call of the rank that came first, of those that are late
)

// Key is the key of one rank.
func Key(key string, rank int) string { return fmt.Sprintf("%s/%d", key, rank) }

// StoreBoard is the Board of processes.
type StoreBoard struct {
	store Store
	// nil for one rank alone, and among ranks of PyTorch, which publish nothing: each request is not answered
	client     *storeClient
	rank, size int
}

// NewStoreBoard makes the board of one rank. Where silent is true nothing is published nor read.
func NewStoreBoard(s Store, rank, size int, silent bool) *StoreBoard {
	b := &StoreBoard{store: s, rank: rank, size: size}
	if !silent {
		b.client = newStoreClient()
	}
	return b
}

// Close ends the board's goroutine.
func (b *StoreBoard) Close() { b.client.close() }

// get returns the value under a key, nil where there is none.
func (b *StoreBoard) get(key string) ([]byte, bool) {
	return call(b.client, func() ([]byte, error) {
		if there, err := b.store.Check(key); err != nil || !there {
			return nil, err
		}
		return b.store.Get(context.Background(), key)
	})
}

// set sets a key without waiting for it.
func (b *StoreBoard) set(key, value string) {
	submit(b.client, func() (bool, error) { return true, b.store.Set(key, []byte(value)) })
}

// keys are the keys of some ranks.
func keys(key string, ranks []int) []string {
	list := make([]string, len(ranks))
	for i, r := range ranks {
		list[i] = Key(key, r)
	}
	return list
}

// PublishFailure writes the failure to the store. Ranks that can't read it see the closed connection.
func (b *StoreBoard) PublishFailure(f *Record) {
	call(b.client, func() ([]byte, error) { return b.store.CompareSet(keyAborted, nil, encode(f)) })
}

// Failure reads the failure that was published first.
func (b *StoreBoard) Failure() (f *Record, answered bool) {
	v, answered := b.get(keyAborted)
	if len(v) == 0 {
		return nil, answered
	}
	b.set(Key(keyRead, b.rank), "1")
	return decode(v), true
}

// AwaitReaders waits for the others' marks.
func (b *StoreBoard) AwaitReaders(ctx context.Context) {
	wait(ctx, b.client, submit(b.client, func() (bool, error) {
		return true, b.store.Wait(ctx, keys(keyRead, others(b.rank, b.size))...)
	}))
}

// PublishLoss sets this rank's mark.
func (b *StoreBoard) PublishLoss() { b.set(Key(keyLoss, b.rank), "1") }

// AwaitLosses waits for the marks of some ranks.
func (b *StoreBoard) AwaitLosses(ctx context.Context, ranks []int) (without []int, answered bool) {
	return call(b.client, func() ([]int, error) {
		err := b.store.Wait(ctx, keys(keyLoss, ranks)...)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		for _, r := range ranks {
			there, err := b.store.Check(Key(keyLoss, r))
			if err != nil {
				return nil, err
			}
			if !there {
				without = append(without, r)
			}
		}
		return without, nil
	})
}

// PublishFinished writes the number if it is the lowest, and this rank's mark.
func (b *StoreBoard) PublishFinished(next uint64) {
	submit(b.client, func() (bool, error) {
		mine, expected := fmt.Sprintf("%d %d", next, b.rank), ""
		for range b.size { // others may write at the same time
			now, err := b.store.CompareSet(keyFinished, []byte(expected), []byte(mine))
			if err != nil {
				return false, err
			}
			if _, first := parseFinished(now); first <= next {
				break
			}
			expected = string(now)
		}
		return true, b.store.Set(Key(keyFinished, b.rank), []byte("1"))
	})
}

func parseFinished(s []byte) (rank int, next uint64) {
	fmt.Sscanf(string(s), "%d %d", &next, &rank)
	return rank, next
}

// FirstFinished reads the lowest number.
func (b *StoreBoard) FirstFinished() (rank int, next uint64, some bool) {
	v, _ := b.get(keyFinished)
	rank, next = parseFinished(v)
	return rank, next, len(v) > 0
}

// HaveFinished reads the marks of some ranks.
func (b *StoreBoard) HaveFinished(ranks []int) bool {
	all, _ := call(b.client, func() (bool, error) { return b.store.Check(keys(keyFinished, ranks)...) })
	return all
}

// Request counts requests in the store.
func (b *StoreBoard) Request(more int64) int64 {
	n, _ := call(b.client, func() (int64, error) { return b.store.Add(keyStatusRequest, more) })
	return n
}

// PublishStatus writes the status and the stacks of goroutines.
func (b *StoreBoard) PublishStatus(request int64, s cgotorch.GroupStatus) {
	if b.client == nil {
		return
	}
	b.set(Key(keyStatus, b.rank), fmt.Sprintf("%d %s", request, statusText(s)))
	b.set(Key(keyStacks, b.rank), string(stacks.All(publishedStacks)))
}

// Statuses lists the statuses that the other processes have published, with the stacks of those that are in no
// collective. A status from before the request is stale, unless the rank waits: it would have replaced that.
func (b *StoreBoard) Statuses(request int64) (doing []string, elsewhere []int, dump []byte) {
	if b.client == nil {
		return nil, nil, nil
	}
	dump = fmt.Appendf(nil, "rank %d:\n%s\n\n", b.rank, stacks.All(keptStacks))
	for _, r := range others(b.rank, b.size) {
		v, ok := b.get(Key(keyStatus, r))
		if !ok {
			return append(doing, "the store doesn't answer"), elsewhere, dump
		}
		number, what, _ := strings.Cut(string(v), " ")
		waits := strings.HasPrefix(what, "waits")
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < request && !waits {
			doing, elsewhere = append(doing, fmt.Sprintf("rank %d doesn't say what it does: it hangs, or is gone", r)),
				append(elsewhere, r)
			continue
		}
		doing = append(doing, fmt.Sprintf("rank %d %s", r, what))
		if waits {
			continue
		}
		elsewhere = append(elsewhere, r)
		if len(elsewhere) <= 4 { // enough to see what is wrong, of a thousand ranks as well
			v, _ := b.get(Key(keyStacks, r))
			dump = append(dump, fmt.Sprintf("rank %d:\n%s\n\n", r, v)...)
		}
	}
	return doing, elsewhere, dump
}

// Compare publishes a call under its number, unless another rank has: one request for each rank, however many there
// are.
func (b *StoreBoard) Compare(e cgotorch.Event) (differs string, withdraw func()) {
	if b.client == nil {
		return "", nil
	}
	key := fmt.Sprintf("%s/%d", keyCall, e.Number)
	mine := fmt.Appendf(nil, "%d rank %d %s", e.Digest, b.rank, e.Text())
	first, ok := call(b.client, func() ([]byte, error) { return b.store.CompareSet(key, nil, mine) })
	switch {
	case !ok:
		return "", nil
	case bytes.Equal(first, mine):
		return "", func() { submit(b.client, func() (bool, error) { return b.store.Delete(key) }) }
	}
	digest, said, _ := strings.Cut(string(first), " ")
	if digest == strconv.FormatUint(uint64(e.Digest), 10) {
		return "", nil
	}
	two := []string{said, fmt.Sprintf("rank %d %s", b.rank, e.Text())}
	slices.Sort(two)
	return strings.Join(two, "; "), nil
}
