package ptfile_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/internal/faultfs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// saverEnv makes the test binary a program that saves until it is killed.
const saverEnv = "GOLITE_TEST_SAVE_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverEnv); dir != "" {
		saveUntilKilled(dir)
	}
	os.Exit(m.Run())
}

const words = 64 << 10 // the tensor of a checkpoint of step n: this many words of value n

func checkpoint(step int) (*ptfile.Archive, error) {
	mem := make([]byte, 8*words)
	for i := range words {
		binary.LittleEndian.PutUint64(mem[8*i:], uint64(step))
	}
	d := pickle.NewDict(pickle.PlainDict)
	for _, kv := range []struct {
		k string
		v any
	}{{"step", step}, {"w", &ptfile.Tensor{DType: "int64", Shape: []int{words}, Strides: []int{1}, Layout: ptfile.Strided,
		Storage: ptfile.NewMemoryStorage(mem, "int64", "cpu")}}} {
		if err := d.Set(kv.k, kv.v); err != nil {
			return nil, err
		}
	}
	return ptfile.NewArchive(d, ptfile.Options{})
}

func save(fs atomicfile.FS, path string, step int) error {
	a, err := checkpoint(step)
	if err != nil {
		return err
	}
	return atomicfile.Write(fs, path, a.Size(), func(w io.WriterAt) error { return a.WriteTo(w, 0) })
}

// loadStep reads a checkpoint whole and checks that it is of one piece.
func loadStep(path string) (int, error) {
	f, err := ptfile.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	d := f.Root.(*pickle.Dict)
	step, _ := d.Get("step")
	w, _ := d.Get("w")
	mem := make([]byte, 8*words)
	if err := w.(*ptfile.Tensor).Storage.Read(mem); err != nil {
		return 0, err
	}
	for i := range words {
		if binary.LittleEndian.Uint64(mem[8*i:]) != uint64(step.(int)) {
			return 0, fmt.Errorf("step %v, word %d is %d", step, i, binary.LittleEndian.Uint64(mem[8*i:]))
		}
	}
	return step.(int), nil
}

func saveUntilKilled(dir string) {
	step, _ := strconv.Atoi(os.Getenv(saverEnv + "_FROM"))
	for ; ; step++ {
		if err := save(atomicfile.OS, filepath.Join(dir, "last.pt"), step); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(step)
	}
}

// TestKilledAtRandomPoints kills a saving process 200 times with SIGKILL. Each time the file must be whole, and at
// least as new as the last save that was reported done.
func TestKilledAtRandomPoints(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "last.pt")
	r := rand.New(rand.NewPCG(5, 6))
	done, saves, inside, kill := -1, 0, 0, 0
	for ; kill < 200 || inside <= 20; kill++ { // how many fall within a save is the disk's affair
		require.Less(t, kill, 2000, "kills must fall within saves: %d did", inside)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), saverEnv+"="+dir, saverEnv+"_FROM="+strconv.Itoa(done+1))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		if kill%4 != 0 { // three in four die in a later save than their first
			require.True(t, lines.Scan())
			done, err = strconv.Atoi(lines.Text())
			require.NoError(t, err, lines.Text())
			saves++
		}
		time.Sleep(time.Duration(r.IntN(12000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err, lines.Text())
			done = n
			saves++
		}
		require.Error(t, cmd.Wait())
		for _, name := range names(t, dir) {
			if atomicfile.IsTemp(name) {
				inside++
				break
			}
		}
		if done < 0 {
			continue
		}
		step, err := loadStep(path)
		require.NoError(t, err)
		require.GreaterOrEqual(t, step, done)
		done = max(done, step)
	}
	require.Greater(t, saves, 100)
	require.NoError(t, save(atomicfile.OS, path, done+1))
	require.Equal(t, []string{"last.pt"}, names(t, dir), "the leftovers of killed saves are removed by the next")
	t.Logf("%d kills over %d finished saves, %d of them within a save", kill, saves, inside)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestFaultAtEveryOperation fails every create, write, sync, close, rename and sync of the folder of a save in turn.
