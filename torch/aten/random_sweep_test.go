package aten_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/schema"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

var (
	seedFlag    = flag.Uint64("seed", 1, "of TestRandomSweep")
	sweepFlag   = flag.Duration("sweep", 0, "how long TestRandomSweep draws; 0 is one round")
	opsFlag     = flag.String("ops", "", "a regular expression: the operators that TestRandomSweep calls")
	roundFlag   = flag.Uint64("round", 0, "the first round of TestRandomSweep")
	privateFlag = flag.Bool("private", false, "TestRandomSweep calls private operators too, by CallPrivate")
)

// randomChild makes the test binary a process that calls operators on random arguments, and prints each call before it
// is made.
const randomChild = "ATEN_TEST_RANDOM"

// stuck is how long one call may take.
const stuck = time.Minute

// Every operator that Call takes, on random arguments that its schema allows, in child processes: none ends the
// process, runs for ever, or fails with anything but a *torch.Error that speaks of the arguments. `make sweep` draws
// for longer.
func TestRandomSweep(t *testing.T) {
	if os.Getenv(randomChild) != "" {
		sweepRandomly(t)
		return
	}
	end := time.Now().Add(*sweepFlag)
	calls, good, deaths := 0, map[string]int{}, 0
	for round := *roundFlag; round == *roundFlag || time.Now().Before(end); round++ {
		for from := 0; from >= 0; {
			c := startRandomChild(t, round, from)
			calls += c.calls
			for _, name := range c.good {
				good[name]++
			}
			from = -1
			if c.death != "" {
				deaths++
				t.Errorf("%s\n\tagain: -seed %d -round %d -ops '^%s$'\n\tlast call: %s", c.death, *seedFlag, round,
					regexp.QuoteMeta(c.name), c.last)
				from = c.at + 1
			}
			for _, problem := range c.problems {
				t.Errorf("seed %d, round %d: %s", *seedFlag, round, problem)
			}
		}
	}
	if *privateFlag {
		for _, name := range slices.Sorted(maps.Keys(good)) {
			t.Logf("ran: %s %d", name, good[name])
		}
	}
	t.Logf("%d calls of operators, %d of which ran at least once; %d processes ended", calls, len(good), deaths)
	if *opsFlag == "" {
		require.Greater(t, calls, 2000)
		require.Greater(t, len(good), 500)
	}
}

// child is what became of a process.
type child struct {
	calls, at         int
	name, last, death string
	good, problems    []string
}

func startRandomChild(t *testing.T, round uint64, from int) child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestRandomSweep$", "-test.timeout=0", "-seed",
		fmt.Sprint(*seedFlag),
		"-round", fmt.Sprint(round), "-ops", *opsFlag, fmt.Sprintf("-private=%t", *privateFlag))
	cmd.Env = append(os.Environ(), fmt.Sprint(randomChild, "=", from))
	cmd.Dir = t.TempDir()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	hung := false
	watch := time.AfterFunc(stuck, func() { hung = true; _ = cmd.Process.Signal(syscall.SIGABRT) })
	c, ended := child{}, false
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		watch.Reset(stuck)
		kind, rest, _ := strings.Cut(lines.Text(), "\t")
		switch kind {
		case "call":
			at, what, _ := strings.Cut(rest, "\t")
			c.at, _ = strconv.Atoi(at)
			c.last = what
			c.name, _, _ = strings.Cut(what, "(")
			c.calls++
		case "good":
			c.good = append(c.good, rest)
		case "problem":
			c.problems = append(c.problems, rest)
		case "end":
			ended = true
		}
	}
	err = cmd.Wait()
	watch.Stop()
	switch {
	case hung:
		c.death = fmt.Sprintf("%s takes more than %s", c.name, stuck)
	case c.calls == 0 && !ended:
		require.Fail(t, "the child did not come to its first call", "%v: %s", err, stderr.String())
	case !ended || err != nil:
		c.death = fmt.Sprintf("%s ended the process: %v: %s", c.name, err, firstLine(stderr.String()))
	}
	return c
}

func firstLine(s string) string {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.Contains(line, "SIG") || strings.Contains(line, "fatal") || strings.Contains(line, "panic") ||
			strings.Contains(line, "terminate") ||
			strings.Contains(line, "corrupt") || strings.Contains(line, "free()") || strings.Contains(line, "malloc") {
			return line
		}
	}
	return strings.TrimSpace(s[:min(len(s), 300)])
}

// processWide are the operators that a sweep leaves out, with the reason.
var processWide = map[string]string{
	"aten::_print":                     "it writes to the standard output, on which the sweep reports",
	"aten::from_file":                  "it makes files, of the size that it is asked for",
	"aten::from_file.out":              "it makes files, of the size that it is asked for",
	"aten::_test_parallel_materialize": "it starts threads",
}

func sweepRandomly(t *testing.T) {
	from, err := strconv.Atoi(os.Getenv(randomChild))
	require.NoError(t, err)
	only, err := regexp.Compile(*opsFlag)
	require.NoError(t, err)
	const most = 6 << 30
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most}))
	torch.SetNumThreads(1)
	all := schemas(t)
	slices.SortFunc(all, func(a, b *schema.Schema) int { return strings.Compare(a.FullName(), b.FullName()) })
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...); out.Flush() }
	for i, s := range all {
		if i < from || s.Refusal() != "" || processWide[s.FullName()] != "" || !only.MatchString(s.FullName()) {
			continue
		}
		torch.Scope(func() { randomCall(s, i, say) })
	}
	say("end\t")
}

// randomCall makes one call and reports what is wrong with what came of it.
func randomCall(s *schema.Schema, at int, say func(string, ...any)) {
	name := s.FullName()
	r := newRandomArgs(*seedFlag, *roundFlag, name)
	kw, text := r.call(s)
	say("call\t%d\t%s(%s)", at, name, strings.ReplaceAll(text, "\n", " "))
	call := aten.Call
	if *privateFlag {
		call = aten.CallPrivate
	}
	err := attempt(func() {
		results := call(name, kw)
		say("good\t%s", name)
		use(r, results)
	})
	var te *torch.Error
	switch {
	case err == nil:
	case !errors.As(err, &te):
		say("problem\t%s(%s): %s", name, text, strings.ReplaceAll(err.Error(), "\n", " "))
	case strings.Contains(te.Message, "INTERNAL ASSERT") || strings.Contains(te.Message, "report a bug"):
		say("problem\t%s(%s): %s", name, text, strings.ReplaceAll(te.Message, "\n", " "))
	}
}

// attempt is torch.Try that also turns a panic of Go's runtime, which is a fault of golite's own, into an error.
func attempt(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("Go's runtime panicked with %v: %s", v, debug.Stack())
		}
	}()
	return torch.Try(f)
}

// use prints results, and leads autograd back from them.
func use(r *randomArgs, results []any) {
	for _, v := range results {
		torch.EachTensor(v, func(x *torch.Tensor) {
			if x.Numel() < 1000 {
				_ = x.String()
			}
			if x.RequiresGrad() && r.odds(3, 4) {
				x.Sum().Backward()
			}
		})
	}
}
