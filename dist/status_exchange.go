package dist

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golite/golite/cgotorch"
	"github.com/golite/golite/internal/text"
)

// Keys of the status of processes in the store: why they end, that they have finished, and what they wait for.
const (
	keyAborted       = "aborted"  // the first reason
	keyFailed        = "failed"   // by rank: it has met a failure itself, and so isn't the one that was lost
	keyFinished      = "finished" // the first collective that a rank won't make any more, and the rank; by rank: that it has finished
	keyStatusRequest = "asked"    // the number of requests for statuses
	keyStatus        = "doing"    // by rank: the request that it answers, and its status
	keyStacks        = "stacks"   // by rank: the stacks of its goroutines
)

func rankKey(key string, rank int) string { return fmt.Sprintf("%s/%d", key, rank) }

// getKey returns the value under a key, "" where there is none.
func (g *Group) getKey(key string) (string, bool) {
	return call(g.storeClient, func() (string, error) {
		if there, err := g.store.Check(key); err != nil || !there {
			return "", err
		}
		v, err := g.store.read(context.Background(), key)
		return string(v), err
	})
}

// setKey sets a key without waiting for it.
func (g *Group) setKey(key, value string) {
	submit(g.storeClient, func() (bool, error) { return true, g.store.Set(key, []byte(value)) })
}

// abortReason returns the reason for which another process aborted the group, or a parent of it, which is then of.
func (g *Group) abortReason() (of *Group, reason string, answered bool) {
	for p := g; p != nil; p = p.parent {
		v, ok := p.getKey(keyAborted)
		if v != "" {
			return p, v, true
		}
		answered = answered || ok
	}
	return nil, "", answered
}

// awaitAbortReason polls for the published abort reason for up to 100 ms: the aborting rank writes it while closing its
// sockets.
func (g *Group) awaitAbortReason() string {
	for range 10 {
		if _, reason, answered := g.abortReason(); reason != "" || !answered {
			return reason
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

// publishFinished publishes that this rank won't make collective number next nor any later one.
func (g *Group) publishFinished(next uint64) {
	if g.local != nil {
		g.local.finish(g, next)
		return
	}
	submit(g.storeClient, func() (bool, error) {
		mine, expected := fmt.Sprintf("%d %d", next, g.rank), ""
		for range g.size { // others may write at the same time
			now, err := g.store.CompareSet(keyFinished, []byte(expected), []byte(mine))
			if err != nil {
				return false, err
			}
			if _, first := parseFinished(string(now)); first <= next {
				break
			}
			expected = string(now)
		}
		return true, g.store.Set(rankKey(keyFinished, g.rank), []byte("1"))
	})
}

func parseFinished(s string) (rank int, next uint64) {
	fmt.Sscanf(s, "%d %d", &next, &rank)
	return rank, next
}

// firstFinished names the rank that was the first to make no more collectives, and the first that it won't make.
func (g *Group) firstFinished() (rank int, next uint64, some bool) {
	if g.local != nil {
		return g.local.firstFinished(g)
	}
	v, _ := g.getKey(keyFinished)
	rank, next = parseFinished(v)
	return rank, next, v != ""
}

// haveFinished reports whether all of some ranks have finished.
func (g *Group) haveFinished(ranks []int) bool {
	if g.local != nil {
		return g.local.haveFinished(g, ranks)
	}
	keys := make([]string, len(ranks))
	for i, r := range ranks {
		keys[i] = rankKey(keyFinished, r)
	}
	all, _ := call(g.storeClient, func() (bool, error) { return g.store.Check(keys...) })
	return all
}

// publishStatus publishes this rank's status, as the answer to a request's number.
func (g *Group) publishStatus(number int64, s cgotorch.Standing) {
	g.setKey(rankKey(keyStatus, g.rank), fmt.Sprintf("%d %s", number, statusText(s)))
	g.setKey(rankKey(keyStacks, g.rank), string(text.Stacks(publishedStacks)))
}

// statusRequest returns the number of the last request for statuses; more is 1 to make a new one.
func (g *Group) statusRequest(more int64) int64 {
	n, _ := call(g.storeClient, func() (int64, error) { return g.store.Add(keyStatusRequest, more) })
	return n
}

// peerStatuses lists the statuses that the other processes have published, with the stacks of those that are in no
// collective. A status from before the request is stale, unless the rank waits: it would have replaced that.
func (g *Group) peerStatuses(request int64) (doing []string, elsewhere []int, stacks []byte) {
	for r := range g.size {
		if r == g.rank {
			continue
		}
		v, ok := g.getKey(rankKey(keyStatus, r))
		if !ok {
			return append(doing, "the store doesn't answer"), elsewhere, stacks
		}
		number, what, _ := strings.Cut(v, " ")
		waits := strings.HasPrefix(what, "waits")
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < request && !waits {
			doing, elsewhere = append(doing, fmt.Sprintf("rank %d doesn't say what it does: it hangs, or is gone", r)), append(elsewhere, r)
			continue
		}
		doing = append(doing, fmt.Sprintf("rank %d %s", r, what))
		if waits {
			continue
		}
		elsewhere = append(elsewhere, r)
		if len(elsewhere) <= 4 { // enough to see what is wrong, of a thousand ranks as well
			v, _ := g.getKey(rankKey(keyStacks, r))
			stacks = append(stacks, fmt.Sprintf("rank %d:\n%s\n\n", r, v)...)
		}
	}
	return doing, elsewhere, stacks
}

// others are the ranks beside this one.
func (g *Group) others() []int {
	var list []int
	for r := range g.size {
		list = append(list, r)
	}
	return slices.Delete(list, g.rank, g.rank+1)
}
