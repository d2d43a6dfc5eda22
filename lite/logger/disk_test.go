package logger_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/logger"
)

// writerEnv makes the test binary a program that logs 41 epochs and then hangs, as a training run between two epochs.
const writerEnv = "GOLITE_TEST_LOG_AND_HANG"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := logAndHang(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func logAndHang(dir string) error {
	c, err := logger.NewCSV(dir)
	if err != nil {
		return err
	}
	tb, err := logger.NewTensorBoard(dir)
	if err != nil {
		return err
	}
	for epoch := range 41 {
		metrics := map[string]float64{"loss": 1 / float64(epoch+1)}
		if err := c.LogMetrics(metrics, int64(epoch)); err != nil {
			return err
		}
		if err := tb.LogMetrics(metrics, int64(epoch)); err != nil {
			return err
		}
	}
	if _, err := fmt.Println(tb.Path()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent has ended
	return err
}

// TestKilledProcess: what a program logged is in the files after kill -9, though it logged fewer rows than FlushEvery.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	events, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	path := filepath.Join(dir, "metrics.csv")
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		event, err2 := os.ReadFile(strings.TrimSpace(events))
		return err == nil && strings.Count(string(text), "\n") == 42 && err2 == nil && strings.Count(string(event), "loss") == 41
	}, time.Minute, 10*time.Millisecond, "nothing is written while the program waits")
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	rows := table(t, path)
	require.Len(t, rows, 42)
	require.Equal(t, []string{"40", "0.024390243902439025"}, rows[41])
	data, err := os.ReadFile(strings.TrimSpace(events))
	require.NoError(t, err)
	require.Len(t, records(t, data), 42)
}

// TestRowsAreWrittenByTime: a row that nothing follows is written when the interval is over, and what is logged at the
// same step later goes into the same row.
func TestRowsAreWrittenByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := logger.NewCSV(t.TempDir(), logger.CSVOptions{FlushInterval: time.Second})
		require.NoError(t, err)
		log := func(step int64, metrics map[string]float64) {
			t.Helper()
			require.NoError(t, c.LogMetrics(metrics, step))
		}
		wait := func(d time.Duration, want ...[]string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if want == nil {
				require.NoFileExists(t, c.Path())
			} else {
				require.Equal(t, append([][]string{}, want...), table(t, c.Path()))
			}
		}
		log(0, map[string]float64{"loss": 0.123456})
		wait(999 * time.Millisecond)
		wait(time.Millisecond, []string{"step", "loss"}, []string{"0", "0.123456"})
		log(0, map[string]float64{"loss": 0.5})
		wait(time.Second, []string{"step", "loss"}, []string{"0", "0.5"})
		log(0, map[string]float64{"acc": 1})
		wait(999*time.Millisecond, []string{"step", "loss"}, []string{"0", "0.5"})
		wait(time.Millisecond, []string{"step", "loss", "acc"}, []string{"0", "0.5", "1"})
		log(1, map[string]float64{"loss": 2})
		log(2, map[string]float64{"acc": 3})
		require.NoError(t, c.Flush())
		log(2, map[string]float64{"loss": 4})
		log(3, map[string]float64{"new": 5})
		require.NoError(t, c.Close(nil))
		wait(time.Hour, []string{"step", "loss", "acc", "new"}, []string{"0", "0.5", "1", ""}, []string{"1", "2", "", ""},
			[]string{"2", "4", "3", ""}, []string{"3", "", "", "5"})
	})
}

func TestEventsAreWrittenByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb, err := logger.NewTensorBoard(t.TempDir(), logger.TensorBoardOptions{FlushEvery: time.Second})
		require.NoError(t, err)
		written := func() int {
			synctest.Wait()
			data, err := os.ReadFile(tb.Path())
			require.NoError(t, err)
			return len(records(t, data))
		}
		require.NoError(t, tb.LogMetrics(map[string]float64{"loss": 1}, 0))
		time.Sleep(999 * time.Millisecond)
		require.Zero(t, written())
		time.Sleep(time.Millisecond)
		require.Equal(t, 2, written())
		require.NoError(t, tb.LogMetrics(map[string]float64{"loss": 1}, 1))
		time.Sleep(time.Second)
		require.Equal(t, 3, written())
		require.NoError(t, tb.Close(nil))
		require.Equal(t, 3, written())
	})
}

