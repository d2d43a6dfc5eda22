package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
)

// headers that state libtorch's version, newest layout first.
var versionHeaders = []string{"include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"}

var versionLine = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) +(\d+)`)

// useExisting checks the folder that LIBTORCH names and returns the one that holds include and lib.
func (in *installer) useExisting() (string, error) {
	root, err := filepath.Abs(in.existing)
	if err != nil {
		return "", fmt.Errorf("LIBTORCH=%s: %w", in.existing, err)
	}
	for _, dir := range []string{root, filepath.Join(root, "torch"), filepath.Join(root, "libtorch")} {
		if _, err := os.Stat(filepath.Join(dir, "include")); err != nil {
			continue
		}
		v, err := headerVersion(dir)
		if err != nil {
			continue
		}
		if older(v, in.pins.Minimum) {
			return "", fmt.Errorf("LIBTORCH=%s is libtorch %s, which is too old: golite needs %s or newer", in.existing, v, in.pins.Minimum)
		}
		if err := hasLibrary(dir); err != nil {
			return "", fmt.Errorf("LIBTORCH=%s: %w", in.existing, err)
		}
		return dir, nil
	}
	return "", fmt.Errorf("LIBTORCH=%s holds no libtorch: looked for %s in it, in torch and in libtorch: "+
		"it must be the unpacked official zip, or the folder torch of a Python install", in.existing, versionHeaders[0])
}

func hasLibrary(dir string) error {
	for _, name := range []string{"libtorch_cpu.so", "libtorch_cpu.dylib"} {
		if _, err := os.Stat(filepath.Join(dir, "lib", name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is not there", filepath.Join(dir, "lib", "libtorch_cpu.so"))
}

// headerVersion reads the version ("2.11.0") from libtorch's headers.
func headerVersion(dir string) (string, error) {
	for _, h := range versionHeaders {
		text, err := regular.ReadFile(filepath.Join(dir, filepath.FromSlash(h)), 1<<20)
		if err != nil {
			continue
		}
		parts := map[string]string{}
		for _, m := range versionLine.FindAllStringSubmatch(string(text), -1) {
			parts[m[1]] = m[2]
		}
		if len(parts) == 3 {
			return parts["MAJOR"] + "." + parts["MINOR"] + "." + parts["PATCH"], nil
		}
	}
	return "", fmt.Errorf("no version header in %s", dir)
}

// older compares versions of numbers and dots.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}
