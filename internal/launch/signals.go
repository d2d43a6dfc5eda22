package launch

import (
	"os"
	"os/signal"
)

// Notify relays signals to c as signal.Notify does, but for those that this process ignores: nohup, and a shell that
// starts a job in the background, ask for that, and signal.Notify would undo it.
func Notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, sig := range signals {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
}
