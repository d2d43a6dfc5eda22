package main

import (
	"fmt"
	"sync"
	"time"
)

// progress reports how far a piece of work is until the function it returns is called with what came of it: in place on a terminal, else a line
// at the start, at each quarter and at the end.
func (in *installer) progress(what string, total int64, now func() int64) (done func(ok bool)) {
	start := time.Now()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	if in.terminal || total > 50e6 {
		wg.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			quarter := int64(-1)
			for {
				n := min(now(), total)
				if in.terminal {
					fmt.Fprintf(in.log, "\r%s: %d of %d MB ", what, n/1e6, total/1e6)
				} else if q := 4 * n / max(total, 1); q > quarter && q < 4 {
					fmt.Fprintf(in.log, "%s: %d of %d MB\n", what, n/1e6, total/1e6)
					quarter = q
				}
				select {
				case <-stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return func(ok bool) {
		close(stop)
		wg.Wait()
		lead := ""
		if in.terminal {
			lead = "\r"
		}
		if ok {
			fmt.Fprintf(in.log, "%s%s: %.1f MB in %.1f s\n", lead, what, float64(now())/1e6, time.Since(start).Seconds())
		} else if in.terminal {
			fmt.Fprintln(in.log)
		}
	}
}
