package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/term"
)

// Spec configures Supervise. Only LocalRanks is required.
type Spec struct {
	LocalRanks  int    // processes on this node
	Nodes       int    // 0: 1
	NodeRank    int    // this node's
	MainAddress string // where rank 0 listens; empty: 127.0.0.1
	MainPort    int    // 0: rank 0 takes a free port and publishes it; on several nodes it must be set

	Path string   // the program; empty: this one
	Args []string // its arguments, without the program's name; nil: this one's
	Env  []string // its environment, to which the ranks' variables are added; nil: this one's

	Stdout, Stderr io.Writer // nil: this process's
	Prefix         bool      // write "[rank N] " before each line of output

	Heartbeat   time.Duration // interval of the ranks' state messages; 0: 1 s
	HangTimeout time.Duration // a rank without a heartbeat for so long hangs; 0: 60 s, negative: never
	StopGrace   time.Duration // between a request to stop and its end; 0: 30 s
	AbortGrace  time.Duration // between a failure of one rank and the killing of the others; 0: 3 s
	Settle      time.Duration // how long failures are collected before the first cause is chosen; 0: 250 ms

	Logger *zap.Logger // nil: none
}

func (s Spec) withDefaults() (Spec, error) {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.Heartbeat, time.Second)
	def(&s.HangTimeout, time.Minute)
	def(&s.StopGrace, 30*time.Second)
	def(&s.AbortGrace, 3*time.Second)
	def(&s.Settle, 250*time.Millisecond)
	s.Nodes = max(1, s.Nodes)
	if s.MainAddress == "" {
		s.MainAddress = "127.0.0.1"
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Args == nil {
		s.Args = os.Args[1:]
	}
	if s.Env == nil {
		s.Env = os.Environ()
	}
	if s.Stdout == nil {
		s.Stdout = os.Stdout
	}
	if s.Stderr == nil {
		s.Stderr = os.Stderr
	}
	switch {
	case s.LocalRanks < 1:
		return s, fmt.Errorf("launch: %d ranks on this node: want 1 or more", s.LocalRanks)
	case s.NodeRank < 0 || s.NodeRank >= s.Nodes:
		return s, fmt.Errorf("launch: node rank %d of %d nodes", s.NodeRank, s.Nodes)
	case s.Nodes > 1 && s.MainPort == 0:
		return s, fmt.Errorf("launch: %d nodes need a port on which rank 0 listens: set MASTER_PORT", s.Nodes)
	}
	if s.Path == "" {
		path, err := os.Executable()
		if err != nil {
			return s, fmt.Errorf("launch: the program to start again can't be found: %w", err)
		}
		s.Path = path
	}
	return s, nil
}

// CheckPort reports whether a fixed port of this host is free, with an error that names the remedy.
func CheckPort(number int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(number)))
	if err != nil {
		return fmt.Errorf("launch: rank 0 can't listen on port %d: %w; set MASTER_PORT to a free one, "+
			"or, on one node, leave it unset", number, err)
	}
	return l.Close()
}

// process is a started rank.
type process struct {
	cmd       *exec.Cmd
	toChild   *os.File
	fromChild *os.File
	out       []*pump
	errs      *pump // nil: the standard error is this process's terminal
	crash     *pump
	outbox    chan frame
	drained   chan struct{} // closed when all its messages have been read
	gone      atomic.Bool
	work      sync.WaitGroup // the goroutines that serve it
}

type frame struct {
	kind kind
	body []byte
}

// event is an input of the supervisor's loop.
type event struct {
	rank int
	kind kind
	body []byte
	exit *exit
	err  error // the rank sent something that is no message
}

// supervisor executes the job's actions.
type supervisor struct {
	job       *job
	procs     []*process
	events    chan event
	lock      sync.Mutex     // of the outputs
	work      sync.WaitGroup // the thread that starts
	startDone chan struct{}  // closed to let the starting thread go
}

// Supervise starts the ranks of this node and returns when all their processes have ended: with the bytes that global
// rank 0 gave Exit, or with the one error of the job, a *JobError. SIGTERM, SIGINT and SIGHUP are passed on as requests
// to stop; the error then wraps ErrStopped, unless the ranks went on and finished. A second signal ends the grace at
// once. When ctx ends, the job is aborted, and the error wraps its cause.
func Supervise(ctx context.Context, spec Spec) ([]byte, error) {
	spec, err := spec.withDefaults()
	if err != nil {
		return nil, err
	}
	if spec.MainPort != 0 && spec.NodeRank == 0 {
		if err := CheckPort(spec.MainPort); err != nil {
			return nil, err
		}
	}
	signals := make(chan os.Signal, 4)
	Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)

	s := &supervisor{job: newJob(spec, time.Now()), events: make(chan event, 64), startDone: make(chan struct{})}
	if err := s.start(); err != nil {
		return nil, err
	}
	s.loop(ctx, signals)
	s.finish()
	return s.job.verdict()
}

