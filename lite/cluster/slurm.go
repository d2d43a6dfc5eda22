package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// SLURM is a job step started by srun (lightning.fabric.plugins.environments.SLURMEnvironment).
type SLURM struct{ v vars }

// NewSLURM returns SLURM's environment. A nil lookup reads the environment of the process.
func NewSLURM(lookup Lookup) *SLURM { return &SLURM{newVars("srun", lookup)} }

// Name is "SLURM".
func (e *SLURM) Name() string { return "SLURM" }

// Detect reports whether SLURM_NTASKS is set and the job is not an interactive one (its name is neither bash nor
// interactive). Inside an allocation mpirun may have started the process: its variables are then the inner ones, and
// SLURM's, the same in every rank, are not read.
func (e *SLURM) Detect() bool {
	if !e.v.has("SLURM_NTASKS") || e.interactive() {
		return false
	}
	n, ok, err := e.v.number("OMPI_COMM_WORLD_SIZE")
	return !ok || err != nil || n <= 1
}

func (e *SLURM) interactive() bool {
	name, _ := e.v.text("SLURM_JOB_NAME")
	return name == "bash" || name == "interactive"
}

// LaunchesExternally reports true.
func (e *SLURM) LaunchesExternally() bool { return true }

// MainAddress is MASTER_ADDR, else the first host of the step's node list (SLURM_STEP_NODELIST, SLURM_NODELIST or
// SLURM_JOB_NODELIST), else 127.0.0.1.
func (e *SLURM) MainAddress() (string, error) {
	if addr, ok := e.v.text("MASTER_ADDR"); ok {
		return addr, nil
	}
	return FirstHost(e.v.textOr("127.0.0.1", "SLURM_STEP_NODELIST", "SLURM_NODELIST", "SLURM_JOB_NODELIST"))
}

// MainPort is MASTER_PORT, else 15000 plus the last four digits of SLURM_JOB_ID, else 12910.
func (e *SLURM) MainPort() (int, error) {
	if port, ok, err := e.v.number("MASTER_PORT"); ok || err != nil {
		return port, err
	}
	job, ok := e.v.text("SLURM_JOB_ID")
	if !ok {
		return DefaultPort, nil
	}
	n, err := strconv.ParseUint(job[max(0, len(job)-4):], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("SLURM_JOB_ID=%q does not end in digits: set MASTER_PORT", job)
	}
	return 15000 + int(n), nil
}

// WorldSize is SLURM_NTASKS.
func (e *SLURM) WorldSize() (int, error) { return e.v.need("SLURM_NTASKS") }

// GlobalRank is SLURM_PROCID.
func (e *SLURM) GlobalRank() (int, error) { return e.v.need("SLURM_PROCID") }

// LocalRank is SLURM_LOCALID.
func (e *SLURM) LocalRank() (int, error) { return e.v.need("SLURM_LOCALID") }

// NodeRank is SLURM_NODEID.
func (e *SLURM) NodeRank() (int, error) { return e.v.need("SLURM_NODEID") }

// LocalWorldSize is SLURM_NTASKS_PER_NODE, else this node's share in SLURM_STEP_TASKS_PER_NODE or SLURM_TASKS_PER_NODE.
func (e *SLURM) LocalWorldSize() (int, error) {
	if n, ok, err := e.v.number("SLURM_NTASKS_PER_NODE"); ok || err != nil {
		return n, err
	}
	list, ok := e.v.text("SLURM_STEP_TASKS_PER_NODE")
	if !ok {
		list, ok = e.v.text("SLURM_TASKS_PER_NODE")
	}
	if !ok {
		n, err := e.WorldSize()
		if err == nil && n > 1 {
			err = fmt.Errorf("SLURM_NTASKS is %d, but no variable has the number of tasks on a node: "+
				"use --ntasks-per-node instead of --ntasks", n)
		}
		return n, err
	}
	counts, err := taskCounts(list)
	if err != nil {
		return 0, err
	}
	node, err := e.v.or(0, "SLURM_NODEID")
	if err != nil {
		return 0, err
	}
	if node < 0 || node >= len(counts) {
		return 0, fmt.Errorf("SLURM_NODEID is %d, but %q has %d nodes", node, list, len(counts))
	}
	return counts[node], nil
}

// taskCounts expands SLURM's "2(x3),1" to 2, 2, 2, 1.
func taskCounts(list string) ([]int, error) {
	var counts []int
	for part := range strings.SplitSeq(list, ",") {
		text, times, repeated := strings.Cut(strings.TrimSpace(part), "(x")
		n, err := strconv.Atoi(text)
		k := 1
		if err == nil && repeated {
			k, err = strconv.Atoi(strings.TrimSuffix(times, ")"))
		}
		if err != nil || n < 0 || k < 1 || len(counts)+k > maxHosts {
			return nil, fmt.Errorf("SLURM's tasks per node %q: %q is not a count such as 2 or 2(x3)", list, part)
		}
		for range k {
			counts = append(counts, n)
		}
	}
	return counts, nil
}

// Validate checks that the program was started by srun, that every node has as many tasks as there are devices, and
// that the number of nodes is SLURM's.
func (e *SLURM) Validate(devices, nodes int) error {
	tasks, err := e.WorldSize()
	if err != nil {
		return err
	}
	if tasks > 1 && !e.inStep() && e.v.has("SLURM_JOB_ID") {
		return fmt.Errorf("SLURM has %d tasks, but the program was not started by srun, so the other ranks will not start: "+
			"prepend srun to %s, or set the job's name to interactive to let golite start the ranks",
			tasks, filepath.Base(os.Args[0]))
	}
	perNode, err := e.LocalWorldSize()
	if err != nil {
		return err
	}
	if perNode != devices {
		return fmt.Errorf("devices=%d, but SLURM has %d tasks on this node (--ntasks-per-node): set devices=%d, "+
			"or the job's name to interactive to let golite start the ranks", devices, perNode, perNode)
	}
	n, ok, err := e.v.number("SLURM_STEP_NUM_NODES", "SLURM_NNODES")
	if err == nil && ok && n != nodes {
		return fmt.Errorf("num_nodes=%d, but SLURM has %d (--nodes): set num_nodes=%d", nodes, n, n)
	}
	return err
}

// inStep reports whether srun started the process: a batch script sees the job's variables, but not the step's.
func (e *SLURM) inStep() bool {
	return e.v.has("SLURM_STEP_NUM_TASKS") || e.v.has("SLURM_STEP_ID") || e.v.has("SLURM_STEPID")
}

// Warning returns advice where srun is installed inside an allocation and was not used, and "" otherwise. found reports
// whether the srun command is there.
func (e *SLURM) Warning(found bool) string {
	if !found || e.v.has("SLURM_NTASKS") || !e.v.has("SLURM_JOB_ID") || e.interactive() {
		return ""
	}
	return "this is a SLURM allocation, but the program was not started by srun: prepend srun if its ranks should run on all nodes"
}