// TestFailedRowsAreKept: rows that the disk refused are written once it takes them, and each call returns an error until then.
func TestFailedRowsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		c, err := logger.NewCSV(dir, logger.CSVOptions{FlushEvery: 2, FlushInterval: time.Second})
		require.NoError(t, err)
		require.NoError(t, c.LogMetrics(map[string]float64{"a": 0}, 0))
		away := dir + "-away"
		require.NoError(t, os.Rename(dir, away))
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorContains(t, c.LogMetrics(map[string]float64{"a": 1}, 1), "no such file")
		require.ErrorContains(t, c.LogMetrics(map[string]float64{"a": 2}, 2), "no such file")
		require.NoError(t, os.Rename(away, dir))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, [][]string{{"step", "a"}, {"0", "0"}, {"1", "1"}, {"2", "2"}}, table(t, c.Path()))
		require.NoError(t, c.LogMetrics(map[string]float64{"a": 3}, 3))
		require.NoError(t, c.Close(nil))
	})
}

// TestAFullDiskCostsNoTime: while the disk takes nothing, a call does not write all that is kept again. What a failed
// write left of a row is removed.
func TestAFullDiskCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, rows = 5_000, 20_000
		var limit syscall.Rlimit
		require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: limit.Max}))
		defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)) }()
		dir := t.TempDir()
		c, err := logger.NewCSV(dir)
		require.NoError(t, err)
		tb, err := logger.NewTensorBoard(dir, logger.TensorBoardOptions{BufferBytes: 1000})
		require.NoError(t, err)
		refused := [2]int{}
		log := func(i int) {
			metrics := map[string]float64{"loss": float64(i), "acc": 0.123456789}
			for k, err := range []error{c.LogMetrics(metrics, int64(i)), tb.LogMetrics(metrics, int64(i))} {
				if err != nil {
					require.ErrorIs(t, err, syscall.EFBIG)
					refused[k]++
				}
			}
		}
		var before, after syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
		for i := range rows {
			log(i)
		}
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
		spent := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
		require.Less(t, spent, 5*time.Second, "it took two minutes when each call wrote everything again")
		require.Greater(t, min(refused[0], refused[1]), rows/2, "each call reports that rows are not written")
		text, err := os.ReadFile(c.Path())
		require.NoError(t, err)
		require.LessOrEqual(t, len(text), room)
		require.True(t, strings.HasSuffix(string(text), "\n"), "a part of a row stays: %q", text[max(0, len(text)-20):])

		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, table(t, c.Path()), rows+1)
		data, err := os.ReadFile(tb.Path())
		require.NoError(t, err)
		require.Len(t, records(t, data), rows+1)
		refused = [2]int{}
		log(rows)
		require.Zero(t, refused)
		require.NoError(t, c.Close(nil))
		require.NoError(t, tb.Close(nil))
	})
}

