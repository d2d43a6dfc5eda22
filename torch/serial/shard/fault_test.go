package shard

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/internal/faultfs"
	"github.com/golite/golite/torch/serial/ptfile"
)

// saverEnv makes the test binary a program that saves until it is killed.
const saverEnv = "GOLITE_TEST_SAVE_SHARDED_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverEnv); dir != "" {
		saveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

const (
	ranks   = 2
	rankRow = 64 << 10 // bytes of a rank's part
)

// part is what a rank saves at a step: a row of a tensor whose bytes are all the step's.
func part(rank, step int) []Item {
	row := bytes.Repeat([]byte{byte(step)}, rankRow)
	t := &ptfile.Tensor{DType: "uint8", Shape: []int{1, rankRow}, Strides: []int{rankRow, 1}, Layout: ptfile.Strided,
		Storage: ptfile.NewMemoryStorage(row, "uint8", "cpu")}
	items := []Item{{Path: []any{"w"}, Tensor: t, Offsets: []int{rank, 0}, Shape: []int{ranks, rankRow}}}
	if rank == 0 {
		items = append(items, Item{Path: []any{"step"}, Value: step})
	}
	return items
}

func saveStep(fsys atomicfile.FS, dir string, step int) error {
	indexes, id := make([][]byte, ranks), NewSaveID()
	for rank := range ranks {
		var err error
		if indexes[rank], err = WritePart(fsys, dir, rank, id, part(rank, step), nil); err != nil {
			return errors.Join(err, Discard(atomicfile.OS, dir, id))
		}
	}
	return Commit(fsys, dir, indexes)
}

// loadStep reads a checkpoint whole, checks its checksums, and that it is of one piece.
func loadStep(dir string) (int, error) {
	d, err := Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	step := -1
	mem := make([]byte, ranks*rankRow)
	for _, e := range d.Entries {
		if e.IsTensor() {
			if err := d.ReadBox(e, []int{0, 0}, e.Shape, mem); err != nil {
				return 0, err
			}
		} else if v, err := d.Value(e); err != nil {
			return 0, err
		} else {
			step = v.(int)
		}
	}
	if !bytes.Equal(mem, bytes.Repeat([]byte{byte(step)}, len(mem))) {
		return 0, fmt.Errorf("step %d has another step's bytes", step)
	}
	return step, nil
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".faultfs-") { // the fault injector's own
			out = append(out, e.Name())
		}
	}
	return out
}

// counted runs a save without faults over one before it and returns its operations.
func counted(t *testing.T) int {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "c")
	require.NoError(t, saveStep(atomicfile.OS, dir, 1))
	count := &faultfs.FS{}
	require.NoError(t, saveStep(count, dir, 2))
	require.Greater(t, count.Count(), 30)
	return count.Count()
}

// TestFaultAtEveryOperation fails every create, write, sync, close, rename and removal of a sharded save over another
// in turn: parts, metadata, and what follows. The folder is always one of the two, and a save after it puts all in
// order.
func TestFaultAtEveryOperation(t *testing.T) {
	total := counted(t)
	for _, fault := range []error{faultfs.ErrInjected, syscall.ENOSPC} {
		old := 0
		for n := 1; n <= total; n++ {
			dir := filepath.Join(t.TempDir(), "c")
			require.NoError(t, saveStep(atomicfile.OS, dir, 1))
			err := saveStep(&faultfs.FS{FailAt: n, Err: fault}, dir, 2)
			require.ErrorIs(t, err, fault, "operation %d of %d", n, total)
			require.ErrorContains(t, err, dir)
			step, lerr := loadStep(dir)
			require.NoError(t, lerr, "operation %d of %d", n, total)
			if step == 1 {
				old = n
				require.Len(t, names(t, dir), 1+ranks, "operation %d of %d leaves something", n, total)
			}
			require.NoError(t, saveStep(atomicfile.OS, dir, 3))
			require.Len(t, names(t, dir), 1+ranks)
		}
		// The last operations, after the metadata's rename, close it, sync the folder and remove the old parts.
		require.Equal(t, total-2-ranks, old, "up to the metadata's rename the folder is the old checkpoint")
	}
}

// TestCrashAtEveryOperation crashes the machine instead: what was not synced is lost.
func TestCrashAtEveryOperation(t *testing.T) {
	total := counted(t)
	for n := 1; n <= total; n++ {
		dir := filepath.Join(t.TempDir(), "c")
		require.NoError(t, saveStep(atomicfile.OS, dir, 1))
		require.ErrorIs(t, saveStep(&faultfs.FS{FailAt: n, Crash: true}, dir, 2), faultfs.ErrCrashed)
		step, err := loadStep(dir)
		require.NoError(t, err, "operation %d of %d", n, total)
		if n > total-ranks {
			require.Equal(t, 2, step)
		} else {
			require.Equal(t, 1, step, "operation %d of %d", n, total)
		}
		require.NoError(t, saveStep(atomicfile.OS, dir, 3))
		step, err = loadStep(dir)
		require.NoError(t, err)
		require.Equal(t, 3, step)
	}
}

