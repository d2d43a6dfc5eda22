package logger_test

import (
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/golite/golite/internal/python"
	"github.com/golite/golite/lite/logger"
)

func table(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return records
}

func TestCSV(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c, err := logger.NewCSV(dir, logger.CSVOptions{FlushEvery: 2})
	require.NoError(t, err)
	require.NoDirExists(t, dir, "the constructor made the folder")
	require.NoError(t, c.LogMetrics(map[string]float64{"loss": 0.5}, 0))
	require.NoError(t, c.LogMetrics(map[string]float64{"acc": 0.25}, 0))
	require.NoError(t, c.LogMetrics(map[string]float64{"loss": math.NaN()}, 1))
	require.NoFileExists(t, c.Path())
	require.NoError(t, c.LogMetrics(map[string]float64{"loss": 1e-7}, 2))
	require.Equal(t, [][]string{{"step", "acc", "loss"}, {"0", "0.25", "0.5"}, {"1", "", "NaN"}}, table(t, c.Path()))
	require.NoError(t, c.LogMetrics(map[string]float64{"a, \"b\"": math.Inf(-1)}, 3))
	require.ErrorContains(t, c.LogMetrics(map[string]float64{"step": 1}, 4), "can't be called")
	require.NoError(t, c.LogHyperparams(map[string]any{"lr": 0.1, "name": "x,y"}))
	require.NoError(t, c.Close(errors.New("the run's error")))
	require.NoError(t, c.Close(nil))
	require.ErrorContains(t, c.LogMetrics(map[string]float64{"loss": 1}, 5), "is closed")
	require.Equal(t, [][]string{
		{"step", "acc", "loss", "a, \"b\""}, {"0", "0.25", "0.5", ""}, {"1", "", "NaN", ""}, {"2", "", "1e-07", ""}, {"3", "", "", "-Inf"},
	}, table(t, c.Path()))
	require.Equal(t, [][]string{{"name", "value"}, {"lr", "0.1"}, {"name", "x,y"}}, table(t, filepath.Join(dir, "hparams.csv")))
}

func TestCSVGoesOnOrRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(o logger.CSVOptions, name string, step int64) error {
		c, err := logger.NewCSV(dir, o)
		require.NoError(t, err)
		return errors.Join(c.LogMetrics(map[string]float64{name: 1}, step), c.Close(nil))
	}
	require.NoError(t, write(logger.CSVOptions{}, "a", 0))
	require.ErrorContains(t, write(logger.CSVOptions{}, "a", 1), "Append")
	require.NoError(t, write(logger.CSVOptions{Append: true}, "b", 1))
	require.Equal(t, [][]string{{"step", "a", "b"}, {"0", "1", ""}, {"1", "", "1"}}, table(t, filepath.Join(dir, "metrics.csv")))
}

func TestConstructorsRefuse(t *testing.T) {
	for _, o := range []logger.CSVOptions{{FlushEvery: -1}, {FlushInterval: -1}, {File: "a/b"}, {Append: true, NewVersion: true}} {
		_, err := logger.NewCSV("x", o)
		require.Error(t, err)
	}
	_, err := logger.NewCSV("")
	require.ErrorContains(t, err, "empty")
	_, err = logger.NewTensorBoard("")
	require.ErrorContains(t, err, "empty")
	_, err = logger.NewTensorBoard("x", logger.TensorBoardOptions{BufferBytes: -1})
	require.ErrorContains(t, err, "negative")
}

// A folder that can't be made is an error of Open, and of the first value.
func TestErrorsAreReturned(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	tb, err := logger.NewTensorBoard(filepath.Join(file, "below"))
	require.NoError(t, err)
	require.ErrorContains(t, tb.Open(), "not a directory")
	require.ErrorContains(t, tb.LogMetrics(map[string]float64{"a": 1}, 0), "not a directory")
	c, err := logger.NewCSV(filepath.Join(file, "below"))
	require.NoError(t, err)
	require.ErrorContains(t, c.Open(), "not a directory")
	require.ErrorContains(t, c.LogMetrics(map[string]float64{"a": 1}, 0), "not a directory")
	require.ErrorContains(t, c.LogHyperparams(nil), "not a directory")
	require.NoError(t, c.Close(nil))
}

