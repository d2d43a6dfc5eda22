package ddp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/ddp"
	"github.com/golite/golite/dist"
	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/internal/ranktest"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
)

// pythonRank is a rank in Python: its collectives, and then the training of the recording script. Its arguments are its
// number, the port, the names of the recorded cases, and what goes wrong.
const pythonRank = `
import json, os, sys
sys.path.insert(0, "../scripts/fixtures")
import record_ddp as rec
import torch, torch.distributed as dist
rank, port, cases, wrong = int(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), sys.argv[4]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
t = torch.full((5,), rank + 1.0)
dist.all_reduce(t)
assert t.tolist() == [3.0] * 5, t
for src in range(2):
    t = torch.full((2, 3), 10.0 + rank)
    dist.broadcast(t, src)
    assert t.tolist() == [[10.0 + src] * 3] * 2, t
parts = [torch.zeros(2, dtype=torch.int64) for _ in range(2)]
dist.all_gather(parts, torch.tensor([rank, 7]))
assert [p.tolist() for p in parts] == [[0, 7], [1, 7]], parts
dist.barrier()
if wrong:
    net = torch.nn.Linear(3, 4 if wrong == "shape" else 2, bias=wrong != "count")
    torch.nn.parallel.DistributedDataParallel(net)
    sys.exit("the models differ, and Python did not notice")
losses = {}
for seed, (name, model, options, how) in enumerate(rec.CASES, start=1):
    if name in cases:
        losses[name] = rec.train(rank, seed, model, options, how)[0]
dist.barrier()
dist.destroy_process_group()
print(json.dumps(losses), flush=True)
# A thread of torch's that asks for the interpreter while it is ending aborts the process, now and then. What is tested is over.
os._exit(0)
`

// startPython starts a rank in Python.
func startPython(t *testing.T, args ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	t.Helper()
	py := python.Find(t)
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	cmd = exec.Command(py, append([]string{"-c", pythonRank}, args...)...)
	cmd.Env = append(os.Environ(), "GLOO_SOCKET_IFNAME=lo", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = out, errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the rank in Python said:\n%s%s", out, errs)
		}
	})
	return cmd, out, errs
}

// withPython runs f as the rank mine of two; the other one is Python's. The store is rank 0's.
func withPython(t *testing.T, mine int, cases, wrong string,
	f func(ctx context.Context, g *dist.Group) error) (cmd *exec.Cmd, out *bytes.Buffer, err error) {
	t.Helper()
	port := 0
	var store *dist.Store
	var serr error
	if mine == 0 {
		store, serr = dist.NewTCPStore(t.Context(), "127.0.0.1", 0, dist.TCPStoreOptions{Server: true, Workers: 2})
		require.NoError(t, serr)
		port = store.Port()
	} else {
		port = ranktest.FreePort(t)
	}
	cmd, out, _ = startPython(t, strconv.Itoa(1-mine), strconv.Itoa(port), cases, wrong)
	if mine == 1 {
		store, serr = dist.NewTCPStore(t.Context(), "127.0.0.1", port, dist.TCPStoreOptions{Workers: 2, Timeout: time.Minute})
		require.NoError(t, serr)
	}
	defer store.Close()
	join := func(ctx context.Context, r int) (*dist.Group, error) {
		return dist.NewGlooWithPyTorch(ctx, store, r, 2, dist.Options{Timeout: time.Minute})
	}
	return cmd, out, ranktest.Rank(t.Context(), mine, join, f)
}

// meetPython is the Go side of the collectives.
func meetPython(g *dist.Group) error {
	r := float64(g.Rank())
	if got := floats(g.AllReduce(filled(r+1, 5), dist.Sum)); got[4] != 3 {
		return fmt.Errorf("all_reduce: %v", got)
	}
	for src := range 2 {
		if got := floats(g.Broadcast(filled(10+r, 2, 3), src)); got[5] != float32(10+src) {
			return fmt.Errorf("broadcast from %d: %v", src, got)
		}
	}
	for i, part := range g.AllGather(torch.From([]int64{int64(g.Rank()), 7}, 2)) {
		if got := torch.ToSlice[int64](part); got[0] != int64(i) || got[1] != 7 {
			return fmt.Errorf("all_gather: %v from %d", got, i)
		}
	}
	g.Barrier()
	return nil
}

// TestARankOfPythons: a Go rank and a Python rank in one Gloo group finish collectives together, and train models in
// ten steps to what two Python ranks were recorded to come to.
func TestARankOfPythons(t *testing.T) {
	file, all := recorded(t)
	names := []string{"mlp", "mlp/small_buckets", "mlp/fp16_hook", "mlp/powersgd_hook", "cnn", "cnn/no_broadcast_buffers",
		"cnn/join", "dropout",
		"branches/find_unused"}
	for mine := range 2 {
		t.Run(fmt.Sprintf("Go is rank %d", mine), func(t *testing.T) {
			got := map[string]trained{}
			cmd, out, err := withPython(t, mine, strings.Join(names, ","), "",
				func(ctx context.Context, g *dist.Group) (err error) {
					if err := meetPython(g); err != nil {
						return err
					}
					for _, name := range inOrder(names, all) {
						if got[name], err = all[name+"/2"].train(ctx, g); err != nil {
							return fmt.Errorf("%s: %w", name, err)
						}
					}
					g.Barrier()
					return nil
				})
			require.NoError(t, err)
			require.NoError(t, cmd.Wait())
			var losses map[string][]float64
			require.NoError(t, json.Unmarshal(out.Bytes(), &losses), out.String())
			require.Len(t, losses, len(names))
			for _, name := range names {
				c, r := file.Case(t, name+"/2"), all[name+"/2"]
				r.compare(t, c, mine, got[name])
				c.EqualFloats(t, name+": losses of the rank in Python", r.Losses[1-mine], losses[name])
			}
		})
	}
}

// inOrder gives names of cases in the order of the recording, which is that of the rank in Python.
func inOrder(names []string, all map[string]training) []string {
	return slices.SortedFunc(slices.Values(names),
		func(a, b string) int { return int(all[a+"/2"].Seed) - int(all[b+"/2"].Seed) })
}

// TestAPythonRankWithAnotherModel: Go's rank refuses it, whichever it is, and the one in Python doesn't hang.
func TestAPythonRankWithAnotherModel(t *testing.T) {
	for wrong, says := range map[string]string{
		"count": "2 parameters to train here, on rank 1, and 1 on rank 0",
		"shape": "parameter 0, weight, is [2 3] here, on rank 1, and another on rank 0",
	} {
		t.Run(wrong, func(t *testing.T) {
			cmd, _, err := withPython(t, 1, "", wrong, func(ctx context.Context, g *dist.Group) error {
				if err := meetPython(g); err != nil {
					return err
				}
				_, err := ddp.Wrap(ctx, g, nn.NewLinear(3, 2))
				if err != nil {
					g.Abort(err.Error())
				}
				return err
			})
			require.ErrorContains(t, err, says)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err := <-ended:
				require.Error(t, err)
			case <-time.After(30 * time.Second):
				cmd.Process.Kill()
				<-ended
				require.Fail(t, "the rank in Python hangs")
			}
		})
	}
}
