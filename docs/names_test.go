package docs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fabric is what lightning.fabric.Fabric 2.6.6 has, by Python's inspect: each public method with its arguments, and the
// arguments of __init__ under "".
var fabric = map[string]string{
	"":                  "accelerator strategy devices num_nodes precision plugins callbacks loggers",
	"all_gather":        "data group sync_grads",
	"all_reduce":        "data group reduce_op",
	"autocast":          "",
	"backward":          "tensor args model kwargs",
	"barrier":           "name",
	"broadcast":         "obj src",
	"call":              "hook_name args kwargs",
	"clip_gradients":    "module optimizer clip_val max_norm norm_type error_if_nonfinite",
	"init_module":       "empty_init",
	"init_tensor":       "",
	"launch":            "function args kwargs",
	"load":              "path state strict weights_only",
	"load_raw":          "path obj strict weights_only",
	"log":               "name value step",
	"log_dict":          "metrics step",
	"no_backward_sync":  "module enabled",
	"print":             "args kwargs",
	"rank_zero_first":   "local",
	"run":               "",
	"save":              "path state filter",
	"seed_everything":   "seed workers verbose",
	"setup":             "module optimizers scheduler move_to_device",
	"setup_dataloaders": "dataloaders use_distributed_sampler move_to_device",
	"setup_module":      "module move_to_device",
	"setup_optimizers":  "",
	"sharded_model":     "",
	"to_device":         "obj",
}

// properties are Fabric's, and what LightningLite's page names besides.
const properties = "accelerator device global_rank is_global_zero local_rank logger loggers node_rank strategy " +
	"world_size " +
	"gpus tpu_cores dp ddp ddp_spawn tpu_spawn deepspeed ddp_sharded ddp_sharded_spawn horovod " +
	"ClusterEnvironment DeepSpeedPlugin"

var (
	quoted = regexp.MustCompile("`([^`]*)`")
	word   = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

// rows gives the rows of a page's tables, each as its cells.
func rows(t *testing.T, page string) [][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var found [][]string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "|--") {
			found = append(found, strings.Split(strings.Trim(line, "|"), "|"))
		}
	}
	return found
}

func TestNamesHasAllOfFabric(t *testing.T) {
	names := map[string]string{} // by a name of the first column, the words of its rows
	for _, cells := range rows(t, "names.md") {
		require.Len(t, cells, 3, "%q", cells)
		for _, q := range quoted.FindAllStringSubmatch(cells[0], -1) {
			for _, q := range quoted.FindAllStringSubmatch(cells[2], -1) {
				names[strings.TrimSpace(firstWord(cells[0]))] += " " + q[1]
			}
			names[q[1]] += " "
		}
	}
	for method, arguments := range fabric {
		if method == "" {
			for argument := range strings.FieldsSeq(arguments) {
				require.Contains(t, names, argument)
			}
			continue
		}
		require.Contains(t, names, method)
		have := map[string]bool{}
		for _, w := range word.FindAllString(names[method], -1) {
			have[w] = true
		}
		for argument := range strings.FieldsSeq(arguments) {
			require.True(t, have[argument], "%s: its row says nothing of the argument %s: %s", method, argument, names[method])
		}
	}
	for name := range strings.FieldsSeq(properties) {
		require.Contains(t, names, name)
	}
}

func firstWord(cell string) string {
	if q := quoted.FindStringSubmatch(cell); q != nil {
		return q[1]
	}
	return ""
}

// Each name of golite on the page is exported. A name is pkg.Name or pkg.Type.Member.
func TestNamesOfGoliteExist(t *testing.T) {
	recorded, err := os.ReadFile(filepath.Join("..", "api", "golite.txt"))
	require.NoError(t, err)
	exported := map[string]bool{}
	line := regexp.MustCompile(`^pkg (?:\w+/)*(\w+), (?:func|type|var|const|method) ` +
		`(?:\(\*?(\w+)\) )?(\w+)(?:.* struct, (?:embedded \S*\.)?(\w+))?`)
	aliases := map[string]string{} // by what they stand for
	alias := regexp.MustCompile(`^pkg (?:\w+/)*(\w+), type (\w+) = (\S+)`)
	for l := range strings.Lines(string(recorded)) {
		if m := alias.FindStringSubmatch(l); m != nil {
			aliases[m[3]] = m[1] + "." + m[2]
		}
		m := line.FindStringSubmatch(l)
		require.NotNil(t, m, l)
		name := m[1]
		for _, part := range m[2:] {
			if part != "" {
				name += "." + part
			}
		}
		exported[name] = true
	}
	for name := range maps.Clone(exported) {
		if parts := strings.SplitN(name, ".", 3); len(parts) == 3 {
			if a, ok := aliases[parts[0]+"."+parts[1]]; ok {
				exported[a+"."+parts[2]] = true
			}
		}
	}
	golite := regexp.MustCompile(`^(lite|torch|nn|optim|data|ddp|dist|amp|cluster|serial|logger|metrics)\.[A-Z][A-Za-z0-9.]*$`)
	n := 0
	for _, cells := range rows(t, "names.md") {
		for i, cell := range cells {
			for _, q := range quoted.FindAllStringSubmatch(cell, -1) {
				if i != 1 && !golite.MatchString(q[1]) {
					continue
				}
				n++
				require.Regexp(t, golite, q[1])
				require.True(t, exported[q[1]], "golite has no %s", q[1])
			}
		}
	}
	require.Greater(t, n, 80)
}
