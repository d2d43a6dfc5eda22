package atomicfile

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
)

// tempMark is in the name of every temporary file: .NAME.tmp-RANDOM beside NAME.
const tempMark = ".tmp-"

func tempName(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+tempMark+rand.Text()[:12])
}

// IsTemp reports whether a file name (without its folder) is that of an unfinished write.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, tempMark)
}

// removeStale removes the temporaries that writers of target left when they were killed. A living writer holds a lock on
// its temporary, so that two processes saving to one name don't hurt each other. Errors don't matter here: a
// leftover costs room, no more.
func removeStale(target string) {
	prefix := "." + filepath.Base(target) + tempMark
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			path := filepath.Join(filepath.Dir(target), e.Name())
			removeUnlocked(path)
		}
	}
}
