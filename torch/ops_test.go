package torch

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/op"
)

func TestOperationsAllocateOnlyTheirResult(t *testing.T) {
	SetNumThreads(1)
	x, y := Randn(4), Randn(4)
	for name, f := range map[string]func(){
		"Add": func() { x.Add(y).Release() }, "Mul": func() { x.Mul(y).Release() },
		"MulScalar": func() { x.MulScalar(2).Release() },
		"Sum":       func() { x.Sum().Release() }, "Relu": func() { x.ReLU().Release() },
		"View": func() { x.View(2, 2).Release() },
		"To":   func() { x.To(Float64).Release() }, "Transpose": func() { x.Transpose(0, 0).Release() },
	} {
		require.LessOrEqual(t, testing.AllocsPerRun(100, f), 5.0, name)
	}
	for name, f := range map[string]func(){"Add_": func() { x.Add_(y) }, "Lerp_": func() { x.Lerp_(y, 0.5) },
		"Zero": func() { x.MulScalar_(0) }} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

var opName = regexp.MustCompile(`op\.Op\{Name: "([^"]+)"\}`)

func TestOperatorNamesExist(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range opName.FindAllStringSubmatch(string(text), -1) {
			o := op.Op{Name: m[1]}
			_, err := o.Find()
			assert.NoError(t, err, "%s: %s", file, m[1])
			n++
		}
	}
	require.Greater(t, n, 300)
}
