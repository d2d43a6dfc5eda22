package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sample is what one process measured in one round.
type sample map[string]float64

// contestant is a program that takes part in a group.
type contestant struct {
	name string
	args []string
	env  []string
	// threads is how many one operation has.
	threads int
}

// group is contestants that take turns, and the rows that compare two of them.
type group struct {
	name        string
	whole       bool // each round is a process of its own; otherwise a process answers once a round
	rounds      int  // 0: as many as the driver was told
	contestants []contestant
	rows        []row
}

// measure returns the samples of each contestant.
func (g group) measure(ctx context.Context, rounds int) (map[string][]sample, error) {
	samples := map[string][]sample{}
	if g.whole {
		for range max(3, rounds/3) {
			for _, c := range g.contestants {
				s, err := c.once(ctx)
				if err != nil {
					return nil, err
				}
				samples[c.name] = append(samples[c.name], s)
			}
		}
		return samples, nil
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, c := range g.contestants {
		s, err := c.serve(ctx)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	for round := range rounds {
		for k := range servers {
			s := servers[(round+k)%len(servers)] // nobody is always the first
			v, err := s.ask()
			if err != nil {
				return nil, err
			}
			samples[s.name] = append(samples[s.name], v)
		}
	}
	return samples, nil
}

func (c contestant) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+strconv.Itoa(c.threads), "TORCH_CPP_LOG_LEVEL=ERROR", "PYTHONWARNINGS=ignore")
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// server is a process that measures once for each line that it is sent.
type server struct {
	contestant
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err *strings.Builder
}

func (c contestant) serve(ctx context.Context) (*server, error) {
	s := &server{contestant: c, cmd: c.command(ctx), err: &strings.Builder{}}
	s.cmd.Stderr = s.err
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	_, err = s.read() // it is warm
	return s, err
}

func (s *server) ask() (sample, error) {
	if _, err := io.WriteString(s.in, "go\n"); err != nil {
		return nil, s.failed(err)
	}
	return s.read()
}

// read takes the next line that is JSON: what else a program prints is passed over.
func (s *server) read() (sample, error) {
	for s.out.Scan() {
		if v, ok := parse(s.out.Bytes()); ok {
			return v, nil
		}
	}
	return nil, s.failed(errors.Join(s.out.Err(), errors.New("it ended")))
}

func (s *server) failed(err error) error {
	return fmt.Errorf("%s (%s): %w\n%s", s.name, strings.Join(s.args, " "), err, s.err)
}

func (s *server) stop() {
	s.in.Close()
	s.cmd.Wait()
}

// once runs a process to its end. Its sample is its last JSON line, with the milliseconds until that line came as "line" and the
// peak of its resident memory in bytes as "peak".
func (c contestant) once(ctx context.Context) (sample, error) {
	cmd := c.command(ctx)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	result := sample{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if v, ok := parse(lines.Bytes()); ok {
			result = v
			result["line"] = time.Since(start).Seconds() * 1e3
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s (%s): %w\n%s", c.name, strings.Join(c.args, " "), err, stderr.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	result["peak"] = float64(usage.Maxrss) * 1024
	result["wall"] = time.Since(start).Seconds() * 1e3
	result["cpu"] = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() * 1e3
	return result, nil
}

// parse reads the numbers of a JSON object.
func parse(line []byte) (sample, bool) {
	var v map[string]any
	if json.Unmarshal(line, &v) != nil {
		return nil, false
	}
	s := sample{}
	for k, x := range v {
		if f, ok := x.(float64); ok {
			s[k] = f
		}
	}
	return s, true
}
