package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/golite/golite/internal/netnstest"
)

// The test binary is also the ranks' program, and a supervisor that can be killed.
func TestMain(m *testing.M) {
	if c, ok := Attach(); ok {
		runRank(c)
	}
	if mode := os.Getenv("LAUNCH_TEST_SUPERVISE"); mode != "" {
		spec := testSpec(2, mode, os.Getenv("LAUNCH_TEST_DIR"))
		if node := os.Getenv("LAUNCH_TEST_NODE"); node != "" { // one of two
			spec.Nodes, spec.MainAddress, spec.MainPort = 2, netnstest.Main, 29555
			spec.NodeRank, _ = strconv.Atoi(node)
		}
		result, err := Supervise(context.Background(), spec)
		fmt.Printf("result %s error %v\n", result, err)
		if errors.Is(err, ErrStopped) {
			os.Exit(ExitStopped)
		}
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// testSpec makes a job of this binary. fault is what happens: "kind:rank", or "none".
func testSpec(ranks int, fault, dir string) Spec {
	return Spec{LocalRanks: ranks, Args: []string{"-test.run=^$"},
		Env:       append(os.Environ(), "LAUNCH_TEST_FAULT="+fault, "LAUNCH_TEST_DIR="+dir),
		Heartbeat: 50 * time.Millisecond, HangTimeout: 1500 * time.Millisecond, AbortGrace: time.Second,
		StopGrace: 10 * time.Second}
}

// trainer is a rank of a make-believe training: in each step all ranks meet at rank 0, over TCP.
type trainer struct {
	c     *Child
	place Place
	conns map[int]net.Conn // by the peer's rank
	step  int64
	state chan State // room for one: the state in force
}

func runRank(c *Child) {
	t := &trainer{c: c, place: c.Place(), state: make(chan State, 1), conns: map[int]net.Conn{}}
	t.state <- State{}
	c.SetState(func() State {
		s := <-t.state
		t.state <- s
		return s
	})
	note(fmt.Sprintf("rank%d", t.place.GlobalRank), os.Getpid())
	result, report := t.train()
	c.Exit(result, report)
}

// note writes a process's number where the test looks for survivors.
func note(name string, pid int) {
	dir := os.Getenv("LAUNCH_TEST_DIR")
	tmp := filepath.Join(dir, "."+name)
	os.WriteFile(tmp, []byte(strconv.Itoa(pid)), 0o644)
	os.Rename(tmp, filepath.Join(dir, name))
}

func (t *trainer) set(s State) { <-t.state; t.state <- s }

func (t *trainer) connect() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if t.place.GlobalRank == 0 {
		l, err := net.Listen("tcp", net.JoinHostPort(t.place.MainAddress, strconv.Itoa(t.place.MainPort)))
		if err != nil {
			return err
		}
		defer l.Close()
		if err := t.c.PublishPort(l.Addr().(*net.TCPAddr).Port); err != nil {
			return err
		}
		for range t.place.WorldSize - 1 { // each says who it is
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			var rank [1]byte
			if _, err := io.ReadFull(conn, rank[:]); err != nil {
				return err
			}
			t.conns[int(rank[0])] = conn
		}
		return nil
	}
	port, err := t.c.AwaitPort(ctx)
	if err != nil {
		return err
	}
	for { // a fixed port may not be listened on yet
		conn, err := net.Dial("tcp", net.JoinHostPort(t.place.MainAddress, strconv.Itoa(port)))
		if err == nil {
			t.conns[0] = conn
			_, err = conn.Write([]byte{byte(t.place.GlobalRank)})
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lost is a peer that did not come, and why.
type lost struct {
	peer int
	err  error
}

// meet is the barrier: a byte from everybody to rank 0, and one back.
func (t *trainer) meet() *lost {
	wait := 20 * time.Second
	if strings.HasPrefix(os.Getenv("LAUNCH_TEST_FAULT"), "loop") {
		wait = 500 * time.Millisecond // the timeout of a collective
	}
	b := []byte{1}
	t.set(State{Step: t.step, Seq: uint64(t.step), Waiting: "barrier at ranks_test.go", Since: time.Now()})
	defer func() { t.set(State{Step: t.step, Seq: uint64(t.step)}) }()
	for _, c := range t.conns {
		c.SetDeadline(time.Now().Add(wait))
	}
	if t.place.GlobalRank != 0 {
		if _, err := t.conns[0].Write(b); err != nil {
			return &lost{0, err}
		}
		if _, err := io.ReadFull(t.conns[0], b); err != nil {
			return &lost{0, err}
		}
		return nil
	}
	for peer, c := range t.conns {
		if _, err := io.ReadFull(c, b); err != nil {
			return &lost{peer, err}
		}
	}
	for peer, c := range t.conns {
		if _, err := c.Write(b); err != nil {
			return &lost{peer, err}
		}
	}
	return nil
}

func (t *trainer) train() ([]byte, *Report) {
	if err := t.connect(); err != nil {
		return nil, &Report{Message: err.Error()}
	}
	fault, at, _ := strings.Cut(os.Getenv("LAUNCH_TEST_FAULT"), ":")
	mine := at == strconv.Itoa(t.place.GlobalRank)
	steps := int64(20)
	if fault == "forever" || fault == "deaf" || fault == "parent" {
		steps = 1 << 40
	}
	if fault == "parent" && t.place.GlobalRank == 1 {
		commit("leave")
	}
	for t.step = 1; t.step <= steps; t.step++ {
		time.Sleep(2 * time.Millisecond)
		if mine && t.step == 10 {
			if report := commit(fault); report != nil {
				return nil, report
			}
		}
		select {
		case <-t.c.Stop():
			if fault != "deaf" {
				note("saved"+strconv.Itoa(t.place.GlobalRank), int(t.step))
				return nil, &Report{Message: "stopped", Stopped: true}
			}
		case <-t.c.Abort():
			return nil, &Report{Message: "aborted", Secondary: true}
		default:
		}
		if lost := t.meet(); lost != nil {
			select {
			case <-t.c.Stop(): // a peer saw the request one step earlier
				return nil, &Report{Message: "stopped", Stopped: true}
			default:
			}
			return nil, &Report{Message: "lost a peer: " + lost.err.Error(), Secondary: true, Blames: []int{lost.peer}}
		}
	}
	return []byte(fmt.Sprintf("rank %d did %d steps on port %d", t.place.GlobalRank, t.step-1, t.place.MainPort)), nil
}

// commit is what goes wrong with a rank.
func commit(fault string) *Report {
	switch fault {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "error":
		return &Report{Message: "the disk is full"}
	case "report-panic":
		return &Report{Message: "panic: index out of range", Stack: "goroutine 1 [running]:\nmain.train()"}
	case "panic":
		go panic("elsewhere")
		time.Sleep(time.Minute)
	case "segv":
		fmt.Fprintln(os.Stderr, "ranks_test.go: an assertion failed")
		abort()
		time.Sleep(time.Minute)
	case "exit":
		fmt.Fprintln(os.Stderr, "giving up")
		os.Exit(3)
	case "exit0":
		os.Exit(0)
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "loop":
		for i := 0; ; i++ {
			_ = i
		}
	case "garble":
		inherited.toParent.Write([]byte("this is no message"))
		time.Sleep(time.Minute)
	case "term":
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(100 * time.Millisecond)
	case "grandchild":
		cmd := exec.Command("sleep", "1000")
		cmd.Stderr = os.Stderr // holds the pipe open
		cmd.Start()
		note("grandchild", cmd.Process.Pid)
		return &Report{Message: "left a child behind"}
	case "leave":
		cmd := exec.Command("sleep", "1000")
		cmd.Stderr = os.Stderr
		cmd.Start()
		note("grandchild", cmd.Process.Pid)
	}
	return nil
}
