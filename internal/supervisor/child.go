package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/golite/golite/internal/stacks"
)

// ExitStopped is the exit code of a process that ended early on a request to stop (EX_TEMPFAIL of sysexits).
const ExitStopped = 75

// marker is the environment variable that makes a process a rank. It is unset at start, so that programs that the rank
// starts are not taken for ranks of this job.
const marker = "GOLITE_RANK_OF"

// File descriptors of the rank's ends of the pipes.
const (
	toParentFD   = 3
	fromParentFD = 4
	crashFD      = 5 // copy of what the Go runtime writes when it ends the process
)

// Place is a rank's position in the job, as the supervisor assigned it.
type Place struct {
	Job            string // distinguishes the job from others on the host
	GlobalRank     int
	LocalRank      int
	NodeRank       int
	WorldSize      int
	LocalWorldSize int
	MainAddress    string
	MainPort       int // 0: rank 0 publishes the port it took
}

// startInfo is the value of the marker variable.
type startInfo struct {
	Version int           `json:"version"`
	Place   Place         `json:"place"`
	Beat    time.Duration `json:"beat"`
}

// Child is a rank's connection to its supervisor. Its methods may be called from any goroutine.
type Child struct {
	start      startInfo
	fromParent *os.File

	writing  sync.Mutex
	toParent *os.File

	attach sync.Once
	state  func() State
	mu     sync.Mutex
	groups []int

	portOnce, stopOnce, abortOnce sync.Once
	portSet, stop, abort          chan struct{}
	port                          int
	cause                         string
}

// inherited is this process's Child, nil where it was not started by a supervisor.
var inherited = inherit()

// inherit runs before main, so that the rank ends with its supervisor even if it never calls Attach.
func inherit() *Child {
	text, ok := os.LookupEnv(marker)
	if !ok {
		return nil
	}
	os.Unsetenv(marker)
	var b startInfo
	err := json.Unmarshal([]byte(text), &b)
	if err != nil || b.Version != protocolVersion || !isPipe(toParentFD) || !isPipe(fromParentFD) || !isPipe(crashFD) {
		return nil // a variable left over, in a process that is no rank
	}
	for _, fd := range []int{toParentFD, fromParentFD, crashFD} {
		syscall.CloseOnExec(fd)
	}
	if err := syscall.SetNonblock(fromParentFD, true); err != nil {
		return nil
	}
	c := &Child{start: b,
		toParent: os.NewFile(toParentFD, "to supervisor"), fromParent: os.NewFile(fromParentFD, "from supervisor"),
		portSet: make(chan struct{}), stop: make(chan struct{}), abort: make(chan struct{})}
	crash := os.NewFile(crashFD, "crash")
	debug.SetCrashOutput(crash, debug.CrashOptions{}) // it duplicates the file; on an error the trace is on stderr only
	crash.Close()
	go c.readMessages()
	return c
}

func isPipe(fd int) bool {
	var st syscall.Stat_t
	return syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO
}

// Attach returns the connection of a process that Supervise started, and false in any other. The first call sends the
// hello and starts the heartbeats; SIGTERM and SIGINT are from then on requests to stop, passed on to all ranks.
func Attach() (*Child, bool) {
	c := inherited
	if c == nil {
		return nil, false
	}
	c.attach.Do(func() {
		c.send(kindHello, encodeJSON(hello{os.Getpid(), c.start.Place.GlobalRank}))
		signals := make(chan os.Signal, 1)
		Notify(signals, syscall.SIGTERM, os.Interrupt)
		go func() {
			for range signals {
				c.send(kindStop, nil)
			}
		}()
		go c.sendHeartbeats()
	})
	return c, true
}

// Place returns the rank's position in the job.
func (c *Child) Place() Place { return c.start.Place }

// send writes one message; an error means that the supervisor is gone, which readMessages finds as well.
func (c *Child) send(k kind, body []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return writeFrame(c.toParent, k, body)
}

// sendHeartbeats sends the rank's state at each interval.
func (c *Child) sendHeartbeats() {
	for range time.Tick(c.start.Beat) {
		if c.sendState() != nil {
			return
		}
	}
}

func (c *Child) sendState() error {
	c.mu.Lock()
	f := c.state
	c.mu.Unlock()
	var s State
	if f != nil {
		s = f()
	}
	return c.send(kindState, encodeJSON(s))
}

