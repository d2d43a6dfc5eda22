package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/regular"
)

// installed finds the libtorch that a build is to use, and downloads nothing.
func (in *installer) installed() (string, error) {
	if in.existing != "" {
		return in.useExisting()
	}
	s, err := in.set()
	if err != nil {
		return "", err
	}
	if s.Link != "libtorch" {
		return "", fmt.Errorf("env -kind %s: a build needs cpu or cuda", in.kind)
	}
	root := in.root(s)
	if !complete(root) {
		return "", fmt.Errorf("libtorch %s is not installed: go run github.com/golite/golite/cmd/libtorch install", in.describe())
	}
	return filepath.Join(root, s.Target), nil
}

// printEnv prints the export lines of a build. Settings of the user's own stay, in front. Where the checkout's link leads to
// the same libtorch there are none: cgo compiles a package anew for other flags.
func (in *installer) printEnv(out io.Writer) error {
	dir, err := in.installed()
	if err != nil {
		return err
	}
	if in.linked(dir) {
		_, err := fmt.Fprintf(out, "# A build needs no settings: %s leads to this libtorch.\n", filepath.Join(in.checkout, "third_party", "libtorch"))
		return err
	}
	for _, v := range []struct{ name, value string }{
		{"CGO_CXXFLAGS", "-O2 " + compileFlags(dir)},
		{"CGO_LDFLAGS", linkFlags(dir)},
	} {
		if old := os.Getenv(v.name); strings.Contains(old, v.value) {
			v.value = old
		} else if old != "" {
			v.value = old + " " + v.value
		}
		if _, err := fmt.Fprintf(out, "export %s=%s\n", v.name, shellQuote(v.value)); err != nil {
			return err
		}
	}
	return nil
}

// linked reports whether the checkout's link, which cgo follows by default, leads to dir.
func (in *installer) linked(dir string) bool {
	if in.checkout == "" {
		return false
	}
	to, err := filepath.EvalSymlinks(filepath.Join(in.checkout, "third_party", "libtorch"))
	if err != nil {
		return false
	}
	dir, err = filepath.EvalSymlinks(dir)
	return err == nil && dir == to
}

func compileFlags(dir string) string {
	include := filepath.Join(dir, "include")
	return flagQuote("-I"+include) + " " + flagQuote("-I"+filepath.Join(include, "torch", "csrc", "api", "include"))
}

func linkFlags(dir string) string {
	lib := filepath.Join(dir, "lib")
	return flagQuote("-L"+lib) + " " + flagQuote("-Wl,-rpath,"+lib)
}

// flagQuote protects a flag with blanks from the splitting that the go command does.
func flagQuote(flag string) string {
	if strings.ContainsAny(flag, " \t'") {
		return `"` + flag + `"`
	}
	return flag
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writePkgConfig writes golite-libtorch.pc into the cache folder.
func (in *installer) writePkgConfig(dir string) error {
	v, err := headerVersion(dir)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Name: golite-libtorch\nDescription: the libtorch that golite links\nVersion: %s\nCflags: %s\nLibs: %s -ltorch_cpu -lc10\n",
		v, compileFlags(dir), linkFlags(dir))
	folder := filepath.Join(in.cache, "pkgconfig")
	path := filepath.Join(folder, "golite-libtorch.pc")
	if old, err := regular.ReadFile(path, 1<<20); err == nil && string(old) == text {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(fresh, []byte(text), 0o644); err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(fmt.Errorf("can't write %s: %w", path, err), os.Remove(fresh))
	}
	return nil
}