// TestAppendRepairsTheLastRow: a row that was cut is removed, whole rows stay, and what is not a table is left alone.
func TestAppendRepairsTheLastRow(t *testing.T) {
	whole := "step,loss,acc\n0,0.5,1\n1,0.25,1\n"
	for _, c := range []struct{ name, text, kept, problem string }{
		{name: "whole", text: whole, kept: whole},
		{name: "empty", text: "", kept: ""},
		{name: "a header that was cut", text: "step,loss,a", kept: ""},
		{name: "the beginning of a header", text: "st", kept: ""},
		{name: "header", text: "step,loss,acc\n", kept: "step,loss,acc\n"},
		{name: "fields are missing", text: whole + "2,0.12", kept: whole},
		{name: "the last number is cut", text: whole + "2,0.125,0.1", kept: whole},
		{name: "zeros, as after a power failure", text: whole + "\x00\x00\x00\x00", kept: whole},
		{name: "a row of too few fields", text: whole + "2,0.125\n", kept: whole},
		{name: "an open quote", text: whole + "2,\"0.1", kept: whole},
		{name: "an empty line", text: whole + "\n", kept: whole + "\n"},
		{name: "Python's line ends", text: "step,loss,acc\r\n0,1,2\r\n1,", kept: "step,loss,acc\r\n0,1,2\r\n"},
		{name: "a row in the middle", text: "step,loss,acc\n0,0.5\n1,0.25,1\n", problem: "line 2 has 2 fields, the first line 3"},
		{name: "a quote in the middle", text: "step,loss,acc\n0,\"a\"b,1\n1,0.25,1\n", problem: "line 2"},
		{name: "no table", text: "steps to take", problem: "no table of metrics"},
		{name: "notes", text: "notes", problem: "no table of metrics"},
		{name: "another table", text: "epoch,loss\n0,1\n", problem: "no table of metrics"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "metrics.csv")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o644))
			l, err := logger.NewCSV(dir, logger.CSVOptions{Append: true})
			require.NoError(t, err)
			if c.problem != "" {
				require.ErrorContains(t, l.Open(), c.problem)
				require.ErrorContains(t, l.LogMetrics(map[string]float64{"loss": 1}, 7), c.problem)
				require.NoError(t, l.Close(nil))
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Equal(t, c.text, string(text))
				return
			}
			require.NoError(t, l.Open())
			require.NoError(t, l.LogMetrics(map[string]float64{"loss": 1, "acc": 2}, 7))
			require.NoError(t, l.Close(nil))
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			want := c.kept + "7,1,2\n"
			if c.kept == "" {
				want = "step,acc,loss\n7,2,1\n"
			}
			require.Equal(t, want, string(text))
		})
	}
}

// TestRefusedBeforeAnythingIsReplaced: the files of an earlier run stay as they are.
func TestRefusedBeforeAnythingIsReplaced(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"metrics.csv", "hparams.csv"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644))
	}
	c, err := logger.NewCSV(dir)
	require.NoError(t, err)
	for _, err := range []error{c.Open(), c.LogHyperparams(map[string]any{"lr": 1}), c.LogMetrics(map[string]float64{"a": 1}, 0)} {
		require.ErrorIs(t, err, os.ErrExist)
		require.ErrorContains(t, err, "CSVOptions{Append: true}")
		require.ErrorContains(t, err, "CSVOptions{NewVersion: true}")
	}
	require.NoError(t, c.Close(nil))
	for _, name := range []string{"metrics.csv", "hparams.csv"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, "old", string(text))
	}
	// A folder or a pipe of that name is not opened.
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.csv"), 0o600))
	for _, append := range []bool{false, true} {
		c, err := logger.NewCSV(dir, logger.CSVOptions{File: "pipe.csv", Append: append})
		require.NoError(t, err)
		require.ErrorContains(t, c.Open(), "no regular file")
	}
}

func TestNewVersion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lightning_logs")
	for i, want := range []string{"version_0", "version_1", "version_8"} {
		if i == 2 {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "version_7"), 0o755))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "version_best"), 0o755))
		}
		c, err := logger.NewCSV(dir, logger.CSVOptions{NewVersion: true})
		require.NoError(t, err)
		require.Empty(t, c.Path())
		require.NoError(t, c.LogHyperparams(map[string]any{"lr": 1}))
		require.NoError(t, c.LogMetrics(map[string]float64{"a": 1}, 0))
		require.NoError(t, c.Close(nil))
		require.Equal(t, filepath.Join(dir, want, "metrics.csv"), c.Path())
		require.FileExists(t, c.Path())
		require.FileExists(t, filepath.Join(dir, want, "hparams.csv"))
	}
}
