package lite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/lite"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/optim"
)

func init() { jobs["horovodstate"] = horovodStateRank }

// perRank is a shell command that gives each rank of an engine a folder of its own for what the test looks at.
const perRank = `export LITE_TEST_DIR="$LITE_TEST_DIR/${OMPI_COMM_WORLD_RANK:-$HOROVOD_RANK}"; mkdir -p "$LITE_TEST_DIR"; exec "$@"`

// byEngine starts a job by an engine's command.
func byEngine(engine ...string) func(name string, args ...string) *exec.Cmd {
	return func(name string, args ...string) *exec.Cmd {
		if name == "cat" { // of the test itself
			return exec.Command(name, args...)
		}
		all := append(append(engine[1:len(engine):len(engine)], "sh", "-c", perRank, "sh", name), args...)
		return exec.Command(engine[0], all...)
	}
}

// engineRun is job.run for ranks that an engine has started.
func engineRun(t *testing.T, j job) result {
	t.Helper()
	j.dir = t.TempDir()
	_, code := j.start(t).wait(t, waitLong)
	require.Zero(t, code)
	var o outcome
	text, err := os.ReadFile(filepath.Join(j.dir, "0", "outcome"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &o))
	require.Empty(t, o.Error)
	return o.Result
}

// recordedHorovod starts two ranks with the variables that horovodrun 0.28.1 has given its ranks, as recorded from
// scripts/engines/horovodrun.py.
const recordedHorovod = `
export HOROVOD_SIZE=2 HOROVOD_LOCAL_SIZE=2 HOROVOD_CROSS_RANK=0 HOROVOD_CROSS_SIZE=1 HOROVOD_HOSTNAME=localhost HOROVOD_CONTROLLER=gloo
export HOROVOD_CPU_OPERATIONS=gloo HOROVOD_GLOO_RENDEZVOUS_ADDR=127.0.0.1 HOROVOD_GLOO_RENDEZVOUS_PORT=$$ HOROVOD_GLOO_IFACE=lo
HOROVOD_RANK=1 HOROVOD_LOCAL_RANK=1 "$@" & other=$!
HOROVOD_RANK=0 HOROVOD_LOCAL_RANK=0 "$@"; code=$?
wait $other && exit $code`

// horovodEngines are the ways to start ranks: each runs a job of two ranks.
func horovodEngines(t *testing.T) map[string]func(t *testing.T, j job) result {
	engines := map[string]func(t *testing.T, j job) result{
		"golite": func(t *testing.T, j job) result {
			j.port = freePort(t)
			j.env = append(j.env, "MASTER_PORT="+strconv.Itoa(j.port))
			return j.run(t)
		},
		"recorded": func(t *testing.T, j job) result {
			j.command = byEngine("sh", "-c", recordedHorovod, "sh")
			return engineRun(t, j)
		},
		"mpirun": func(t *testing.T, j job) result {
			if _, err := exec.LookPath("mpirun"); err != nil {
				t.Skip("NOT TESTED: there is no mpirun: apt-get install openmpi-bin")
			}
			j.command = byEngine("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2")
			return engineRun(t, j)
		},
		"horovodrun": func(t *testing.T, j job) result {
			python := os.Getenv("GOLITE_HOROVOD_PYTHON")
			if python == "" {
				t.Skip("NOT TESTED: set GOLITE_HOROVOD_PYTHON to a Python with Horovod, see scripts/engines/horovodrun.py")
			}
			j.command = byEngine(python, "../scripts/engines/horovodrun.py", "2")
			return engineRun(t, j)
		},
	}
	if raceDetector {
		return nil // ranks are processes
	}
	return engines
}

// TestHorovodIsFabricsDDP: on two ranks the losses and parameters are those recorded of Fabric's ddp, bit for bit, whatever
// starts the ranks.
func TestHorovodIsFabricsDDP(t *testing.T) {
	file := fixture.Open(t, "testdata/fabric_ddp.json.gz")
	for engine, run := range horovodEngines(t) {
		t.Run(engine, func(t *testing.T) {
			n := 0
			for _, c := range file.Cases {
				var r rankCurve
				c.Decode(t, &r)
				if r.World != 2 || r.Precision != "32-true" || n == 2 {
					continue
				}
				n++
				got := run(t, job{do: "curve", arg: r.arg(t), strategy: "horovod", ranks: 2, env: []string{"LITE_PRECISION=" + r.Precision}})
				require.Len(t, got.Losses, 2)
				for rank, losses := range got.Losses {
					c.EqualFloats(t, fmt.Sprintf("losses of rank %d", rank), r.Losses[rank], losses)
				}
				for name, p := range got.Tensors {
					c.Equal(t, name, p)
				}
			}
			require.Equal(t, 2, n)
		})
	}
}

// TestHorovodGivesRank0sState: settings and states of an optimizer are rank 0's, and its rate is not multiplied.
func TestHorovodGivesRank0sState(t *testing.T) {
	for engine, run := range horovodEngines(t) {
		t.Run(engine, func(t *testing.T) {
			require.Equal(t, []string{"ok"}, run(t, job{do: "horovodstate", strategy: "horovod", ranks: 2}).Words)
		})
	}
}

// horovodStateRank trains alone, differently on each rank, and then sets up what it has.
func horovodStateRank(_ context.Context, l *lite.Lite) (got result, err error) {
	l.SeedEverything(uint64(1 + l.GlobalRank()))
	net := newTiny(3)
	opt := optim.NewSGD(nn.Parameters(net), 0.1*float64(1+l.GlobalRank()), optim.SGDOptions{Momentum: 0.9})
	net.Forward(torch.Randn(2, 4)).Sum().Backward()
	opt.Step()
	opt.ZeroGrad()
	mine := fmt.Sprint(opt.StateDict())
	if _, err := lite.Setup(l, net, net.Forward, opt); err != nil {
		return got, err
	}
	if rate := opt.ParamGroups()[0].LR; rate != 0.1 {
		return got, fmt.Errorf("rank %d: the rate is %v", l.GlobalRank(), rate)
	}
	var now strings.Builder
	for i, p := range opt.Tensors() {
		state := opt.StateDict()["state"].(map[int]any)[i].(map[string]any)
		fmt.Fprint(&now, p.ToBytes(), state["momentum_buffer"].(*torch.Tensor).ToBytes())
	}
	all := lite.AllGather(l, now.String())
	if all[0] != all[1] || now.Len() == 0 {
		return got, errors.New("parameters or states differ between ranks: " + mine)
	}
	return result{Words: []string{"ok"}}, nil
}
