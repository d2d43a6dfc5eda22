package health

import (
	"encoding/json"
	"fmt"

	"github.com/golite/golite/cgotorch"
)

// Record is why a group ended, or why a collective failed. Programs look at its fields; Text prints it.
type Record = cgotorch.Failure

// Text prints a record.
func Text(f *Record) string {
	switch f.Kind {
	case cgotorch.FailureAborted:
		return fmt.Sprintf("rank %d aborted the group: %s", f.Rank, f.Detail)
	case cgotorch.FailureContext:
		return fmt.Sprintf("rank %d aborted the group: its context ended: %s", f.Rank, f.Detail)
	case cgotorch.FailureFailed:
		return fmt.Sprintf("rank %d aborted the group: rank %d failed: %s", f.Rank, f.Rank, f.Detail)
	case cgotorch.FailureLost:
		return fmt.Sprintf("rank %d lost a peer in %s: %s", f.Rank, where(f), f.Detail)
	case cgotorch.FailureDiffers:
		return "ranks made different calls: " + f.Detail
	case cgotorch.FailureTimeout:
		return fmt.Sprintf("%s: rank %d waited in %s", f.Detail, f.Rank, where(f))
	case cgotorch.FailureFinished:
		return fmt.Sprintf("rank %d has finished, and rank %d waits for it in %s", f.Lost[0], f.Rank, where(f))
	case cgotorch.FailureParent:
		return "the group that this one is part of has ended: " + f.Detail
	}
	return f.Detail
}

func where(f *Record) string {
	if f.Site == "" {
		return f.Call
	}
	return f.Call + " at " + f.Site
}

// encode and decode are the form of a record in the store.
func encode(f *Record) []byte {
	b, _ := json.Marshal(f) // numbers and texts can be encoded
	return b
}

func decode(b []byte) *Record {
	f := &Record{}
	if err := json.Unmarshal(b, f); err != nil || f.Kind == cgotorch.FailureFinished && len(f.Lost) == 0 {
		return &Record{Rank: -1, Detail: string(b)} // another program's
	}
	return f
}
