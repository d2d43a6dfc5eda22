package health

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/stacks"
)

// LocalRanks is what the ranks of one group know of each other that are goroutines of one process. The zero value is
// ready.
type LocalRanks struct {
	mu       sync.Mutex
	here     map[int]Group
	finished map[int]uint64 // the first collective that a rank won't make
}

// Join adds a rank.
func (l *LocalRanks) Join(rank int, g Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.here == nil {
		l.here, l.finished = map[int]Group{}, map[int]uint64{}
	}
	l.here[rank] = g
}

// Leave removes a rank, which makes no collective from number next on; later collectives that need it fail.
func (l *LocalRanks) Leave(rank int, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.here, rank)
	if _, known := l.finished[rank]; !known {
		l.finished[rank] = next
	}
}

// LocalBoard is the Board of one of those. The shim gives all ranks the failure, and compares their calls.
type LocalBoard struct {
	*LocalRanks
	Rank, Size int
}

// PublishFailure has no effect.
func (b LocalBoard) PublishFailure(*Record) {}

// Failure returns none.
func (b LocalBoard) Failure() (*Record, bool) { return nil, true }

// AwaitReaders returns at once.
func (b LocalBoard) AwaitReaders(context.Context) {}

// PublishLoss has no effect.
func (b LocalBoard) PublishLoss() {}

// AwaitLosses returns all the ranks.
func (b LocalBoard) AwaitLosses(_ context.Context, ranks []int) ([]int, bool) { return ranks, true }

// PublishFinished keeps the number.
func (b LocalBoard) PublishFinished(next uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished[b.Rank] = next
}

// FirstFinished returns the lowest number.
func (b LocalBoard) FirstFinished() (rank int, next uint64, some bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r, n := range b.finished {
		if !some || n < next || n == next && r < rank {
			rank, next, some = r, n, true
		}
	}
	return rank, next, some
}

// HaveFinished reads their numbers.
func (b LocalBoard) HaveFinished(ranks []int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !slices.ContainsFunc(ranks, func(r int) bool { _, has := b.finished[r]; return !has })
}

// Request returns 0: Statuses needs no answers.
func (b LocalBoard) Request(int64) int64 { return 0 }

// PublishStatus has no effect.
func (b LocalBoard) PublishStatus(int64, cgotorch.GroupStatus) {}

// Statuses returns the other ranks' statuses and the stacks of the process.
func (b LocalBoard) Statuses(int64) (doing []string, elsewhere []int, dump []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range others(b.Rank, b.Size) {
		what, waits := "is not in the group", false
		if g := b.here[r]; g != nil {
			s, _ := g.Status()
			what, waits = statusText(s), len(s.Waiting) > 0
		}
		doing = append(doing, fmt.Sprintf("rank %d %s", r, what))
		if !waits {
			elsewhere = append(elsewhere, r)
		}
	}
	return doing, elsewhere, stacks.All(keptStacks)
}

// Compare returns no difference.
func (b LocalBoard) Compare(cgotorch.Event) (string, func()) { return "", nil }

// Close has no effect.
func (b LocalBoard) Close() {}
