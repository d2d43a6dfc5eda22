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
	shows(t, "convert.md", 6, func(i int) string { return filepath.Join("convert", "step"+string(rune('0'+i)), "main.go") })
}

func TestInferenceShowsItsProgram(t *testing.T) {
	shows(t, "inference.md", 1, func(int) string { return filepath.Join("..", "examples", "inference", "main.go") })
}

func shows(t *testing.T, page string, n int, program func(i int) string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, n)
	for i, b := range blocks {
		source, err := os.ReadFile(program(i))
		require.NoError(t, err)
		require.True(t, strings.Contains(string(source), b[1]), "block %d is not in %s", i, program(i))
	}
}
