package lint

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/aliasdoc"
)

// Package lite's page shows the whole documentation of the types that package lite gives names to.
func TestAliasesHaveTheTypesDocumentation(t *testing.T) {
	files, err := aliasdoc.Files(filepath.Join("..", ".."), "lite")
	require.NoError(t, err)
	for name := range files {
		t.Errorf("%s: comments of aliases differ from those of their types: run go run ./scripts/aliasdoc", name)
	}
}
