package atomicfile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"regexp"
)

// Every temporary file is called .NAME.tmp-RANDOM, beside NAME.
const (
	tempMark   = ".tmp-"
	tempLength = 12
)

// tempName's random part is of base 32.
var temporary = regexp.MustCompile(`^\.(.+)\.tmp-[A-Z2-7]{12}$`)

func tempName(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+tempMark+rand.Text()[:tempLength])
}

// IsTemp reports whether a file name (without its folder) is that of an unfinished write.
func IsTemp(name string) bool { return temporary.MatchString(name) }

// TempOf returns the name of the file that a temporary was to become, or nothing for other names.
func TempOf(name string) string {
	if m := temporary.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// Sweep removes from a folder the temporaries that writers left when they were killed, of the files whose names match. A
// living writer holds a lock on its temporary, which then stays. Where a network file system's locks are known to one
// machine only, Sweep must not run while another machine writes to the folder.
func Sweep(fsys FS, dir string, match func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		if name := TempOf(e.Name()); name != "" && match(name) {
			err = errors.Join(err, removeUnlocked(fsys, filepath.Join(dir, e.Name())))
		}
	}
	return err
}
