// Command api writes the recorded lists of exported names anew, or compares the sources with a commit.
//
//	go run ./scripts/api                 # writes api/*.txt
//	go run ./scripts/api -diff v0.1.0    # what was removed (-) and added (+) since a tag, branch or commit
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golite/golite/internal/api"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("api: ")
	rev := flag.String("diff", "", "compare with this tag, branch or commit, and write no file")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := run(ctx, *rev); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rev string) error {
	now, err := api.Files(ctx, ".")
	if err != nil {
		return err
	}
	if rev == "" {
		for name, lines := range now {
			if err := os.WriteFile(filepath.Join("api", name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	old, err := filesOf(ctx, rev)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		for _, l := range api.Diff(old[name], now[name]) {
			fmt.Println(l)
		}
	}
	return nil
}

// filesOf lists the names of a commit, from its sources: it need not have recorded them.
func filesOf(ctx context.Context, rev string) (_ map[string][]string, err error) {
	dir, err := os.MkdirTemp("", "golite-api-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cmd := exec.CommandContext(ctx, "git", "archive", "--format=tar", rev)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	archive, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git archive %s: %w: %s", rev, err, strings.TrimSpace(stderr.String()))
	}
	if err := unpack(archive, dir); err != nil {
		return nil, fmt.Errorf("git archive %s: %w", rev, err)
	}
	return api.Files(ctx, dir)
}

// unpack writes the Go files and go.mod of an archive. os.Root keeps every name below dir.
func unpack(archive []byte, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		// Data that go:embed names is needed as well, so that everything is written.
		if err := root.MkdirAll(filepath.Dir(h.Name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(h.Name, text, 0o644); err != nil {
			return err
		}
	}
}