func events(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	tb, err := logger.NewTensorBoard(dir)
	require.NoError(t, err)
	require.NoError(t, tb.LogHyperparams(map[string]any{"lr": 0.1, "text": "a|b\nc"}))
	for step := range 5 {
		require.NoError(t, tb.LogMetrics(map[string]float64{"train/loss": 1 / float64(step+1), "ü": float64(step)}, int64(step)))
	}
	require.NoError(t, tb.LogMetrics(map[string]float64{"big": math.Inf(1)}, 1<<40))
	require.NoError(t, tb.LogMetrics(nil, 9))
	info, err := os.Stat(tb.Path())
	require.NoError(t, err)
	require.Zero(t, info.Size(), "nothing was buffered")
	require.NoError(t, tb.Close(nil))
	require.NoError(t, tb.Close(nil))
	require.ErrorContains(t, tb.LogMetrics(map[string]float64{"a": 1}, 0), "closed")
	return dir, tb.Path()
}

// records reads TFRecord's frames, with a checksum written out bit by bit.
func records(t *testing.T, data []byte) (out [][]byte) {
	t.Helper()
	crc := crc32.MakeTable(0x82f63b78)
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc)
		return (c>>15 | c<<17) + 0xa282ead8
	}
	for len(data) > 0 {
		n := binary.LittleEndian.Uint64(data)
		require.Equal(t, sum(data[:8]), binary.LittleEndian.Uint32(data[8:]))
		body := data[12 : 12+n]
		require.Equal(t, sum(body), binary.LittleEndian.Uint32(data[12+n:]))
		out, data = append(out, body), data[16+n:]
	}
	return out
}

// fields splits a message into its fields.
func fields(t *testing.T, b []byte) map[protowire.Number][][]byte {
	t.Helper()
	out := map[protowire.Number][][]byte{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		require.Positive(t, n)
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		require.Positive(t, n)
		v := b[:n]
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(b)
		}
		out[num], b = append(out[num], v), b[n:]
	}
	return out
}

func TestEventFile(t *testing.T) {
	_, path := events(t)
	require.Contains(t, filepath.Base(path), "events.out.tfevents.")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	all := records(t, data)
	require.Len(t, all, 8)
	require.Equal(t, "brain.Event:2", string(fields(t, all[0])[3][0]))
	third := fields(t, all[4])
	step, _ := protowire.ConsumeVarint(third[2][0])
	require.EqualValues(t, 2, step)
	values := fields(t, third[5][0])[1]
	require.Len(t, values, 2)
	loss := fields(t, values[0])
	require.Equal(t, "train/loss", string(loss[1][0]))
	require.Equal(t, float32(1)/3, math.Float32frombits(binary.LittleEndian.Uint32(loss[2][0])))
}

const reader = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1]); a.Reload()
tags = a.Tags()
print(json.dumps({
    "scalars": {t: [[e.step, str(e.value)] for e in a.Scalars(t)] for t in tags["scalars"]},
    "text": {t: [x.tensor_proto.string_val[0].decode() for x in a.Tensors(t)] for t in tags["tensors"]},
    "plugin": {t: a.SummaryMetadata(t).plugin_data.plugin_name for t in tags["tensors"]},
}))`

// TensorBoard itself reads the file.
func TestTensorBoardReadsTheFile(t *testing.T) {
	py := python.Find(t)
	dir, _ := events(t)
	cmd := exec.Command(py, "-c", reader, dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var got struct {
		Scalars      map[string][][2]any
		Text, Plugin map[string]any
	}
	require.NoError(t, json.Unmarshal(out, &got))
	require.Equal(t, [][2]any{{0.0, "0.0"}, {1.0, "1.0"}, {2.0, "2.0"}, {3.0, "3.0"}, {4.0, "4.0"}}, got.Scalars["ü"])
	require.Len(t, got.Scalars["train/loss"], 5)
	require.Equal(t, [2]any{1.0, "0.5"}, got.Scalars["train/loss"][1])
	require.Equal(t, [][2]any{{float64(1 << 40), "inf"}}, got.Scalars["big"])
	require.Equal(t, map[string]any{"hyperparameters": "text"}, got.Plugin)
	require.Equal(t, []any{"| name | value |\n|---|---|\n| lr | 0.1 |\n| text | a\\|b c |\n"}, got.Text["hyperparameters"])
}