// readMessages handles the supervisor's messages, and ends the rank when the pipe closes.
func (c *Child) readMessages() {
	for {
		k, body, err := readFrame(c.fromParent)
		if err != nil {
			c.killJob()
			return
		}
		switch k {
		case kindPort:
			var p port
			if decodeJSON(k, body, &p) == nil {
				c.portOnce.Do(func() { c.port = p.Port; close(c.portSet) })
			}
		case kindPeers:
			var p peersBody
			if decodeJSON(k, body, &p) == nil {
				c.mu.Lock()
				c.groups = p.Groups
				c.mu.Unlock()
			}
		case kindStop:
			c.stopOnce.Do(func() { close(c.stop) })
		case kindAbort:
			c.abortOnce.Do(func() { c.cause = string(body); close(c.abort) })
		case kindDump:
			go func() { // the stacks may be more than the pipe takes at once
				c.sendState()
				c.send(kindDump, stacks.All(256<<10))
			}()
		}
	}
}

// killJob kills all processes of the job on this node, this one last.
func (c *Child) killJob() {
	c.mu.Lock()
	groups := c.groups
	c.mu.Unlock()
	self := os.Getpid()
	for _, g := range groups {
		if g > 1 && g != self {
			syscall.Kill(-g, syscall.SIGKILL)
		}
	}
	if syscall.Getpgrp() == self {
		syscall.Kill(-self, syscall.SIGKILL)
	}
	syscall.Kill(self, syscall.SIGKILL)
}

// SetState registers the function that returns the rank's state. It is called about once a second on another goroutine,
// and must not block.
func (c *Child) SetState(f func() State) {
	c.mu.Lock()
	c.state = f
	c.mu.Unlock()
}

// PublishPort sends all local ranks the port on which rank 0 listens.
func (c *Child) PublishPort(number int) error {
	if number < 1 || number > 65535 {
		return fmt.Errorf("launch: %d is not a port", number)
	}
	if err := c.send(kindPort, encodeJSON(port{number})); err != nil {
		return fmt.Errorf("launch: the port can't be published: %w", err)
	}
	return nil
}

// AwaitPort returns the port on which rank 0 listens: Place's, or, where that is 0, what rank 0 publishes. It waits
// until ctx ends, so the caller sets a deadline: rank 0 may never publish it.
func (c *Child) AwaitPort(ctx context.Context) (int, error) {
	if p := c.start.Place.MainPort; p != 0 {
		return p, nil
	}
	select {
	case <-c.portSet:
		return c.port, nil
	case <-c.abort:
		return 0, errors.New("launch: the job was aborted before rank 0 published its port: " + c.cause)
	case <-ctx.Done():
		return 0, fmt.Errorf("launch: rank 0 has not published its port: %w", context.Cause(ctx))
	}
}

// Stop is closed on a request to stop the job: by a signal to the supervisor, or to any rank.
func (c *Child) Stop() <-chan struct{} { return c.stop }

// Stopping reports to the supervisor that the ranks have agreed to stop. Why: of several nodes only one gets the
// signal, and the supervisors of the others would take the end of their ranks for a failure.
func (c *Child) Stopping() { c.send(kindStopping, nil) }

// Abort is closed when the job has failed elsewhere: waits for peers should end at once. The process is killed soon
// after.
func (c *Child) Abort() <-chan struct{} { return c.abort }

// Cause returns why the job was aborted, once Abort is closed.
func (c *Child) Cause() string { return c.cause }

// Exit sends the rank's outcome and ends the process: with exit code 0 where r is nil, ExitStopped where r.Stopped is
// set, else 1. result is what Supervise returns, if this is global rank 0. Exit does not return.
func (c *Child) Exit(result []byte, r *Report) {
	code := 0
	if r == nil && result != nil && c.start.Place.GlobalRank == 0 {
		if err := c.send(kindResult, result); err != nil {
			r = &Report{Message: "the result can't be returned: " + err.Error()}
		}
	}
	var body []byte
	if r != nil {
		c.sendState()
		body, code = encodeJSON(r), 1
		if len(body) > maxBody {
			short := *r
			short.Message = short.Message[:min(len(short.Message), maxBody/16)]
			short.Stack = short.Stack[:min(len(short.Stack), maxBody/16)]
			body = encodeJSON(short)
		}
		if r.Stopped {
			code = ExitStopped
		}
	}
	c.send(kindOutcome, body)
	os.Exit(code)
}
