package nn

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/fixture"
	"github.com/golite/golite/torch"
)

// TestInit builds every module with parameters and compares what its constructor drew, and what is drawn next.
func TestInit(t *testing.T) {
	file := fixture.Open(t, "testdata/init.json.gz")
	n := 0
	for _, c := range file.Cases {
		if !strings.HasPrefix(c.Name, "module/") {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			var r recordedCase
			c.Decode(t, &r)
			torch.Scope(func() {
				torch.ManualSeed(c.Seed)
				m, _ := build(t, r.Module, r.Args, r.Kwargs, r.DType)
				compareState(t, c, m, map[string][]byte{})
				c.Equal(t, "next", recordedTensor(torch.Rand(4)))
			})
		})
	}
	require.Greater(t, n, 100)
}
