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

// Keys under which processes tell each other why they end, that they have finished, and what they wait for.
const (
	keyAborted  = "aborted"  // the first reason
	keyFailed   = "failed"   // by rank: it has met a failure itself, and so isn't the one that was lost
	keyFinished = "finished" // the first collective that a rank won't make any more, and the rank; by rank: that it has finished
	keyAsked    = "asked"    // how often a rank has asked the others what they do
	keyDoing    = "doing"    // by rank: the question that it answers, and what it does
	keyStacks   = "stacks"   // by rank: where its goroutines are
)

func of(key string, rank int) string { return fmt.Sprintf("%s/%d", key, rank) }

// look returns the value under a key, "" where there is none.
func (g *Group) look(key string) (string, bool) {
	return ask(g.asker, func() (string, error) {
		if there, err := g.store.Check(key); err != nil || !there {
			return "", err
		}
		v, err := g.store.read(context.Background(), key)
		return string(v), err
	})
}

// write sets a key without waiting for it.
func (g *Group) write(key, value string) {
	put(g.asker, func() (bool, error) { return true, g.store.Set(key, []byte(value)) })
}

// told returns the reason for which another process aborted the group, or one that it is part of, which is then of.
func (g *Group) told() (of *Group, reason string, answered bool) {
	for p := g; p != nil; p = p.parent {
		v, ok := p.look(keyAborted)
		if v != "" {
			return p, v, true
		}
		answered = answered || ok
	}
	return nil, "", answered
}

// toldSoon is told for one that has just lost its peers: who aborts writes while it closes the connections, and may need a
// moment.
func (g *Group) toldSoon() string {
	for range 10 {
		if _, reason, answered := g.told(); reason != "" || !answered {
			return reason
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

// tellFinished says that this rank won't make collective number next nor any later one.
func (g *Group) tellFinished(next uint64) {
	if g.hub != nil {
		g.hub.finish(g, next)
		return
	}
	put(g.asker, func() (bool, error) {
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
		return true, g.store.Set(of(keyFinished, g.rank), []byte("1"))
	})
}

func parseFinished(s string) (rank int, next uint64) {
	fmt.Sscanf(s, "%d %d", &next, &rank)
	return rank, next
}

// firstFinished names the rank that was the first to make no more collectives, and the first that it won't make.
func (g *Group) firstFinished() (rank int, next uint64, some bool) {
	if g.hub != nil {
		return g.hub.firstFinished(g)
	}
	v, _ := g.look(keyFinished)
	rank, next = parseFinished(v)
	return rank, next, v != ""
}

// haveFinished tells whether all of some ranks have.
func (g *Group) haveFinished(ranks []int) bool {
	if g.hub != nil {
		return g.hub.haveFinished(g, ranks)
	}
	keys := make([]string, len(ranks))
	for i, r := range ranks {
		keys[i] = of(keyFinished, r)
	}
	all, _ := ask(g.asker, func() (bool, error) { return g.store.Check(keys...) })
	return all
}

// answer says what this rank does, for a question of another one, or on its own.
func (g *Group) answer(number int64, s cgotorch.Standing) {
	g.write(of(keyDoing, g.rank), fmt.Sprintf("%d %s", number, doing(s)))
	g.write(of(keyStacks, g.rank), string(text.Stacks(publishedStacks)))
}

// question reads how often ranks have asked, and asks as well if more is 1.
func (g *Group) question(more int64) int64 {
	n, _ := ask(g.asker, func() (int64, error) { return g.store.Add(keyAsked, more) })
	return n
}

// heard lists what the other processes have said that they do, with the stacks of those that are elsewhere. What a rank
// said before the question is old, unless it waits: it would have taken that back.
func (g *Group) heard(question int64) (doing []string, elsewhere []int, stacks []byte) {
	for r := range g.size {
		if r == g.rank {
			continue
		}
		v, ok := g.look(of(keyDoing, r))
		if !ok {
			return append(doing, "the store doesn't answer"), elsewhere, stacks
		}
		number, what, _ := strings.Cut(v, " ")
		waits := strings.HasPrefix(what, "waits")
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < question && !waits {
			doing, elsewhere = append(doing, fmt.Sprintf("rank %d doesn't say what it does: it hangs, or is gone", r)), append(elsewhere, r)
			continue
		}
		doing = append(doing, fmt.Sprintf("rank %d %s", r, what))
		if waits {
			continue
		}
		elsewhere = append(elsewhere, r)
		if len(elsewhere) <= 4 { // enough to see what is wrong, of a thousand ranks as well
			v, _ := g.look(of(keyStacks, r))
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