// finish waits until every goroutine has ended, except those of a process that does not end. Their last events are
// dropped.
func (s *supervisor) finish() {
	close(s.startDone)
	ended := make(chan struct{})
	go func() {
		for range s.events {
		}
		close(ended)
	}()
	s.work.Wait()
	left := false
	for i, p := range s.procs {
		if s.job.ranks[i].left {
			left = true
			continue
		}
		p.work.Wait()
	}
	if left {
		return
	}
	close(s.events)
	<-ended
}

// start starts all ranks from one thread, which is kept: the parent-death signal is sent when the thread ends.
func (s *supervisor) start() error {
	id := rand.Text()
	failed := make(chan error, 1)
	s.work.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for i := range s.job.ranks {
			p, err := s.startRank(i, id)
			if err != nil {
				failed <- &JobError{Rank: s.job.global(i), Kind: CauseStart,
					Message: "the process can't be started: " + err.Error()}
				<-s.startDone
				return
			}
			s.procs = append(s.procs, p)
		}
		failed <- nil
		<-s.startDone
	})
	err := <-failed
	for i, p := range s.procs {
		s.job.ranks[i].pid = p.cmd.Process.Pid
		s.job.ranks[i].lastSign = time.Now()
		s.watch(i, p)
	}
	if err != nil {
		for i := len(s.procs); i < len(s.job.ranks); i++ {
			s.job.ranks[i].exited = true
		}
		s.job.phase, s.job.killAt = aborting, time.Now()
		s.loop(context.Background(), nil)
		s.finish()
		return err
	}
	groups := encodeJSON(peersBody{s.groups()})
	s.carryOut(s.job.each(action{do: sendMessage, kind: kindPeers, body: groups}))
	return nil
}

func (s *supervisor) groups() []int {
	var list []int
	for _, p := range s.procs {
		list = append(list, p.cmd.Process.Pid)
	}
	return list
}

// startRank starts one rank, with its pipes and its outputs.
func (s *supervisor) startRank(i int, id string) (*process, error) {
	spec := s.job.spec
	place := Place{Job: id, GlobalRank: s.job.global(i), LocalRank: i, NodeRank: spec.NodeRank,
		WorldSize: spec.LocalRanks * spec.Nodes, LocalWorldSize: spec.LocalRanks,
		MainAddress: spec.MainAddress, MainPort: spec.MainPort}
	p := &process{cmd: exec.Command(spec.Path, spec.Args...),
		outbox: make(chan frame, 16), drained: make(chan struct{})}
	p.cmd.Args[0] = os.Args[0]
	p.cmd.Env = append(append([]string(nil), spec.Env...), rankVariables(place, spec.Heartbeat)...)
	p.cmd.SysProcAttr = attributes()
	var w pipes
	err := s.connect(p, &w, place.GlobalRank)
	if err == nil {
		err = p.cmd.Start()
	}
	closeAll(w.child)
	if err != nil {
		closeAll(w.parent)
		return nil, err
	}
	return p, nil
}

// connect gives a rank its pipes, in the order of their file descriptors there, and its outputs.
func (s *supervisor) connect(p *process, w *pipes, global int) error {
	spec, prefix := s.job.spec, ""
	if spec.Prefix {
		prefix = fmt.Sprintf("[rank %d] ", global)
	}
	capture := func(to io.Writer) (*pump, *os.File) {
		from, rank := w.toParent()
		out := &pump{from: from, to: to, lock: &s.lock, prefix: prefix, done: make(chan struct{})}
		p.out = append(p.out, out)
		return out, rank
	}
	var toParent, fromParent, crash *os.File
	p.fromChild, toParent = w.toParent()
	p.toChild, fromParent = w.toChild()
	p.crash, crash = capture(io.Discard)
	p.cmd.ExtraFiles = []*os.File{toParent, fromParent, crash}
	if f, ok := spec.Stderr.(*os.File); ok && prefix == "" && term.IsTerminal(int(f.Fd())) {
		p.cmd.Stderr = f // progress bars test for a terminal
	} else {
		p.errs, p.cmd.Stderr = capture(spec.Stderr)
	}
	if f, ok := spec.Stdout.(*os.File); ok && prefix == "" {
		p.cmd.Stdout = f
	} else {
		_, p.cmd.Stdout = capture(spec.Stdout)
	}
	return w.err
}

// pipes are the pipes of a rank that is being started. After the first error no more are made.
type pipes struct {
	parent, child []*os.File // the two ends
	err           error
}

// toParent makes a pipe from the rank to this process.
func (w *pipes) toParent() (parent, child *os.File) {
	parent, child = w.pipe()
	return w.keep(parent, child)
}

// toChild makes a pipe from this process to the rank.
func (w *pipes) toChild() (parent, child *os.File) {
	child, parent = w.pipe()
	return w.keep(parent, child)
}

func (w *pipes) pipe() (reads, writes *os.File) {
	if w.err == nil {
		reads, writes, w.err = os.Pipe()
	}
	return reads, writes
}

