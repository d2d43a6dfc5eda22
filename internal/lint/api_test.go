package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/api"
)

// A change of an exported name or signature shows in the folder api, for review, and in CHANGELOG.md, for users.
func TestAPIIsRecorded(t *testing.T) {
	root := filepath.Join("..", "..")
	now, err := api.Files(t.Context(), root)
	require.NoError(t, err)
	require.Len(t, now, 2)
	for name, lines := range now {
		require.Greater(t, len(lines), 1000, "the packages were not found")
		recorded, err := os.ReadFile(filepath.Join(root, "api", name))
		require.NoError(t, err, "run: make api")
		old := strings.Split(strings.TrimSuffix(string(recorded), "\n"), "\n")
		if diff := api.Diff(old, lines); len(diff) > 0 {
			t.Errorf("exported names differ from api/%s: describe the change in CHANGELOG.md and run: make api\n%s",
				name, strings.Join(diff, "\n"))
		}
	}
}
