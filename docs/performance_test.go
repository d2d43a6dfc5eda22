package docs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// record is what the table needs of a line that the benchmark driver wrote.
type record struct {
	Name  string
	Ours  float64
	Peer  *float64
	Ratio *float64
	Unit  string
	By    string `json:"peer_name"`
}

// lastRecords reads a file of results: of several records of a row the last is the present state.
func lastRecords(t *testing.T, name string) map[[2]string]record {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "benchmarks", "results", name))
	require.NoError(t, err)
	defer f.Close()
	all := map[[2]string]record{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var r record
		require.NoError(t, json.Unmarshal(s.Bytes(), &r))
		all[[2]string{r.Name, r.By}] = r
	}
	return all
}

// figure is a figure as the benchmark driver prints it.
func figure(v float64, unit string) string {
	switch {
	case unit == "bytes":
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case unit == "us" && v >= 1e4:
		return fmt.Sprintf("%.1f ms", v/1e3)
	}
	return fmt.Sprintf("%.4g %s", v, unit)
}

// TestPerformanceTables: each row of the tables is the last record of that name in the results.
func TestPerformanceTables(t *testing.T) {
	page, err := os.ReadFile("performance.md")
	require.NoError(t, err)
	tables, _, _ := strings.Cut(string(page), "# What the figures come from")
	cpu, gpu, found := strings.Cut(tables, "## One GPU")
	require.True(t, found)
	rows := 0
	for name, text := range map[string]string{
		"2026-11-27-2x-amd-epyc.jsonl": cpu, "2026-11-27-nvidia-h200.jsonl": gpu,
	} {
		records := lastRecords(t, name)
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| |") {
				continue
			}
			cells := strings.Split(strings.Trim(line, "|\n "), " | ")
			require.Len(t, cells, 5, line)
			r, ok := records[[2]string{cells[0], cells[2]}]
			require.True(t, ok, "%s has no record of %q beside %q", name, cells[0], cells[2])
			want := []string{r.Name, figure(r.Ours, r.Unit), r.By, figure(*r.Peer, r.Unit), fmt.Sprintf("%.2f", *r.Ratio)}
			require.Equal(t, want, cells)
			rows++
		}
	}
	require.Greater(t, rows, 30)
}
