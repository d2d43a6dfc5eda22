package launch

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
)

// TestReport: the supervisor's report of each kind of error, of one of four ranks.
func TestReport(t *testing.T) {
	require.Nil(t, failureReport(nil, 4))
	for name, c := range map[string]struct {
		err  error
		want supervisor.Report
	}{
		"an error":           {errors.New("the disk is full"), supervisor.Report{}},
		"asked to stop":      {fmt.Errorf("after step 3: %w", ErrStopped), supervisor.Report{Stopped: true}},
		"a panic":            {&PanicError{"boom", []byte("main.train")}, supervisor.Report{Message: "panic: boom", Stack: "main.train"}},
		"a lost peer":        {&dist.RankError{World: 4, Lost: []int{2}}, supervisor.Report{Secondary: true, Blames: []int{2}}},
		"one of a sub-group": {&dist.RankError{World: 2, Lost: []int{1}}, supervisor.Report{Secondary: true}},
		"a peer that failed": {&dist.RankError{World: 4, Failed: []int{3}},
			supervisor.Report{Secondary: true, Blames: []int{3}}},
		"an aborted group": {&dist.RankError{World: 4, Reason: "rank 3 aborted the group: its context ended: enough"}, supervisor.Report{Secondary: true}},
		"time is up":       {&dist.RankError{World: 4, Waiting: []string{"rank 0 waits"}}, supervisor.Report{Secondary: true, Late: true}},
	} {
		if c.want.Message == "" {
			c.want.Message = c.err.Error()
		}
		require.Equal(t, &c.want, failureReport(c.err, 4), name)
	}
}

// TestOutcome: the error of a rank that was, or was not, asked to stop.
func TestOutcome(t *testing.T) {
	full := errors.New("the disk is full")
	for name, c := range map[string]struct {
		asked, cut bool
		err, want  error
	}{
		"it was not asked":                {false, false, context.Canceled, context.Canceled},
		"its context has ended":           {true, false, fmt.Errorf("step 3: %w", context.Canceled), ErrStopped},
		"so have its peers":               {true, false, &dist.RankError{Cause: context.Canceled}, ErrStopped},
		"a loader's error was ignored":    {true, true, nil, ErrStopped},
		"it had ended by itself":          {true, false, nil, nil},
		"another error":                   {true, true, full, full},
		"the error that it should give":   {true, false, ErrStopped, ErrStopped},
		"a deadline of the program's own": {true, false, context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		_, s := NewStop(t.Context(), nil)
		s.asked.Store(c.asked)
		s.cut.Store(c.cut)
		require.ErrorIs(t, s.Outcome(c.err), c.want, name)
		require.Equal(t, c.want == ErrStopped, ExitCode(s.Outcome(c.err)) == ExitStopped, name)
	}
	var none *Stop
	require.Equal(t, full, none.Outcome(full))
	require.NoError(t, none.AtBatch())
	require.False(t, none.Poll())
	none.Begin()
	none.Agree()
	none.Close()
}
