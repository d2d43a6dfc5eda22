package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
)

// LSF is a job of IBM's LSF, started by jsrun (lightning.fabric.plugins.environments.LSFEnvironment).
type LSF struct {
	v        vars
	readFile func(string) ([]byte, error)
	hostname func() (string, error)
}

// NewLSF returns LSF's environment. A nil lookup reads the environment of the process.
func NewLSF(lookup Lookup) *LSF { return &LSF{newVars("jsrun", lookup), readSmallFile, os.Hostname} }

// readSmallFile reads a regular file of a few lines; one for every slot of the largest machine is some megabytes.
func readSmallFile(path string) ([]byte, error) { return regular.ReadFile(path, 64<<20) }

// Name is "LSF".
func (e *LSF) Name() string { return "LSF" }

// Detect reports whether LSB_JOBID, LSB_DJOB_RANKFILE, JSM_NAMESPACE_LOCAL_RANK and JSM_NAMESPACE_SIZE are set.
func (e *LSF) Detect() bool {
	return e.v.has("LSB_JOBID", "LSB_DJOB_RANKFILE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE")
}

// LaunchesExternally reports true.
func (e *LSF) LaunchesExternally() bool { return true }

// hosts reads the rank file: one host a rank. Its first line is the node that launches, which runs no rank.
func (e *LSF) hosts() ([]string, error) {
	path, ok := e.v.text("LSB_DJOB_RANKFILE")
	if !ok {
		return nil, fmt.Errorf("LSB_DJOB_RANKFILE is not set, or empty: was the program started by jsrun?")
	}
	raw, err := e.readFile(path)
	if err != nil {
		return nil, fmt.Errorf("LSB_DJOB_RANKFILE: %w", err)
	}
	lines := strings.Fields(string(raw))
	if len(lines) < 2 {
		return nil, fmt.Errorf("LSB_DJOB_RANKFILE %s names no host after the launch node", path)
	}
	return lines[1:], nil
}

// MainAddress is MASTER_ADDR, else the first host of the rank file after the launch node.
func (e *LSF) MainAddress() (string, error) {
	if addr, ok := e.v.text("MASTER_ADDR"); ok {
		return addr, nil
	}
	hosts, err := e.hosts()
	if err != nil {
		return "", err
	}
	return hosts[0], nil
}

// MainPort is MASTER_PORT, else 10000 plus LSB_JOBID modulo 1000.
func (e *LSF) MainPort() (int, error) {
	if port, ok, err := e.v.number("MASTER_PORT"); ok || err != nil {
		return port, err
	}
	text, _ := e.v.text("LSB_JOBID")
	job, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("LSB_JOBID=%q is not a number: set MASTER_PORT", text)
	}
	return 10000 + int(job%1000), nil
}

// WorldSize is JSM_NAMESPACE_SIZE.
func (e *LSF) WorldSize() (int, error) { return e.v.need("JSM_NAMESPACE_SIZE") }

// GlobalRank is JSM_NAMESPACE_RANK.
func (e *LSF) GlobalRank() (int, error) { return e.v.need("JSM_NAMESPACE_RANK") }

// LocalRank is JSM_NAMESPACE_LOCAL_RANK.
func (e *LSF) LocalRank() (int, error) { return e.v.need("JSM_NAMESPACE_LOCAL_RANK") }

// NodeRank is the position of this host among the hosts of the rank file.
func (e *LSF) NodeRank() (int, error) {
	hosts, self, err := e.placed()
	if err != nil {
		return 0, err
	}
	index := map[string]int{}
	for _, h := range hosts {
		if _, seen := index[h]; !seen {
			index[h] = len(index)
		}
	}
	return index[self], nil
}

// placed returns the hosts of the rank file and this host's name as it is written there, with or without its domain.
func (e *LSF) placed() (hosts []string, self string, err error) {
	if hosts, err = e.hosts(); err != nil {
		return nil, "", err
	}
	name, err := e.hostname()
	if err != nil {
		return nil, "", err
	}
	short := func(s string) string { s, _, _ = strings.Cut(s, "."); return s }
	for _, h := range hosts {
		if h == name {
			return hosts, h, nil
		}
	}
	for _, h := range hosts {
		if short(h) != "" && short(h) == short(name) {
			return hosts, h, nil
		}
	}
	return nil, "", fmt.Errorf("this host, %s, is not in LSB_DJOB_RANKFILE (%s)", name, strings.Join(hosts, " "))
}

// LocalWorldSize is JSM_NAMESPACE_LOCAL_SIZE, else the number of lines of the rank file that name this host.
func (e *LSF) LocalWorldSize() (int, error) {
	if n, ok, err := e.v.number("JSM_NAMESPACE_LOCAL_SIZE"); ok || err != nil {
		return n, err
	}
	hosts, self, err := e.placed()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, h := range hosts {
		if h == self {
			n++
		}
	}
	return n, nil
}

// Validate checks that devices times nodes is JSM_NAMESPACE_SIZE.
func (e *LSF) Validate(devices, nodes int) error {
	world, err := e.WorldSize()
	if err != nil {
		return err
	}
	return checkWorld("JSM_NAMESPACE_SIZE", devices, nodes, world)
}
