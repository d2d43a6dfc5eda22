package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// TorchElastic is a job started by torchrun (lightning.fabric.plugins.environments.TorchElasticEnvironment;
// torch.distributed.elastic).
type TorchElastic struct{ v vars }

// NewTorchElastic returns torchrun's environment. A nil lookup reads the environment of the process.
func NewTorchElastic(lookup Lookup) *TorchElastic {
	return &TorchElastic{newVars("torchrun", lookup)}
}

// Name is "torchrun".
func (e *TorchElastic) Name() string { return "torchrun" }

// Detect reports whether TORCHELASTIC_RUN_ID is set.
func (e *TorchElastic) Detect() bool { return e.v.has("TORCHELASTIC_RUN_ID") }

// LaunchesExternally reports true.
func (e *TorchElastic) LaunchesExternally() bool { return true }

// MainAddress is MASTER_ADDR, else 127.0.0.1.
func (e *TorchElastic) MainAddress() (string, error) {
	return e.v.textOr("127.0.0.1", "MASTER_ADDR"), nil
}

// MainPort is MASTER_PORT, else 12910.
func (e *TorchElastic) MainPort() (int, error) { return e.v.or(DefaultPort, "MASTER_PORT") }

// WorldSize is WORLD_SIZE.
func (e *TorchElastic) WorldSize() (int, error) { return e.v.need("WORLD_SIZE") }

// GlobalRank is RANK.
func (e *TorchElastic) GlobalRank() (int, error) { return e.v.need("RANK") }

// LocalRank is LOCAL_RANK.
func (e *TorchElastic) LocalRank() (int, error) { return e.v.need("LOCAL_RANK") }

// NodeRank is GROUP_RANK, else 0.
func (e *TorchElastic) NodeRank() (int, error) { return e.v.or(0, "GROUP_RANK") }

// LocalWorldSize is LOCAL_WORLD_SIZE.
func (e *TorchElastic) LocalWorldSize() (int, error) { return e.v.need("LOCAL_WORLD_SIZE") }

// Validate checks that devices times nodes is WORLD_SIZE.
func (e *TorchElastic) Validate(devices, nodes int) error {
	world, err := e.WorldSize()
	if err != nil {
		return err
	}
	return checkWorld("torchrun's WORLD_SIZE", devices, nodes, world)
}

// Restarts is the number of times torchrun has restarted the ranks (TORCHELASTIC_RESTART_COUNT): a program that is not
// at its first start resumes from its last checkpoint.
func (e *TorchElastic) Restarts() (int, error) { return e.v.or(0, "TORCHELASTIC_RESTART_COUNT") }

// AgentStore reports whether torchrun's agent itself serves the TCPStore at MainAddress and MainPort
// (TORCHELASTIC_USE_AGENT_STORE): rank 0 must then connect to it as the others do, and bind nothing.
func (e *TorchElastic) AgentStore() bool {
	s, _ := e.v.text("TORCHELASTIC_USE_AGENT_STORE")
	return s == "True"
}

// StorePrefix is the prefix that torchrun's ranks in Python use: "/worker/attempt_" and the number of restarts.
func (e *TorchElastic) StorePrefix() (string, error) {
	n, err := e.Restarts()
	return fmt.Sprintf("/worker/attempt_%d", n), err
}

// ReportError tells torchrun why this rank fails, so that it names the cause in place of an exit code: it writes the file
// that TORCHELASTIC_ERROR_FILE names, unless it is there already. Without the variable it does nothing.
func (e *TorchElastic) ReportError(message, stack string) error {
	path, ok := e.v.text("TORCHELASTIC_ERROR_FILE")
	if !ok {
		return nil
	}
	type extra struct {
		Stack string `json:"py_callstack"`
		Time  string `json:"timestamp"` // seconds since 1970, as text
	}
	type report struct {
		Message string `json:"message"`
		Extra   extra  `json:"extraInfo"`
	}
	stack = strings.TrimSpace(message + "\n" + stack) // torchrun shows the stack, and the message only without one
	body, err := json.Marshal(map[string]report{"message": {message, extra{stack, strconv.FormatInt(time.Now().Unix(), 10)}}})
	if err != nil {
		return fmt.Errorf("torchrun's error file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if os.IsExist(err) {
		return nil // the first error of this process is the cause
	}
	if err != nil {
		return fmt.Errorf("torchrun's error file: %w", err)
	}
	_, err = f.Write(body)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("torchrun's error file: %w", err)
	}
	return nil
}
