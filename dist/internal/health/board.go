package health

import (
	"context"
	"time"

	"github.com/golite/golite/cgotorch"
)

// Board is where the ranks of a group publish their status for each other: a store between processes, memory between
// goroutines. What the shim does by itself between goroutines has no effect there: see LocalBoard.
type Board interface {
	// PublishFailure publishes why this rank ended the group; the first one stays. It returns when others can read it, or
	// when the board does not answer.
	PublishFailure(f *Record)
	// Failure returns the published failure, nil where there is none. answered is false where the board does not answer.
	Failure() (f *Record, answered bool)
	// AwaitReaders waits until all others have read the failure, or until ctx ends.
	AwaitReaders(ctx context.Context)
	// PublishLoss publishes that this rank has lost a peer, and so isn't the one that was lost.
	PublishLoss()
	// AwaitLosses waits until all of some ranks have published a loss, or until ctx ends, and returns those that have not.
	AwaitLosses(ctx context.Context, ranks []int) (without []int, answered bool)
	// PublishFinished publishes that this rank won't make collective number next nor any later one.
	PublishFinished(next uint64)
	// FirstFinished returns the rank that was the first to make no more collectives, and the first that it won't make.
	FirstFinished() (rank int, next uint64, some bool)
	// HaveFinished reports whether all of some ranks have finished.
	HaveFinished(ranks []int) bool
	// Request returns the number of the last request for statuses; more is 1 to make a new one.
	Request(more int64) int64
	// PublishStatus publishes this rank's status, as the answer to a request's number.
	PublishStatus(request int64, s cgotorch.GroupStatus)
	// Statuses lists what the other ranks do, and which of them are in no collective, with stacks of goroutines.
	Statuses(request int64) (doing []string, elsewhere []int, dump []byte)
	// Compare returns the call that another rank has published as that number's, where it differs from e. The first to
	// publish one withdraws it with the function that it gets.
	Compare(e cgotorch.Event) (differs string, withdraw func())
	// Close gives the board up.
	Close()
}

const (
	// storeTimeout is how long a board waits for its store: once the process that keeps it has exited it never answers.
	storeTimeout = time.Second
	// keptStacks bounds the stacks that a rank keeps for its own error, publishedStacks what it writes to the store, in
	// bytes.
	keptStacks, publishedStacks = 1 << 20, 1 << 16
)

// others are the ranks of a group beside one.
func others(rank, size int) (list []int) {
	for r := range size {
		if r != rank {
			list = append(list, r)
		}
	}
	return list
}

// statusText describes what a rank does.
func statusText(s cgotorch.GroupStatus) string {
	e, some := oldest(s.Waiting)
	if !some {
		return "is in no collective"
	}
	return "waits in " + e.Text()
}

// oldest returns the event that began first.
func oldest(list []cgotorch.Event) (e cgotorch.Event, ok bool) {
	for i, w := range list {
		if i == 0 || w.Start < e.Start {
			e, ok = w, true
		}
	}
	return e, ok
}
