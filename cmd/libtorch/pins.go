package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	thirdparty "github.com/golite/golite/third_party"
)

// pins says which files make up an install, on each platform.
type pins struct {
	Libtorch  string                     `json:"libtorch"` // the version
	Minimum   string                     `json:"minimum"`  // the oldest libtorch that LIBTORCH may name
	Platforms map[string]map[string]*set `json:"platforms"`
}

// set is one kind of install: "cpu", "cuda-headers", "cuda".
type set struct {
	Link     string  `json:"link"`     // the link's name in third_party
	Target   string  `json:"target"`   // the folder of the install that it leads to
	Unpacked int64   `json:"unpacked"` // bytes, about
	Wheels   []wheel `json:"wheels"`
}

// wheel is one file of the Python package index. Python and ABI are empty where the wheel fits any.
type wheel struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Python   string   `json:"python"`
	ABI      string   `json:"abi"`
	Platform string   `json:"platform"`
	File     string   `json:"file"`
	Size     int64    `json:"size"`
	SHA256   string   `json:"sha256"`
	Keep     []string `json:"keep"` // paths in the wheel; one that ends in / is a folder, one in * a beginning
}

func readPins() (*pins, error) {
	var p pins
	if err := json.Unmarshal(thirdparty.Pins, &p); err != nil {
		return nil, fmt.Errorf("third_party/pins.json: %w", err)
	}
	return &p, nil
}

// kind finds the set of a platform ("linux/amd64").
func (p *pins) kind(platform, kind string) (*set, error) {
	sets, ok := p.Platforms[platform]
	if !ok {
		return nil, fmt.Errorf("no libtorch %s is pinned for %s: point LIBTORCH at an install of your own (libtorch >= %s)", p.Libtorch, platform, p.Minimum)
	}
	s, ok := sets[kind]
	if !ok {
		return nil, fmt.Errorf("%q is not a kind of install on %s", kind, platform)
	}
	return s, nil
}

// folder names the install: another choice of files is another folder, so that checkouts of different
// versions share a cache.
func (p *pins) folder(kind string, s *set) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", s.Wheels))
	return p.Libtorch + "-" + kind + "-" + hex.EncodeToString(sum[:4])
}

// cudaInstall matches the folder of a CUDA install, of whatever version (see folder).
var cudaInstall = regexp.MustCompile(`^[0-9.]+-cuda-[0-9a-f]{8}/`)

// linkedKind is the kind of the install that a checkout's link leads to; cpu where it leads elsewhere.
func linkedKind(checkout, cache string) string {
	to, err := os.Readlink(filepath.Join(checkout, "third_party", "libtorch"))
	if checkout == "" || err != nil {
		return "cpu"
	}
	if rel, err := filepath.Rel(filepath.Join(cache, "libtorch"), to); err == nil && cudaInstall.MatchString(rel) {
		return "cuda"
	}
	return "cpu"
}

// download is the number of bytes to fetch.
func (s *set) download() int64 {
	var n int64
	for _, w := range s.Wheels {
		n += w.Size
	}
	return n
}

// wants tells whether a file of the wheel belongs to the install.
func (w *wheel) wants(name string) bool {
	for _, k := range w.Keep {
		beginning, folder := strings.CutSuffix(k, "*")
		if name == k || ((folder || strings.HasSuffix(k, "/")) && strings.HasPrefix(name, beginning)) {
			return true
		}
	}
	return false
}
