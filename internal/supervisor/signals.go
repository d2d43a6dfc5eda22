package supervisor

import (
	"os"
	"os/signal"
)

// Notify relays signals to c as signal.Notify does, except those that this process ignores. Why: nohup, and a shell
// that starts a job in the background, set them to be ignored, and signal.Notify would undo that.
func Notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, sig := range signals {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
}