func (w *pipes) keep(parent, child *os.File) (*os.File, *os.File) {
	if w.err == nil {
		w.parent, w.child = append(w.parent, parent), append(w.child, child)
	}
	return parent, child
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// rankVariables are PyTorch's variables, and the marker.
func rankVariables(p Place, beat time.Duration) []string {
	return []string{
		"RANK=" + strconv.Itoa(p.GlobalRank), "LOCAL_RANK=" + strconv.Itoa(p.LocalRank),
		"NODE_RANK=" + strconv.Itoa(p.NodeRank),
		"GROUP_RANK=" + strconv.Itoa(p.NodeRank), "WORLD_SIZE=" + strconv.Itoa(p.WorldSize),
		"LOCAL_WORLD_SIZE=" + strconv.Itoa(p.LocalWorldSize),
		"MASTER_ADDR=" + p.MainAddress, "MASTER_PORT=" + strconv.Itoa(p.MainPort),
		marker + "=" + string(encodeJSON(startInfo{protocolVersion, p, beat})),
	}
}

// watch starts the goroutines that serve one rank. All end when its process has.
func (s *supervisor) watch(i int, p *process) {
	for _, out := range p.out {
		p.work.Go(out.run)
	}
	p.work.Go(func() { // reader
		defer close(p.drained)
		for {
			k, body, err := readFrame(p.fromChild)
			if errors.Is(err, errFrame) {
				s.events <- event{rank: i, err: err}
			}
			if err != nil {
				return
			}
			s.events <- event{rank: i, kind: k, body: body}
		}
	})
	p.work.Go(func() { // writer
		for f := range p.outbox {
			writeFrame(p.toChild, f.kind, f.body) // its exit is reported by await
		}
		p.toChild.Close()
	})
	p.work.Go(func() { s.await(i, p) })
}

// await waits for the process, kills what is left of its group, and reports its exit once all its messages have been
// read.
func (s *supervisor) await(i int, p *process) {
	pid := p.cmd.Process.Pid
	awaitExit(pid)
	syscall.Kill(-pid, syscall.SIGKILL)
	p.gone.Store(true) // from here on the PID may be reused
	p.cmd.Wait()
	limit := time.After(2 * time.Second) // what left the group may hold a pipe open
	for _, ended := range append([]chan struct{}{p.drained}, doneOf(p.out)...) {
		select {
		case <-ended:
		case <-limit:
			limit = time.After(0)
		}
	}
	p.fromChild.Close()
	for _, out := range p.out {
		out.from.Close()
		<-out.done
	}
	e := &exit{code: p.cmd.ProcessState.ExitCode(), crash: p.crash.last()}
	if p.errs != nil {
		e.stderr = p.errs.last()
	}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.signal, e.code = ws.Signal(), 0
	}
	s.events <- event{rank: i, exit: e}
}

func doneOf(pumps []*pump) []chan struct{} {
	var list []chan struct{}
	for _, p := range pumps {
		list = append(list, p.done)
	}
	return list
}

// loop feeds the job until all processes have ended.
func (s *supervisor) loop(ctx context.Context, signals <-chan os.Signal) {
	tick := time.NewTicker(min(50*time.Millisecond, s.job.spec.Settle))
	defer tick.Stop()
	done := ctx.Done()
	for !s.job.over() {
		var list []action
		select {
		case e := <-s.events:
			list = s.take(e)
		case sig := <-signals:
			list = s.job.onSignal(sig, time.Now())
		case <-done:
			done = nil
			list = s.job.onCancel(context.Cause(ctx), time.Now())
		case now := <-tick.C:
			list = s.job.onTick(now)
		}
		s.carryOut(list)
	}
	for _, p := range s.procs {
		close(p.outbox)
	}
}

func (s *supervisor) take(e event) []action {
	now := time.Now()
	switch {
	case e.exit != nil:
		s.job.spec.Logger.Debug("a rank has ended", zap.Int("rank", s.job.global(e.rank)), zap.Int("code", e.exit.code))
		return s.job.onExit(e.rank, *e.exit, now)
	case e.err != nil:
		return s.job.fail(failure{rank: e.rank, kind: CauseGarbled, message: e.err.Error(), at: now})
	}
	return s.job.onMessage(e.rank, e.kind, e.body, now)
}

func (s *supervisor) carryOut(list []action) {
	for _, a := range list {
		p := s.procs[a.rank]
		switch a.do {
		case sendMessage:
			select {
			case p.outbox <- frame{a.kind, a.body}:
			default: // the rank does not read: the message is dropped
			}
		case terminate:
			p.signal(syscall.SIGTERM)
		case interrupt:
			p.signal(syscall.SIGTERM)
			p.signal(syscall.SIGCONT)
		case kill:
			p.signal(syscall.SIGKILL)
		}
	}
}

// signal sends a signal to the rank's process group.
func (p *process) signal(sig syscall.Signal) {
	if !p.gone.Load() {
		syscall.Kill(-p.cmd.Process.Pid, sig)
	}
}
