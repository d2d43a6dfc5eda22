package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

type env = map[string]string

func with(base env, more env) env {
	out := env{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range more {
		if v == "" {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

// The variables that each engine sets, with the values of a job in mid-run. torchrun's (2.11.0), Open MPI's (4.1.4) and
// SLURM's (22.05.8) were read from their ranks; the others are those that the engines document.
var (
	torchrun = env{
		"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "0",
		"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400", "WORLD_SIZE": "8", "RANK": "5", "GROUP_RANK": "1",
		"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "ROLE_RANK": "5", "TORCHELASTIC_USE_AGENT_STORE": "True",
	}
	srun = env{
		"SLURM_JOB_ID": "0001234", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2",
		"SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
		"SLURM_NODELIST": "host[5-6]", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4",
	}
	mpirun = env{
		"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "2",
		"OMPI_COMM_WORLD_LOCAL_SIZE": "4", "OMPI_COMM_WORLD_NODE_RANK": "2", "PMIX_NAMESPACE": "1938292737",
	}
	horovodrun = env{
		"HOROVOD_RANK": "3", "HOROVOD_SIZE": "4", "HOROVOD_LOCAL_RANK": "1", "HOROVOD_LOCAL_SIZE": "2", "HOROVOD_CROSS_RANK": "1",
		"HOROVOD_CROSS_SIZE": "2", "HOROVOD_HOSTNAME": "b", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "10.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": "41235",
		"HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_GLOO_IFACE": "eth0", "MASTER_ADDR": "a",
	}
	pytorchJob = env{
		"KUBERNETES_PORT": "tcp://10.0.0.1:443", "MASTER_ADDR": "train-master-0", "MASTER_PORT": "23456",
		"WORLD_SIZE": "3", "RANK": "2",
	}
)

func TestDetectionOrder(t *testing.T) {
	lsf := env{"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "f", "JSM_NAMESPACE_LOCAL_RANK": "0", "JSM_NAMESPACE_SIZE": "2"}
	for _, c := range []struct {
		name string
		env  env
		want string
	}{
		{"nothing set", env{}, "local"},
		{"only NODE_RANK, so children are still launched", env{"NODE_RANK": "1"}, "local"},
		{"LOCAL_RANK, so the user launches", env{"LOCAL_RANK": "0"}, "variables set by hand"},
		{"PyTorch's own variables", env{"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "h"}, "variables set by hand"},
		{"WORLD_SIZE alone says nothing", env{"WORLD_SIZE": "2"}, "local"},
		{"torchrun", torchrun, "torchrun"},
		{"torchrun inside SLURM", with(srun, torchrun), "torchrun"},
		{"srun", srun, "SLURM"},
		{"an interactive SLURM job", with(srun, env{"SLURM_JOB_NAME": "interactive"}), "local"},
		{"a shell in a SLURM job", with(srun, env{"SLURM_JOB_NAME": "bash"}), "local"},
		{"mpirun inside a SLURM allocation", with(srun, mpirun), "MPI"},
		{"SLURM before LSF", with(srun, lsf), "SLURM"},
		{"LSF before MPI", with(mpirun, lsf), "LSF"},
		{"mpirun", mpirun, "MPI"},
		{"mpirun with one rank", with(mpirun, env{"OMPI_COMM_WORLD_SIZE": "1"}), "local"},
		{"horovodrun", horovodrun, "Horovod"},
		{"horovodrun inside SLURM", with(srun, horovodrun), "Horovod"},
		{"horovodrun under mpirun's controller", with(mpirun, env{"HOROVOD_CYCLE_TIME": "1"}), "MPI"},
		{"a PyTorchJob", pytorchJob, "Kubernetes PyTorchJob"},
		{"torchrun in a pod", with(pytorchJob, torchrun), "torchrun"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Detect(nil, Map(c.env)).Name())
		})
	}
	plugin := NewKubeflow(Map(env{}))
	require.Same(t, Environment(plugin), Detect(plugin, Map(torchrun)), "a plugin goes before all")
}

func TestPlacements(t *testing.T) {
	for _, c := range []struct {
		name           string
		env            env
		devices, nodes int
		want           Placement
	}{
		{"a clean environment; rank 0 takes a port", env{}, 1, 1, Placement{"127.0.0.1", 0, 1, 0, 0, 0, 1}},
		{"4 ranks on each of 2 nodes", env{"NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "9000"}, 4, 2,
			Placement{"a", 9000, 8, 4, 0, 1, 4}},
		{"GROUP_RANK is the node's rank", env{"GROUP_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "9"}, 1, 2,
			Placement{"a", 9, 2, 1, 0, 1, 1}},
		{"a stale WORLD_SIZE is not believed", env{"WORLD_SIZE": "7"}, 2, 1, Placement{"127.0.0.1", 0, 2, 0, 0, 0, 2}},
		{"torchrun, 4 x 2", torchrun, 4, 2, Placement{"127.0.0.1", 29400, 8, 5, 1, 1, 4}},
		{"torchrun without a port", with(torchrun, env{"MASTER_PORT": ""}), 4, 2, Placement{"127.0.0.1", 12910, 8, 5, 1, 1, 4}},
		{"srun", srun, 2, 2, Placement{"host5", 16234, 4, 3, 1, 1, 2}},
		{"srun without --ntasks-per-node", with(srun, env{"SLURM_NTASKS_PER_NODE": "", "SLURM_TASKS_PER_NODE": "2(x2)"}), 2, 2,
			Placement{"host5", 16234, 4, 3, 1, 1, 2}},
		{"srun -n 2 as it is", env{"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "prog", "SLURM_NTASKS": "2", "SLURM_NPROCS": "2",
			"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODELIST": "localhost",
			"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "2",
			"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_TASKS_PER_NODE": "2"}, 2, 1, Placement{"localhost", 15001, 2, 1, 1, 0, 2}},
		{"mpirun on one node", with(mpirun, env{"MASTER_PORT": "7777"}), 4, 1, Placement{"127.0.0.1", 7777, 4, 2, 2, 0, 4}},
		{"mpirun, filled node after node", with(mpirun, env{"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0",
			"MASTER_ADDR": "a", "MASTER_PORT": "1"}), 2, 2, Placement{"a", 1, 4, 2, 0, 1, 2}},
		{"mpirun, dealt out in turn", with(mpirun, env{"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
			"MASTER_ADDR": "a", "MASTER_PORT": "1"}), 2, 2, Placement{"a", 1, 4, 2, 1, 0, 2}},
		{"MPICH and Intel MPI", env{"PMI_SIZE": "2", "PMI_RANK": "1", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "MASTER_PORT": "5"},
			2, 1, Placement{"127.0.0.1", 5, 2, 1, 1, 0, 2}},
		{"horovodrun on two nodes", horovodrun, 2, 2, Placement{"a", 19928, 4, 3, 1, 1, 2}},
		{"horovodrun on one node", with(horovodrun, env{"HOROVOD_SIZE": "2", "HOROVOD_RANK": "1", "HOROVOD_CROSS_RANK": "0", "MASTER_ADDR": "",
			"MASTER_PORT": "70"}), 2, 1, Placement{"127.0.0.1", 70, 2, 1, 1, 0, 2}},
		{"a PyTorchJob", pytorchJob, 1, 3, Placement{"train-master-0", 23456, 3, 2, 0, 2, 1}},
		{"by hand, LOCAL_RANK alone", env{"LOCAL_RANK": "1", "NODE_RANK": "1"}, 2, 2, Placement{"127.0.0.1", 12910, 4, 3, 1, 1, 2}},
		{"by hand, all set", env{"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "NODE_RANK": "1", "MASTER_ADDR": "h",
			"MASTER_PORT": "80"}, 2, 2, Placement{"h", 80, 4, 3, 1, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Detect(nil, Map(c.env))
			got, err := Place(e, c.devices, c.nodes)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			again, err := Place(e, c.devices, c.nodes)
			require.NoError(t, err)
			require.Equal(t, got, again, "reread, it is the same")
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name           string
		env            env
		devices, nodes int
		text           string
	}{
		{"torchrun with 8 ranks, 2 x 2", torchrun, 2, 2, "devices=2 and num_nodes=2 make 4 ranks, but torchrun's WORLD_SIZE is 8"},
		{"torchrun without RANK", with(torchrun, env{"RANK": ""}), 4, 2, "RANK is not set, though torchrun sets it"},
		{"torchrun, RANK not a number", with(torchrun, env{"RANK": "x"}), 4, 2, `RANK="x" is not a whole number`},
		{"torchrun, rank outside", with(torchrun, env{"RANK": "8"}), 4, 2, "global rank 8 is not in a world of 8 ranks"},
		{"srun, other devices", srun, 4, 2, "devices=4, but SLURM has 2 tasks on this node (--ntasks-per-node): set devices=2"},
		{"srun, other nodes", srun, 2, 1, "num_nodes=1, but SLURM has 2 (--nodes): set num_nodes=2"},
		{"srun --ntasks only", env{"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}, 2, 1,
			"use --ntasks-per-node instead of --ntasks"},
		{"a batch script without srun", with(srun, env{"SLURM_STEP_ID": "", "SLURM_STEP_NUM_TASKS": ""}), 2, 2, "prepend srun to"},
		{"mpirun over nodes without an address", with(mpirun, env{"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}),
			2, 2, "mpirun -x MASTER_ADDR="},
		{"mpirun, other devices", mpirun, 2, 2, "devices=2, but mpirun started 4 ranks on this node: set devices=4"},
		{"a PyTorchJob, other devices", pytorchJob, 3, 1, "set devices=1 and num_nodes=3"},
		{"several nodes without an address", env{"MASTER_PORT": "1"}, 2, 2, "2 nodes need MASTER_ADDR"},
		{"several nodes without a port", env{"MASTER_ADDR": "a"}, 2, 2, "2 nodes need MASTER_PORT"},
		{"no device", env{}, 0, 1, "both must be 1 or more"},
		{"node rank outside", env{"NODE_RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, 1, 2, "node rank 2, but 2 nodes"},
		{"by hand without LOCAL_RANK", env{"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "h"}, 2, 1, "set LOCAL_RANK from 0 to 1"},
		{"port outside", env{"MASTER_PORT": "70000"}, 1, 1, "port 70000 is not from 1 to 65535"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Place(Detect(nil, Map(c.env)), c.devices, c.nodes)
			require.ErrorContains(t, err, c.text)
		})
	}
}

func TestTorchElasticExtras(t *testing.T) {
	file := filepath.Join(t.TempDir(), "error.json")
	e := NewTorchElastic(Map(with(torchrun, env{"TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_ERROR_FILE": file})))
	n, err := e.Restarts()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.True(t, e.AgentStore())
	require.False(t, NewTorchElastic(Map(env{})).AgentStore())

	require.NoError(t, NewTorchElastic(Map(torchrun)).ReportError("nobody asked", ""))
	require.NoError(t, e.ReportError("the disk is full", "main.go:1"))
	require.NoError(t, e.ReportError("a consequence", ""))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Regexp(t, `^\{"message":\{"message":"the disk is full","extraInfo":\{"py_callstack":"the disk is full\\nmain.go:1","timestamp":"\d+"\}\}\}$`, string(raw))
	bad := NewTorchElastic(Map(env{"TORCHELASTIC_ERROR_FILE": filepath.Join(file, "below")}))
	require.ErrorContains(t, bad.ReportError("x", ""), "torchrun's error file")
}

func TestSLURMPort(t *testing.T) {
	for _, c := range []struct {
		name string
		env  env
		want int
	}{
		{"the last four digits", env{"SLURM_JOB_ID": "0001234"}, 16234},
		{"no job id", env{}, 12910},
		{"a short job id", env{"SLURM_JOB_ID": "7"}, 15007},
		{"MASTER_PORT goes first", env{"SLURM_JOB_ID": "7", "MASTER_PORT": "4"}, 4},
	} {
		port, err := NewSLURM(Map(c.env)).MainPort()
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, port, c.name)
	}
	_, err := NewSLURM(Map(env{"SLURM_JOB_ID": "12x"})).MainPort()
	require.ErrorContains(t, err, "set MASTER_PORT")
}

func TestSLURMTaskCounts(t *testing.T) {
	got, err := taskCounts("2(x3),1")
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 2, 1}, got)
	for _, bad := range []string{"", "a", "2(x", "2(x0)", "-1", "1(x99999999)"} {
		_, err := taskCounts(bad)
		require.Error(t, err, bad)
	}
}

func TestSLURMWarning(t *testing.T) {
	allocation := Map(env{"SLURM_JOB_ID": "3"})
	require.Contains(t, NewSLURM(allocation).Warning(true), "prepend srun")
	require.Empty(t, NewSLURM(allocation).Warning(false))
	require.Empty(t, NewSLURM(Map(env{})).Warning(true))
}

func TestLSF(t *testing.T) {
	lookup := Map(env{"LSB_JOBID": "1234", "LSB_DJOB_RANKFILE": "ranks", "JSM_NAMESPACE_SIZE": "3", "JSM_NAMESPACE_RANK": "2",
		"JSM_NAMESPACE_LOCAL_RANK": "0"})
	e := NewLSF(lookup)
	e.readFile = func(string) ([]byte, error) { return []byte("batch\nhost.0\nhost.1\nhost.2\n"), nil }
	e.hostname = func() (string, error) { return "host.2", nil }
	require.True(t, e.Detect())
	got, err := Place(e, 1, 3)
	require.NoError(t, err)
	require.Equal(t, Placement{"host.0", 10234, 3, 2, 0, 2, 1}, got)

	e.hostname = func() (string, error) { return "elsewhere", nil }
	_, err = Place(e, 1, 3)
	require.ErrorContains(t, err, "this host, elsewhere, is not in LSB_DJOB_RANKFILE")
	e.readFile = func(string) ([]byte, error) { return []byte("batch\n"), nil }
	_, err = e.MainAddress()
	require.ErrorContains(t, err, "names no host after the launch node")
	e.readFile = func(string) ([]byte, error) { return nil, errors.New("no such file") }
	_, err = e.MainAddress()
	require.ErrorContains(t, err, "LSB_DJOB_RANKFILE: no such file")
	_, err = NewLSF(Map(env{"LSB_DJOB_RANKFILE": "/dev/zero"})).MainAddress() // it would never end
	require.EqualError(t, err, "LSB_DJOB_RANKFILE: /dev/zero is a character device; want a regular file")

	two := NewLSF(lookup)
	two.readFile = func(string) ([]byte, error) { return []byte("batch\na.x\na.x\nb.x\nb.x\n"), nil }
	two.hostname = func() (string, error) { return "b", nil }
	node, err := two.NodeRank()
	require.NoError(t, err)
	require.Equal(t, 1, node, "a name without its domain")
	n, err := two.LocalWorldSize()
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestMPIPortIsSharedByRanksAndNotByJobs(t *testing.T) {
	port := func(e env) int {
		p, err := NewMPI(Map(e)).MainPort()
		require.NoError(t, err)
		require.True(t, p >= 10000 && p < 30000)
		return p
	}
	require.Equal(t, port(mpirun), port(with(mpirun, env{"OMPI_COMM_WORLD_RANK": "3"})))
	require.NotEqual(t, port(mpirun), port(with(mpirun, env{"PMIX_NAMESPACE": "1938292738"})))
}

func TestMPIUnevenNodes(t *testing.T) {
	_, err := NewMPI(Map(with(mpirun, env{"OMPI_COMM_WORLD_LOCAL_SIZE": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}))).NodeRank()
	require.ErrorContains(t, err, "set NODE_RANK")
}

// page is the plugin of LightningLite's page: address, port and world size of one's own.
type page struct{ Base }

func (*page) MainAddress() (string, error) { return "head", nil }
func (*page) MainPort() (int, error)       { return 4242, nil }
func (*page) WorldSize() (int, error)      { return 6, nil }

func TestPluginOfOnesOwn(t *testing.T) {
	var e Environment = &page{Base{Lookup: Map(env{"LOCAL_RANK": "1", "NODE_RANK": "2"})}}
	got, err := Place(Detect(e, nil), 2, 3)
	require.NoError(t, err)
	require.Equal(t, Placement{"head", 4242, 6, 5, 1, 2, 2}, got)
}
