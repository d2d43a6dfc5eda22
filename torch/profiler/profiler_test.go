package profiler_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/profiler"
)

// trace is Chrome's format, as far as it matters.
type trace struct {
	TraceEvents []struct {
		Name  string
		Phase string `json:"ph"`
		Cat   string
		Dur   float64
		Args  map[string]any
	}
}

func read(t *testing.T, path string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var tr trace
	require.NoError(t, json.Unmarshal(text, &tr), "the trace is JSON")
	count := map[string]int{}
	for _, e := range tr.TraceEvents {
		if e.Phase == "X" {
			count[e.Name]++
		}
	}
	return count
}

func work() {
	torch.Scope(func() {
		x := torch.Randn(32, 32).RequiresGrad_(true)
		x.MatMul(x).Sum().Backward()
	})
}

func TestTraceHasTheOperations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	p, err := profiler.Run(path, func() {
		for range 3 {
			profiler.Range("my step", work)
		}
	}, profiler.Options{Shapes: true})
	require.NoError(t, err)
	inTrace := read(t, path)
	require.Equal(t, 3, inTrace["my step"])
	require.Equal(t, 3, inTrace["aten::matmul"])
	require.Equal(t, 9, inTrace["aten::mm"], "one forward, two backward, three times")
	require.NotZero(t, inTrace["autograd::engine::evaluate_function: MmBackward0"])

	byName := map[string]profiler.Total{}
	for _, total := range p.Totals() {
		byName[total.Name] = total
	}
	require.Equal(t, 9, byName["aten::mm"].Count)
	step := byName["my step"]
	require.Equal(t, 3, step.Count)
	require.Positive(t, step.Self)
	require.Less(t, step.Self, step.CPU, "what it called is no time of its own")
	require.GreaterOrEqual(t, step.CPU, byName["aten::matmul"].CPU)
	table := p.Table(0)
	require.Contains(t, table, "aten::mm ")
	require.Len(t, strings.Split(strings.TrimSpace(p.Table(2)), "\n"), 3)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no file is left behind")
}

func TestOthersAreNotedWhenAsked(t *testing.T) {
	for _, all := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "trace.json")
		_, err := profiler.Run(path, func() {
			work()
			var wg sync.WaitGroup
			wg.Go(func() { torch.RunRank(func() { torch.Scope(func() { torch.Ones(4).Cosh() }) }) })
			wg.Wait()
		}, profiler.Options{AllThreads: all})
		require.NoError(t, err)
		inTrace := read(t, path)
		require.NotZero(t, inTrace["aten::mm"])
		require.Equal(t, all, inTrace["aten::cosh"] > 0, "all threads: %v", all)
	}
}

func TestRunsDoNotMix(t *testing.T) {
	_, err := profiler.Run("", func() {
		_, err := profiler.Run("", func() {})
		require.ErrorContains(t, err, "another Run")
	})
	require.NoError(t, err)
	require.PanicsWithValue(t, "mine", func() {
		_, _ = profiler.Run(filepath.Join(t.TempDir(), "x.json"), func() { panic("mine") })
	})
	p, err := profiler.Run("", work)
	require.NoError(t, err, "the next one works")
	require.NotEmpty(t, p.Events)
	require.Zero(t, p.Events[0].Start)
	require.Less(t, p.Events[len(p.Events)-1].Start, time.Minute)
	ran := false
	profiler.Range("outside", func() { ran = true })
	require.True(t, ran)
}

func TestATraceThatCanNotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "trace.json")
	ran := false
	_, err := profiler.Run(path, func() { ran = true })
	require.ErrorContains(t, err, path)
	require.False(t, ran, "it is said before the work is done")
}

// TestATraceReplacesFilesOnly: a named pipe in the trace's place stays, and one that takes the place meanwhile does.
func TestATraceReplacesFilesOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	ran := false
	pipe := func() {
		ran = true
		require.NoError(t, unix.Mkfifo(path, 0o644))
	}
	for range 2 {
		_, err := profiler.Run(path, pipe)
		require.EqualError(t, err, "profiler.Run: the trace can't be written: "+path+" is a named pipe; want a regular file")
		require.True(t, ran, "the first one is met at the end, the second at the beginning")
		st, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, fs.ModeNamedPipe, st.Mode().Type())
	}
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 1)
}
