// Package docs has the pages of the manual, and tests of the programs that they show.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every program text on the page is part of the program of its step, which the compiler sees with the rest.
func TestConvertShowsItsPrograms(t *testing.T) {
	shows(t, "convert.md", 10, func(i int) string {
		return filepath.Join("convert", "step"+string(rune('0'+i)),
			"main.go")
	})
}

func TestInferenceShowsItsProgram(t *testing.T) {
	shows(t, "inference.md", 1, func(int) string { return filepath.Join("..", "examples", "inference", "main.go") })
}

func TestPitfallsShowsItsProgram(t *testing.T) {
	shows(t, "pitfalls.md", 14, func(int) string { return "pitfalls_test.go" })
}

func TestOptimizersShowsItsPrograms(t *testing.T) {
	files := []string{"lion.go", "lion.go", "lion.go", "lion.go", "main.go", "muon.go"}
	shows(t, "optimizers.md", len(files), func(i int) string {
		return filepath.Join("..", "examples", "optimizers",
			files[i])
	})
}

func TestStrategiesShowsItsProgram(t *testing.T) {
	shows(t, "strategies.md", 7, func(int) string {
		return filepath.Join("..", "examples", "plugins", "localsgd",
			"localsgd.go")
	})
}

// shows tells whether the blocks of a page are in their programs, where they may stand further to the right.
func shows(t *testing.T, page string, n int, program func(i int) string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, n)
	for i, b := range blocks {
		source, err := os.ReadFile(program(i))
		require.NoError(t, err)
		found := false
		for block := b[1]; !found &&
			strings.Count(block, "\t") < 1000; block = regexp.MustCompile("(?m)^(.)").ReplaceAllString(block, "\t$1") {
			found = strings.Contains("\n"+string(source), "\n"+block)
		}
		require.True(t, found, "block %d is not in %s:\n%s", i, program(i), b[1])
	}
}
