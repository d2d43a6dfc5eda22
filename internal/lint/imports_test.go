package lint

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// law gives every room its floor: a package imports packages of its own floor and of those below. Floor 0 is plain Go:
// no libtorch, directly or through another package. The longest matching path counts, and path/... covers what lies in
// it.
var law = map[string]int{
	"internal/...":              0,
	"third_party":               0,
	"datasets/mnist/idx":        0,
	"lite/cluster":              0,
	"torch/serial/errs":         0,
	"torch/serial/pickle":       0,
	"torch/serial/ptfile":       0,
	"torch/serial/safetensors":  0,
	"torch/serial/shard":        0,
	"torch/serial/zero":         0,
	"torch/serial/internal/...": 0,
	"cmd/libtorch":              0, // it installs what the others need to link
	"cmd/ckpt":                  0, // looks into checkpoints where no libtorch is
	"cgotorch/internal/...":     0, // headers
	"cgotorch":                  1,
	"internal/op":               2,
	"internal/genaten":          2,
	"torch":                     3,
	"torch/...":                 4,
	"sampler":                   4,
	"internal/permutation":      4, // draws
	"internal/statekeys":        4,
	"internal/pytree":           4, // walks values that hold tensors
	"internal/wire":             4, // tensors are among what ranks send each other
	"amp/...":                   4,
	"datasets/...":              5,
	"internal/distabi":          2, // C handles
	"internal/ranktest":         5, // runs the ranks of tests
	"internal/distcount":        5, // counts what ranks send
	"dist/...":                  5,
	"ddp/...":                   6,
	"metrics":                   6, // lite satisfies its interface; neither imports the other
	"lite/accelerator":          6,
	"lite/accelerator/...":      7, // the accelerators
	"lite/launch":               7,
	"lite/strategy":             7,
	"lite/strategy/...":         8, // the strategies
	"lite/config":               8,
	"lite/...":                  9,
	"trainer/...":               10,
	"examples/...":              11,
	"docs/...":                  11,
	"benchmarks/...":            11,
	"scripts/...":               11,
	"cmd/...":                   11,
}

// apart lists imports that the floors allow and the design does not.
var apart = []struct{ from, to, why string }{
	{"sampler", "net", "samplers know nothing of processes"},
	{"sampler", "os/exec", "samplers know nothing of processes"},
	{"sampler", "torch/data", "data draws from samplers, not the other way"},
	{"torch/data", "net", "a loader knows nothing of processes"},
	{"torch/data", "os/exec", "a loader knows nothing of processes"},
	{"torch/nn", "torch/optim", "optimizers know modules, not the other way"},
	{"torch/nn", "torch/data", "modules know nothing of data sets"},
	{"torch/optim", "torch/data", "optimizers know nothing of data sets"},
	{"dist", "datasets", "a library brings no data set along"},
	{"lite", "metrics", "a program imports them beside each other"},
	{"ddp", "datasets", "a library brings no data set along"},
	{"lite/strategy", "lite/launch", "a strategy names a launcher, and the resolver finds it"},
	{"lite/launch", "lite/strategy", "a launcher starts ranks of any strategy"},
	{"lite/strategy", "lite/accelerator/builtin", "a strategy runs on every accelerator"},
	{"lite/accelerator", "lite/strategy", "an accelerator names its default strategy, and the resolver finds it"},
	{"lite/config", "lite/accelerator/builtin", "the resolver finds accelerators in their registry"},
	{"lite/config", "lite/strategy/builtin", "the resolver finds strategies in their registry"},
	{"lite/strategy", "lite/config", "the resolver asks strategies, not the other way"},
	{"lite/accelerator", "lite/config", "the resolver asks accelerators, not the other way"},
}

// floor finds a package's place, -1 if it has none.
func floor(pkg string) int {
	if f, ok := law[pkg]; ok {
		return f
	}
	for p := pkg; ; {
		if f, ok := law[p+"/..."]; ok {
			return f
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return -1
		}
		p = p[:i]
	}
}

func TestImportLaw(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue // tests may use what lies above
		}
		own := floor(f.pkg)
		if own < 0 {
			t.Errorf("%s: package %s has no place in the import law (internal/lint/imports_test.go)", f.path, f.pkg)
			continue
		}
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			to, ours := strings.CutPrefix(path, module)
			if ours && floor(to) > own {
				t.Errorf("%s: %s (floor %d) may not import %s (floor %d)", f.at(spec), f.pkg, own, to, floor(to))
			}
			for _, a := range apart {
				if under(f.pkg, a.from) && under(to, a.to) {
					t.Errorf("%s: %s may not import %s: %s", f.at(spec), f.pkg, to, a.why)
				}
			}
			if path == "C" && f.pkg != "cgotorch" {
				t.Errorf("%s: only cgotorch imports \"C\"", f.at(spec))
			}
		}
	}
}

// TestBuiltinsAreImportedInOneFile: package lite finds strategies and accelerators, golite's own and others, in the
// registries; its aliases are in one file.
func TestBuiltinsAreImportedInOneFile(t *testing.T) {
	const home = "lite/builtin.go"
	found := false
	for _, f := range goFiles(t) {
		if f.test || f.pkg != "lite" {
			continue
		}
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if strings.HasPrefix(path, module+"lite/") && strings.HasSuffix(path, "/builtin") {
				found = true
				if f.path != home {
					t.Errorf("%s: imports %s: only %s does", f.at(spec), path, home)
				}
			}
		}
	}
	require.True(t, found, "%s imports no builtin any more", home)
}

func under(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

// A package that is gone leaves no entry behind, so that the law keeps meaning something.
func TestLawHasNoDeadEntries(t *testing.T) {
	have := map[string]bool{}
	for _, f := range goFiles(t) {
		have[f.pkg] = true
	}
	var dead []string
	for p := range law {
		room, tree := strings.CutSuffix(p, "/...")
		if tree && !slices.ContainsFunc(slices.Collect(maps.Keys(have)), func(pkg string) bool { return under(pkg, room) }) ||
			!tree && !have[p] {
			dead = append(dead, p)
		}
	}
	for _, room := range ops {
		if !have[room] {
			dead = append(dead, room)
		}
	}
	sort.Strings(dead)
	require.Empty(t, dead)
}
