package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/golite/golite/internal/regular"
)

// sums is a file of every finished install: the SHA-256 of each of its files, in the form of the command sha256sum.
const sums = ".sha256"

// errNoSums says that an install can't be checked by its content.
var errNoSums = errors.New("it has no checksums, as an earlier version of this command made it")

// verify checks every file of the install by its SHA-256.
func (in *installer) verify(ctx context.Context, out io.Writer) error {
	if in.existing != "" && in.kind != "cuda-headers" {
		return fmt.Errorf("LIBTORCH=%s was not installed by this command, which has no checksums of it: "+
			"unset LIBTORCH to check what was", in.existing)
	}
	s, err := in.set()
	if err != nil {
		return err
	}
	root := in.root(s)
	if !complete(root) {
		return fmt.Errorf("libtorch %s is not installed in %s, or is damaged: libtorch install puts it there", in.describe(), root)
	}
	files, bytes, err := checkSums(ctx, root)
	switch {
	case errors.Is(err, errNoSums):
		return fmt.Errorf("%s: only sizes were checked: %w: remove the folder, and libtorch install makes one with checksums",
			root, err)
	case err != nil:
		return fmt.Errorf("libtorch %s in %s is damaged: %w: libtorch install puts it right", in.describe(), root, err)
	}
	_, err = fmt.Fprintf(out, "libtorch: %s in %s is whole: %d files, %d MB\n", in.describe(), root, files, bytes/1e6)
	return err
}

// intact reports whether root is a finished install whose files are those that were unpacked. An install without
// checksums is judged by its sizes, with a line in the log.
func intact(ctx context.Context, root string, log io.Writer) (bool, error) {
	if !complete(root) {
		return false, nil
	}
	_, _, err := checkSums(ctx, root)
	switch {
	case ctx.Err() != nil:
		return false, errors.New("interrupted; run it again to go on")
	case errors.Is(err, errNoSums):
		fmt.Fprintf(log, "libtorch: %s: %v: its sizes are right\n", root, err)
	case err != nil:
		fmt.Fprintf(log, "libtorch: %s is damaged: %v: installing it again\n", root, err)
		return false, nil
	}
	return true, nil
}

// checkSums compares the files of an install with their checksums. The error names some that differ.
func checkSums(ctx context.Context, root string) (files int, bytes int64, err error) {
	text, err := regular.ReadFile(filepath.Join(root, sums), 64<<20)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, errNoSums
	}
	if err != nil {
		return 0, 0, err
	}
	want, err := parseSums(string(text))
	if err != nil {
		return 0, 0, err
	}
	names := slices.Sorted(maps.Keys(want))
	found := make([]error, len(names))
	sizes := make([]int64, len(names))
	var wg sync.WaitGroup
	for w := range runtime.NumCPU() {
		wg.Go(func() {
			for i := w; i < len(names) && ctx.Err() == nil; i += runtime.NumCPU() {
				sizes[i], found[i] = checkSum(filepath.Join(root, filepath.FromSlash(names[i])), want[names[i]])
			}
		})
	}
	wg.Wait()
	for i := range names {
		bytes += sizes[i]
	}
	found = slices.DeleteFunc(found, func(err error) bool { return err == nil })
	if n := len(found); n > 3 {
		found = append(found[:3], fmt.Errorf("and %d more", n-3))
	}
	var all []string
	for _, err := range found {
		all = append(all, err.Error())
	}
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if len(all) > 0 {
		return 0, 0, errors.New(strings.Join(all, "; "))
	}
	return len(names), bytes, nil
}

func checkSum(path, want string) (size int64, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	got, err := checksum(path)
	if err == nil && got != want {
		err = fmt.Errorf("%s has the SHA-256 %s, want %s", path, got, want)
	}
	return st.Size(), err
}

// parseSums reads a checksum and a name from each line.
func parseSums(text string) (map[string]string, error) {
	want := map[string]string{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		sum, name, ok := strings.Cut(line, "  ")
		if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size || !filepath.IsLocal(name) {
			return nil, fmt.Errorf("line %d of %s is no checksum and name", i+1, sums)
		}
		want[name] = sum
	}
	return want, nil
}

// sumsText is what parseSums reads.
func sumsText(want map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		fmt.Fprintf(&b, "%s  %s\n", want[name], name)
	}
	return b.String()
}
