package health

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/cgotorch"
)

// TestCandidates: the ranks that a closed connection may have led to.
func TestCandidates(t *testing.T) {
	endpoints := []Endpoint{{0, "10.0.0.1", 1000}, {1, "10.0.0.1", 0x8983}, {2, "10.0.0.2", 1000}, {3, "10.0.0.2", 2000}}
	for name, c := range map[string]struct {
		f    Record
		want []int
	}{
		"as it lies in memory":      {Record{Kind: cgotorch.FailureLost, Rank: 2, Host: "10.0.0.1", Port: 33673}, []int{1}},
		"the port itself":           {Record{Kind: cgotorch.FailureLost, Rank: 3, Host: "10.0.0.1", Port: 35203}, []int{1}},
		"made from the other side":  {Record{Kind: cgotorch.FailureLost, Rank: 1, Host: "10.0.0.2", Port: 5123}, []int{2, 3}},
		"not the one that reports":  {Record{Kind: cgotorch.FailureLost, Rank: 0, Host: "10.0.0.1", Port: 5123}, []int{1}},
		"the other on that machine": {Record{Kind: cgotorch.FailureLost, Rank: 2, Host: "10.0.0.2", Port: 5123}, []int{3}},
		"an unknown machine":        {Record{Kind: cgotorch.FailureLost, Rank: 0, Host: "10.9.9.9", Port: 1}, nil},
		"no address":                {Record{Kind: cgotorch.FailureLost, Rank: 0}, nil},
		"named":                     {Record{Kind: cgotorch.FailureLost, Rank: 0, Lost: []int{2}}, []int{2}},
		"another failure":           {Record{Kind: cgotorch.FailureAborted, Rank: 1, Host: "10.0.0.1", Port: 33673}, nil},
	} {
		require.Equal(t, c.want, candidates(&c.f, endpoints), name)
	}
}

// TestRecords: each kind of failure in words, and that it is the same on the other side of a store.
func TestRecords(t *testing.T) {
	for want, f := range map[string]Record{
		"rank 1 aborted the group: the disk is full": {Kind: cgotorch.FailureAborted, Rank: 1,
			Detail: "the disk is full"},
		"rank 1 aborted the group: its context ended: enough": {Kind: cgotorch.FailureContext, Rank: 1,
			Detail: "enough"},
		"rank 1 aborted the group: rank 1 failed: EOF": {Kind: cgotorch.FailureFailed, Rank: 1,
			Detail: "EOF"},
		"rank 2 lost a peer in barrier (number 2) at a.go:7: reset": {Kind: cgotorch.FailureLost, Rank: 2,
			Call: "barrier (number 2)", Site: "a.go:7", Host: "::1", Port: 7, Detail: "reset"},
		"ranks made different calls: rank 0 barrier; rank 1 gather": {Kind: cgotorch.FailureDiffers, Rank: 1,
			Detail: "rank 0 barrier; rank 1 gather"},
		"time is up after 1s: rank 0 waited in gather": {Kind: cgotorch.FailureTimeout, Lost: []int{1, 2},
			Call: "gather", Detail: "time is up after 1s"},
		"rank 2 has finished, and rank 0 waits for it in gather at b.go": {Kind: cgotorch.FailureFinished, Lost: []int{2},
			Call: "gather", Site: "b.go"},
		"the group that this one is part of has ended: enough": {Kind: cgotorch.FailureParent, Rank: -1,
			Detail: "enough"},
		"a \"quoted\" word\n": {Rank: -1, Detail: "a \"quoted\" word\n"},
	} {
		require.Equal(t, want, Text(&f))
		require.Equal(t, &f, decode(encode(&f)))
	}
	for _, other := range []string{"", "enough", "{", `{"Kind":5}`} {
		require.Equal(t, other, Text(decode([]byte(other))))
	}
}