func TestFaultAtEveryOperation(t *testing.T) {
	count := &faultfs.FS{}
	require.NoError(t, save(count, filepath.Join(t.TempDir(), "a.pt"), 1))
	total := count.Count()
	require.Greater(t, total, 12)
	for _, fault := range []error{faultfs.ErrInjected, syscall.ENOSPC, syscall.EIO} {
		for n := 1; n <= total; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.pt")
			require.NoError(t, save(atomicfile.OS, path, 1))
			err := save(&faultfs.FS{FailAt: n, Err: fault}, path, 2)
			require.ErrorIs(t, err, fault, "operation %d of %d", n, total)
			require.ErrorContains(t, err, path)
			step, lerr := loadStep(path)
			require.NoError(t, lerr)
			if n < total-1 { // the last two, after the rename, close the file and sync the folder
				require.Equal(t, 1, step, "operation %d of %d", n, total)
			}
			for _, name := range names(t, dir) {
				require.False(t, atomicfile.IsTemp(name), "operation %d leaves %s", n, name)
			}
		}
	}
}

// TestCrashAtEveryOperation crashes the machine at every operation of a save: what was not synced is lost, and a rename
// whose folder was not synced is undone. The file is the old one or the new one, whole.
func TestCrashAtEveryOperation(t *testing.T) {
	count := &faultfs.FS{}
	require.NoError(t, save(count, filepath.Join(t.TempDir(), "a.pt"), 1))
	for n := 1; n <= count.Count(); n++ {
		path := filepath.Join(t.TempDir(), "a.pt")
		require.NoError(t, save(atomicfile.OS, path, 1))
		err := save(&faultfs.FS{FailAt: n, Crash: true}, path, 2)
		require.ErrorIs(t, err, faultfs.ErrCrashed)
		step, err := loadStep(path)
		require.NoError(t, err, "operation %d", n)
		require.Equal(t, 1, step)
		require.NoError(t, save(atomicfile.OS, path, 3), "after the crash")
	}
}

func TestDiskFillsUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pt")
	require.NoError(t, save(atomicfile.OS, path, 1))
	for _, capacity := range []int64{1, 1000, 8 * words / 2, 8 * words, 8*words + 500} {
		err := save(&faultfs.FS{Capacity: capacity}, path, 2)
		require.ErrorIs(t, err, syscall.ENOSPC)
		step, err := loadStep(path)
		require.NoError(t, err)
		require.Equal(t, 1, step)
		require.Equal(t, []string{"a.pt"}, names(t, dir))
	}
}

// TestFullDisk does the same on a real file system of one megabyte.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small tmpfs needs Linux and root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("skipped: can't mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	path := filepath.Join(dir, "a.pt")
	require.NoError(t, save(atomicfile.OS, path, 1))
	err := save(atomicfile.OS, path, 2) // half a megabyte twice does not fit with the zip's own bytes
	require.ErrorIs(t, err, atomicfile.ErrNoSpace)
	require.ErrorContains(t, err, "are free; the old file is untouched")
	a, err := checkpoint(2)
	require.NoError(t, err)
	err = atomicfile.Write(atomicfile.OS, path, 0, func(w io.WriterAt) error { return a.WriteTo(w, 0) }) // unasked
	require.ErrorIs(t, err, syscall.ENOSPC)
	step, err := loadStep(path)
	require.NoError(t, err)
	require.Equal(t, 1, step)
	require.Equal(t, []string{"a.pt"}, names(t, dir))
}

func TestWriteKeepsLinksAndPermissions(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "real", "a.pt")
	require.NoError(t, save(atomicfile.OS, target, 1))
	require.NoError(t, os.Chmod(target, 0o640))
	link := filepath.Join(dir, "link.pt")
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, save(atomicfile.OS, link, 2))
	st, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&os.ModeSymlink)
	st, err = os.Stat(target)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), st.Mode().Perm())
	step, err := loadStep(target)
	require.NoError(t, err)
	require.Equal(t, 2, step)
	require.ErrorContains(t, save(atomicfile.OS, dir, 1), "it is a folder")
}

// TestTwoWritersOfOneFile: both may win, none may break the other's file.
func TestTwoWritersOfOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pt")
	found := make(chan error, 2)
	for w := range 2 {
		go func() {
			var err error
			for i := range 20 {
				err = errors.Join(err, save(atomicfile.OS, path, 100*w+i))
			}
			found <- err
		}()
	}
	require.NoError(t, errors.Join(<-found, <-found))
	_, err := loadStep(path)
	require.NoError(t, err)
}
