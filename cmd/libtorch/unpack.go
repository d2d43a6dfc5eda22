package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// unpack writes the wanted files of all wheels under part, then the marker, and makes them durable.
func (in *installer) unpack(ctx context.Context, s *set, wheels, part string) (err error) {
	var written atomic.Int64
	done := in.progress("unpacking", s.Unpacked, written.Load)
	defer func() { done(err == nil) }()
	sizes, hashes := map[string]int64{}, map[string]string{}
	for _, w := range s.Wheels {
		if err := unpackWheel(ctx, &w, filepath.Join(wheels, w.File), part, sizes, hashes, &written); err != nil {
			return fmt.Errorf("unpacking %s: %w", w.File, err)
		}
	}
	list := sumsText(hashes)
	sizes[sums] = int64(len(list))
	if err := writeFile(filepath.Join(part, sums), strings.NewReader(list), true); err != nil {
		return err
	}
	text, err := json.MarshalIndent(sizes, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(part, marker), strings.NewReader(string(text)), true)
}

// unpackWheel adds the sizes of what it unpacks that a build or a run can't do without, and the checksums of all.
func unpackWheel(ctx context.Context, w *wheel, path, part string, sizes map[string]int64, hashes map[string]string,
	written *atomic.Int64) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer z.Close() //nolint:errcheck // read only
	found := map[string]bool{}
	for _, f := range z.File {
		if !w.wants(f.Name) || strings.HasSuffix(f.Name, "/") {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("%q lies outside the archive", f.Name)
		}
		sum, err := unpackFile(f, filepath.Join(part, filepath.FromSlash(f.Name)), written)
		if err != nil {
			return err
		}
		hashes[f.Name] = sum
		if isLibrary(f.Name) || len(found) == 0 {
			sizes[f.Name] = int64(f.UncompressedSize64)
		}
		for _, k := range w.Keep {
			one := wheel{Keep: []string{k}}
			found[k] = found[k] || one.wants(f.Name)
		}
	}
	for _, k := range w.Keep {
		if !found[k] {
			return fmt.Errorf("it holds no %s", k)
		}
	}
	return nil
}

// unpackFile returns the SHA-256 of what it writes. The zip file's own checksum is checked on the way.
func unpackFile(f *zip.File, path string, written *atomic.Int64) (sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // read only
	h := sha256.New()
	if err := writeFile(path, io.TeeReader(r, io.MultiWriter(counter{written}, h)), isLibrary(f.Name)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile writes a new file; sync makes it durable, which headers can do without: they are checked by nobody, but
// cost a wait each, and the marker comes after all of them.
func writeFile(path string, r io.Reader, sync bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
