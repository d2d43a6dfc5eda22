package serial_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial"
)

// saverEnv makes the test binary a program that saves a series in the background until it is killed.
const saverEnv = "GOLITE_TEST_SAVE_SERIES_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverEnv); dir != "" {
		saveSeriesUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func seriesOf(dir string) serial.Keep {
	return serial.Keep{Pattern: filepath.Join(dir, "step-{step}.pt"), Last: 2}
}

func saveSeriesUntilKilled(dir string) {
	step, _ := strconv.Atoi(os.Getenv(saverEnv + "_FROM"))
	var saver serial.Saver
	keep := seriesOf(dir)
	w := torch.Zeros(64 << 10)
	for ; ; step++ {
		w.Fill_(float64(step))
		path := filepath.Join(dir, fmt.Sprintf("step-%d.pt", step))
		if err := saver.Save(path, map[string]any{"step": step, "w": w}, serial.SaveOptions{Keep: &keep}); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(step - 1) // a Save that returns says that the one before is written
	}
}

// TestSeriesKilledAtRandomPoints kills a program that saves in the background and keeps the last two. Latest always
// finds a whole checkpoint, no older than the last that was reported done.
func TestSeriesKilledAtRandomPoints(t *testing.T) {
	dir := t.TempDir()
	keep := seriesOf(dir)
	r := rand.New(rand.NewPCG(9, 10))
	next, inside, kills := 0, 0, 0
	for ; kills < 40 || inside < 6; kills++ { // how many fall within a save is the disk's affair
		require.Less(t, kills, 400, "kills must fall within saves: %d did", inside)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), saverEnv+"="+dir, saverEnv+"_FROM="+strconv.Itoa(next))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range 2 {
			require.True(t, lines.Scan(), "two saves began")
		}
		last := lines.Text()
		time.Sleep(time.Duration(r.IntN(10000)) * time.Microsecond)
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() {
			last = lines.Text()
		}
		require.Error(t, cmd.Wait())
		done, err := strconv.Atoi(last)
		require.NoError(t, err, last)
		for _, name := range names(t, dir) {
			if atomicfile.IsTemp(name) {
				inside++
				break
			}
		}
		found, skipped, err := serial.Latest(keep.Pattern, true)
		require.NoError(t, err)
		require.Empty(t, skipped, "an atomic save leaves nothing damaged")
		require.GreaterOrEqual(t, int(found.Fields["step"]), done)
		v, err := serial.Load(found.Path)
		require.NoError(t, err)
		step := at(t, v.(*serial.Dict), "step").(int)
		require.Equal(t, found.Fields["step"], float64(step))
		require.Equal(t, float32(step), torch.ToSlice[float32](at(t, v.(*serial.Dict), "w").(*torch.Tensor))[step%100])
		next = step + 1
	}
	removed, err := serial.Prune(keep)
	require.NoError(t, err)
	require.LessOrEqual(t, len(removed), 1)
	require.Len(t, names(t, dir), 2, "leftovers go with Prune")
	t.Logf("%d kills, %d of them within a save, %d steps", kills, inside, next)
}

// TestPruneRemovesLeftovers: temporaries of the series, and folders that were never committed, once a newer one is
// complete.
func TestPruneRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "step-{step}")
	for _, step := range []int{2, 3, 5} {
		saveSharded(t, filepath.Join(dir, fmt.Sprint("step-", step)), 2, 0)
	}
	for _, step := range []int{1, 4, 9} { // killed before the commit
		_, err := serial.SavePart(filepath.Join(dir, fmt.Sprint("step-", step)), 0, serial.NewSaveID(), shardedState(0, 2, 0))
		require.NoError(t, err)
	}
	half := filepath.Join(dir, "step-3") // killed while it was being removed
	require.NoError(t, os.Remove(filepath.Join(half, ".metadata")))
	mine := filepath.Join(dir, "step-0")
	require.NoError(t, os.MkdirAll(mine, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(mine, "notes.txt"), nil, 0o644))
	for _, name := range []string{".step-7.tmp-AAAAAAAAAAAA", ".other.pt.tmp-AAAAAAAAAAAA"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o644))
	}
	removed, err := serial.Prune(serial.Keep{Pattern: pattern, Last: 1})
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "step-2")}, removed)
	require.Equal(t, []string{".other.pt.tmp-AAAAAAAAAAAA", "step-0", "step-5", "step-9"}, names(t, dir))
	found, skipped, err := serial.Latest(pattern, true)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "step-5"), found.Path)
	require.Len(t, skipped, 1, "step-9 is not done")
}

// TestDiscardParts: the parts of a save that failed go, those of the checkpoint stay.
func TestDiscardParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	saveSharded(t, dir, 2, 0)
	before := names(t, dir)
	id := serial.NewSaveID()
	_, err := serial.SavePart(dir, 0, id, shardedState(0, 2, 0))
	require.NoError(t, err)
	require.Len(t, names(t, dir), 4)
	require.NoError(t, serial.DiscardParts(dir, id))
	require.Equal(t, before, names(t, dir))
	committed := strings.TrimSuffix(strings.TrimPrefix(before[1], "__0_"), ".distcp")
	require.NoError(t, serial.DiscardParts(dir, committed))
	require.Equal(t, before, names(t, dir), "what is committed stays, whatever one asks")
	require.NoError(t, serial.DiscardParts(filepath.Join(dir, "nowhere"), id))
}
