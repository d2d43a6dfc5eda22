package launch

import (
	"errors"
	"fmt"

	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/supervisor"
)

// failureReport returns the supervisor's report of a rank's error, nil for none. world is the number of ranks of the job.
func failureReport(err error, world int) *supervisor.Report {
	if err == nil {
		return nil
	}
	r := &supervisor.Report{Message: err.Error(), Stopped: errors.Is(err, ErrStopped)}
	var p *PanicError
	if errors.As(err, &p) {
		r.Message, r.Stack = fmt.Sprintf("panic: %v", p.Value), string(p.Stack)
	}
	var re *dist.RankError
	if errors.As(err, &re) {
		r.Secondary, r.Late = true, len(re.Waiting) > 0
		if re.World == world { // a smaller group of the program's own has other numbers
			if r.Blames = re.Lost; len(r.Blames) == 0 {
				r.Blames = re.Failed
			}
		}
	}
	return r
}
