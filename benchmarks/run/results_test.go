package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcessorOf(t *testing.T) {
	for _, c := range []struct{ info, want, machine string }{
		{"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: other\n",
			"AMD EPYC (AuthenticAMD, family 26, model 2)", "amd-epyc"},
		{"model name\t: Some Core\n", "Some Core", "some-core"},
	} {
		require.Equal(t, c.want, processorOf(c.info))
		require.Regexp(t, `^\d+x-`+c.machine+"$", machine(processorOf(c.info)))
	}
}

// Each record can be judged on its own: it has the processor and the state of the switches.
func TestRecordsNameProcessorAndSwitches(t *testing.T) {
	r, err := openResults(t.TempDir(), 1)
	require.NoError(t, err)
	r.switches = switches{MKLAVX512: true, Overrides: "mkl"}
	require.NoError(t, r.add(row{name: "a step", ours: "golite", field: "value", unit: "us"}, map[string][]sample{"golite": {{"value": 2}}}))
	require.NoError(t, r.alone("a size", []float64{3}, "MB", 0))
	require.NoError(t, r.close())
	text, err := os.ReadFile(r.file.Name())
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 2)
	for _, l := range lines {
		var got map[string]any
		require.NoError(t, json.Unmarshal(l, &got))
		require.Equal(t, processor(), got["processor"])
		require.Equal(t, true, got["mkl_avx512"])
		require.Equal(t, "mkl", got["overrides"])
		require.NotEmpty(t, got["time"])
	}
	var table bytes.Buffer
	r.print(&table)
	require.Contains(t, table.String(), processor()+`; MKL's kernels for AVX-512 beyond PyTorch's: true; GOLITE_OVERRIDES="mkl"`)
}
