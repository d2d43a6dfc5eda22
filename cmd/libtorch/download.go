package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/golite/golite/internal/regular"
)

// download makes sure that every wheel lies in dir and is the one that was pinned.
func (in *installer) download(ctx context.Context, s *set, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, w := range s.Wheels {
		if err := in.fetch(ctx, &w, dir); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets one wheel. One that an earlier run left is used if it is whole.
func (in *installer) fetch(ctx context.Context, w *wheel, dir string) error {
	path := filepath.Join(dir, w.File)
	if sum, err := checksum(path); err == nil && sum == w.SHA256 {
		return nil
	}
	tmp := filepath.Join(dir, "tmp")
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // the next run clears it
	if err := in.pip(ctx, w, tmp); err != nil {
		return err
	}
	got := filepath.Join(tmp, w.File)
	sum, err := checksum(got)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pip did not fetch %s: does its index (pip config list) hold %s %s?", w.File, w.Name, w.Version)
	}
	if err != nil {
		return err
	}
	if sum != w.SHA256 {
		return fmt.Errorf("the checksum of %s differs: SHA-256 %s, pinned is %s: the index that pip uses (pip config list) serves another file", w.File, sum, w.SHA256)
	}
	return os.Rename(got, path)
}

// pip downloads one wheel into tmp; what it keeps on the way lies there too, so that one disk is concerned, not two.
func (in *installer) pip(ctx context.Context, w *wheel, tmp string) error {
	args := append(in.python[1:len(in.python):len(in.python)], "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
		"--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--only-binary", ":all:", "--platform", w.Platform)
	if w.Python != "" {
		args = append(args, "--implementation", "cp", "--python-version", w.Python, "--abi", w.ABI)
	}
	cmd := exec.CommandContext(ctx, in.python[0], append(args, "--dest", tmp, w.Name+"=="+w.Version)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	done := in.progress("downloading "+w.Name+" "+w.Version, w.Size, func() int64 { return largest(tmp) })
	err := cmd.Run()
	done(err == nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	return pipError(w, err, said.String())
}

// pipError puts what pip says in many lines into one, with the remedy.
func pipError(w *wheel, err error, said string) error {
	has := func(words ...string) bool {
		for _, s := range words {
			if strings.Contains(said, s) {
				return true
			}
		}
		return false
	}
	what := w.Name + " " + w.Version
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("no python3 is in PATH: libtorch is downloaded with pip: install it (Debian, Ubuntu: apt install python3-pip)")
	case has("No module named pip"):
		return errors.New("python3 has no pip, which downloads libtorch: install it (Debian, Ubuntu: apt install python3-pip)")
	case has("No space left on device", "Disk quota exceeded"):
		return fmt.Errorf("downloading %s: %w", what, syscall.ENOSPC)
	case has("HTTPSConnectionPool", "HTTPConnectionPool", "NewConnectionError", "Connection refused", "Temporary failure in name resolution", "Read timed out", "SSLError", "ProxyError", "Connection broken"):
		return fmt.Errorf("can't reach the package index to download %s: %s: check the network (pip's settings: pip config list), or point LIBTORCH at an existing libtorch", what, lastLine(said))
	case has("No matching distribution"):
		return fmt.Errorf("pip finds no %s (for %s): check the network and pip's index (pip config list), or point LIBTORCH at an existing libtorch", what, w.Platform)
	}
	return fmt.Errorf("pip could not download %s: %w: %s", what, err, lastLine(said))
}

// lastLine is the last line of pip's words that says something.
func lastLine(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if l := strings.TrimSpace(lines[i]); l != "" && !strings.HasPrefix(l, "[notice]") {
			return l
		}
	}
	return "it said nothing"
}

func checksum(path string) (string, error) {
	f, _, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// largest is the size of the largest file under dir: the one that pip is writing.
func largest(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // files come and go meanwhile
		if err != nil || d.IsDir() {
			return nil
		}
		if st, err := d.Info(); err == nil {
			n = max(n, st.Size())
		}
		return nil
	})
	return n
}
