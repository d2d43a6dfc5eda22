package atomicfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"unicode/utf8"
)

// Every temporary file is called .STEM.tmp-RANDOM, beside the file that it is to become.
const (
	tempMark   = ".tmp-"
	tempLength = 12
	longest    = 255 // bytes that file systems allow in a name
)

// tempName's random part is of base 32.
var temporary = regexp.MustCompile(`^\.(.+)\.tmp-[A-Z2-7]{12}$`)

func tempName(target string) string {
	return filepath.Join(filepath.Dir(target), "."+stem(filepath.Base(target))+tempMark+rand.Text()[:tempLength])
}

// stem is a file's name, or where a temporary's would be too long with it, its beginning and a hash of the whole.
func stem(name string) string {
	const most = longest - len(".") - len(tempMark) - tempLength
	if len(name) <= most || len(name) > longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := "~" + hex.EncodeToString(sum[:8])
	cut := most - len(hash)
	for !utf8.RuneStart(name[cut]) { // some file systems want whole characters
		cut--
	}
	return name[:cut] + hash
}

// IsTemp reports whether a file name (without its folder) is that of an unfinished write.
func IsTemp(name string) bool { return temporary.MatchString(name) }

// TempOf returns the name of the file that a temporary was to become, or nothing for other names. Of a name of more
// than 237 bytes it returns a shorter one, which stands for it.
func TempOf(name string) string {
	if m := temporary.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// Sweep removes from a folder the temporaries that writers left when they were killed, of the files whose names match.
// A living writer holds a lock on its temporary, which then stays, and so does what only has such a name and is not a
// regular file. Where a network file system's locks are known to one machine only, Sweep must not run while another
// machine writes to the folder.
func Sweep(fsys FS, dir string, match func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		if name := TempOf(e.Name()); name != "" && e.Type().IsRegular() && match(name) {
			err = errors.Join(err, removeUnlocked(fsys, filepath.Join(dir, e.Name())))
		}
	}
	return err
}