// TestRemovalUnderFaults: a folder that is half removed is no checkpoint, never a damaged one.
func TestRemovalUnderFaults(t *testing.T) {
	count := &faultfs.FS{}
	dir := filepath.Join(t.TempDir(), "c")
	require.NoError(t, saveStep(atomicfile.OS, dir, 1))
	require.NoError(t, Remove(count, dir))
	require.NoDirExists(t, dir)
	require.Equal(t, 2+ranks+1, count.Count())
	for n := 1; n <= count.Count(); n++ {
		require.NoError(t, saveStep(atomicfile.OS, dir, 1))
		require.ErrorIs(t, Remove(&faultfs.FS{FailAt: n}, dir), faultfs.ErrInjected)
		_, err := loadStep(dir)
		if n == 1 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
		require.NoError(t, Remove(atomicfile.OS, dir))
		require.NoDirExists(t, dir)
	}
	require.NoError(t, saveStep(atomicfile.OS, dir, 1))
	mine := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(mine, nil, 0o644))
	require.NoError(t, Remove(atomicfile.OS, dir))
	require.Equal(t, []string{"notes.txt"}, names(t, dir), "what is not ours stays")
}

// TestRemoveUnfinished takes away what a killed save left, and nothing else.
func TestRemoveUnfinished(t *testing.T) {
	root := t.TempDir()
	make := func(name string, files ...string) string {
		dir := filepath.Join(root, name)
		require.NoError(t, os.Mkdir(dir, 0o755))
		for _, f := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o644))
		}
		return dir
	}
	for _, gone := range []string{make("empty"), make("part", "__0_x.distcp"),
		make("temp", ".__0_x.distcp.tmp-AAAAAAAAAAAA")} {
		require.NoError(t, RemoveUnfinished(atomicfile.OS, gone))
		require.NoDirExists(t, gone)
	}
	living := make("living", "__0_x.distcp")
	f, err := atomicfile.OS.Create(filepath.Join(living, ".__1_x.distcp.tmp-BBBBBBBBBBBB"), 0)
	require.NoError(t, err)
	defer f.Close()
	for _, stays := range []string{living, make("whole", ".metadata", "__0_x.distcp"),
		make("mine", "__0_x.distcp", "notes.txt")} {
		require.NoError(t, RemoveUnfinished(atomicfile.OS, stays))
		require.DirExists(t, stays)
		require.NotEmpty(t, names(t, stays))
	}
	require.ErrorIs(t, RemoveUnfinished(atomicfile.OS, filepath.Join(root, "nowhere")), fs.ErrNotExist)
}

func saveUntilKilled(dir string) {
	step, _ := strconv.Atoi(os.Getenv(saverEnv + "_FROM"))
	for ; ; step++ {
		indexes, id, found := make([][]byte, ranks), NewSaveID(), make([]error, ranks)
		var wg sync.WaitGroup
		for rank := range ranks {
			wg.Go(func() { indexes[rank], found[rank] = WritePart(atomicfile.OS, dir, rank, id, part(rank, step), nil) })
		}
		wg.Wait()
		if err := errors.Join(errors.Join(found...), Commit(atomicfile.OS, dir, indexes)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(step)
	}
}

// TestKilledAtRandomPoints kills a process that saves shards a hundred times. Each time the folder must be whole, and
// at least as new as the last save that was reported done.
func TestKilledAtRandomPoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	r := rand.New(rand.NewPCG(7, 8))
	done, inside := -1, 0
	for range 100 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), saverEnv+"="+dir, saverEnv+"_FROM="+strconv.Itoa((done+1)%200))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		require.True(t, lines.Scan())
		last := lines.Text()
		time.Sleep(time.Duration(r.IntN(8000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() {
			last = lines.Text()
		}
		require.Error(t, cmd.Wait())
		done, err = strconv.Atoi(last)
		require.NoError(t, err, last)
		if len(names(t, dir)) != 1+ranks {
			inside++
		}
		step, err := loadStep(dir)
		require.NoError(t, err)
		require.Contains(t, []int{done, done + 1}, step)
		done = step
	}
	require.Greater(t, inside, 10, "kills must fall within saves")
	require.NoError(t, saveStep(atomicfile.OS, dir, 1))
	require.Len(t, names(t, dir), 1+ranks, "what killed saves left is removed by the next")
	t.Logf("100 kills, %d of them within a save", inside)
}
