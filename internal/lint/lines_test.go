package lint

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// maxColumns is the length of a line of code, of a comment and of documentation; a tab counts as one column.
const maxColumns = 120

// wideFolders lists the folders that still have longer lines.
var wideFolders = []string{
	"amp/", "benchmarks/", "cmd/", "datasets/", "ddp/shard/", "examples/", "lite/", "metrics/", "sampler/", "scripts/",
	"torch/serial/zero/", "trainer/",
}

// TestLinesFitTheirColumns: lines may be longer where a break makes them worse, which is in
//   - a row of a test's table: it begins with { or a quoted key,
//   - a line that holds a raw string, whose text a break would change,
//   - a table or a code block of a page,
//   - the output of an example,
//   - a line of directives, and one that is a single word, such as an address.
func TestLinesFitTheirColumns(t *testing.T) {
	require.NoError(t, eachFile(func(name string, text []byte) error {
		switch path.Ext(name) {
		case ".go", ".cc", ".hh", ".h", ".md":
		default:
			return nil
		}
		if inWideFolder(name) || generated.Match(text) {
			return nil
		}
		for _, n := range longLines(name, string(text)) {
			t.Errorf("%s:%d: more than %d columns", name, n, maxColumns)
		}
		return nil
	}))
}

func inWideFolder(name string) bool {
	for _, w := range wideFolders {
		if strings.HasPrefix(name, w) {
			return true
		}
	}
	return false
}

// longLines returns the numbers of the lines that are too long.
func longLines(name, text string) []int {
	var list []int
	raw, block := false, false
	page := path.Ext(name) == ".md"
	for i, line := range strings.Split(text, "\n") {
		inRaw := raw
		if page {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				block = !block
			}
		} else if strings.Count(line, "`")%2 != 0 {
			raw = !raw
		}
		if utf8.RuneCountInString(line) <= maxColumns || inRaw || block || mayBeWide(name, line) {
			continue
		}
		list = append(list, i+1)
	}
	return list
}

// mayBeWide reports whether a break of a line would make it worse.
func mayBeWide(name, line string) bool {
	s := strings.TrimSpace(line)
	switch {
	case !strings.Contains(strings.TrimPrefix(s, "// "), " "):
		return true
	case path.Ext(name) == ".md":
		return strings.HasPrefix(s, "|")
	case strings.HasPrefix(s, "//"):
		return strings.HasPrefix(s, "// Output: ")
	case strings.Contains(line, "`"), strings.HasPrefix(s, "#cgo "), strings.HasPrefix(s, "#error "):
		return true
	default:
		return strings.HasSuffix(name, "_test.go") && (strings.HasPrefix(s, "{") || strings.HasPrefix(s, `"`))
	}
}

func TestLongLinesAreFound(t *testing.T) {
	long := strings.Repeat("word ", 25)
	for text, want := range map[string][]int{
		"x\n// " + long + "\n":                   {2},
		"\tcall(" + long + ")\n":                 {1},
		strings.Repeat("ü", maxColumns) + " a\n": {1},
		strings.Repeat("ü", maxColumns-2) + " a": nil,
		"a := `" + long + "`\n":                  nil,
		"a := `\n" + long + "\n`\n// " + long:    {4},
		"// " + strings.Repeat("w", maxColumns):  nil,
		"\t{\"" + long + "\", 1},\n":             {1},
		"#cgo LDFLAGS: " + long + "\n" + "x":     nil,
	} {
		require.Equal(t, want, longLines("a.go", text), text)
	}
	require.Empty(t, longLines("a_test.go", "\t{\""+long+"\", 1},\n"))
	require.Equal(t, []int{5}, longLines("a.md", "| "+long+"|\n```\n"+long+"\n```\n"+long))
}
