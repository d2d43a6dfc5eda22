package trainer

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// stepError is what Fail panics with.
type stepError struct{ error }

func (e *stepError) Unwrap() error { return e.error }

// Fail ends the run with an error, from inside of a step or another function that returns none.
func (t *Trainer) Fail(err error) { panic(&stepError{err}) }

// guard runs f and makes an error of its panic, with the hook or step that ran, so that the end of the stage follows.
func (t *Trainer) guard(f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		where := ""
		if t.running != "" {
			where = fmt.Sprintf("%s, epoch %d, batch %d: ", t.running, t.Epoch(), t.BatchIdx())
		}
		switch e := p.(type) {
		case *stepError:
			if err = e.error; where != "" || !strings.HasPrefix(err.Error(), "trainer: ") {
				err = fmt.Errorf("trainer: %s%w", where, e.error)
			}
		case interface {
			error
			RuntimeError()
		}:
			err = fmt.Errorf("trainer: %spanic: %w\n%s", where, e, debug.Stack())
		case error:
			err = fmt.Errorf("trainer: %s%w", where, e)
		default:
			err = fmt.Errorf("trainer: %spanic: %v\n%s", where, p, debug.Stack())
		}
		t.where, t.running = nil, ""
	}()
	return f()
}
