package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
	"github.com/golite/golite/torch/serial/shard"
	"github.com/golite/golite/torch/serial/zero"
)

// file is an open checkpoint of any format.
type file struct {
	path, format string
	several      bool // a folder, or an index, and not one file
	root         any
	metadata     map[string]string // safetensors
	check        func() (int64, error)
	io.Closer
	verified map[*ptfile.Storage]bool
}

// open opens a checkpoint and takes the part under key.
func open(path, key string) (*file, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	f.path, f.verified = path, map[*ptfile.Storage]bool{}
	if key != "" {
		for k := range strings.SplitSeq(key, ".") {
			d, ok := f.root.(*pickle.Dict)
			v, found := d.Get(k)
			if !ok || !found {
				return nil, errors.Join(fmt.Errorf("%s has no key %q", path, key), f.Close())
			}
			f.root = v
		}
	}
	return f, nil
}

func openFile(path string) (*file, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return openFolder(path)
	}
	if head, err := readHead(path); err != nil {
		return nil, err
	} else if safetensors.Looks(head) {
		return openSafetensors(path)
	}
	p, err := ptfile.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{format: string(p.Format), root: p.Root, check: p.Verify, Closer: p}, nil
}

func readHead(path string) ([]byte, error) {
	f, _, err := regular.Open(path)
	if err != nil {
		return nil, errs.FileType(err)
	}
	defer f.Close()
	head := make([]byte, 9)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

func openSafetensors(path string) (*file, error) {
	s, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	root := pickle.NewDict(pickle.OrderedDict)
	for _, n := range s.Names {
		t, _ := s.Tensor(n)
		if err := root.Set(n, t); err != nil {
			return nil, err
		}
	}
	format := "safetensors"
	if s.Files != nil {
		format = fmt.Sprintf("an index of %d files", len(s.Files))
	}
	return &file{format: format, several: s.Files != nil, root: root, metadata: s.Metadata, check: s.Verify, Closer: s}, nil
}

func openFolder(path string) (*file, error) {
	if zero.Looks(path) {
		c, err := zero.Open(path)
		if err != nil {
			return nil, err
		}
		format := fmt.Sprintf("DeepSpeed stage %d, %d ranks", c.Stage, c.World)
		return &file{format: format, several: true, root: c.Root, check: c.Verify, Closer: c}, nil
	}
	d, err := shard.Open(path)
	if err != nil {
		return nil, err
	}
	root, err := d.State(func(e *shard.Entry) (any, error) {
		if e.IsTensor() {
			return d.Tensor(e), nil
		}
		return d.Value(e)
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &file{format: "sharded", several: true, root: root, check: d.Verify, Closer: d}, nil
}

// leaf is a value that is no container, or an empty one.
type leaf struct {
	name  string // its path, joined by dots
	key   string // its path in full: no two leaves share one
	value any
}

// leaves lists the values of a tree, in order.
func leaves(v any) (out []leaf) {
	var walk func(name, key string, v any)
	walk = func(name, key string, v any) {
		step := func(k any, open, close string, item any) {
			next := fmt.Sprint(k)
			if name != "" {
				next = name + "." + next
			}
			walk(next, key+open+keyText(k)+close, item)
		}
		switch v := v.(type) {
		case *pickle.Dict:
			for k, item := range v.All() {
				step(k, "{", "}", item)
			}
			if v.Len() > 0 {
				return
			}
		case []any:
			for i, item := range v {
				step(i, "[", "]", item)
			}
			if len(v) > 0 {
				return
			}
		case pickle.Tuple:
			for i, item := range v {
				step(i, "[", "]", item)
			}
			if len(v) > 0 {
				return
			}
		}
		out = append(out, leaf{name, key, v})
	}
	walk("", "", v)
	return out
}

// keyText tells keys apart that look alike: 0 and "0".
func keyText(k any) string {
	if s, ok := k.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%T(%v)", k, k)
}

// verify checks a tensor's storages before its elements are used, each once.
func (f *file) verifyTensor(t *ptfile.Tensor) error {
	for _, p := range t.Parts {
		if err := f.verifyTensor(p); err != nil {
			return err
		}
	}
	if t.Storage == nil || f.verified[t.Storage] {
		return nil
	}
	f.verified[t.Storage] = true
	return t.Storage.Verify()
}

// shape writes a tensor's sizes as "2x3", a scalar's as "scalar".
func shape(t *ptfile.Tensor) string {
	if len(t.Shape) == 0 {
		return "scalar"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(t.Shape), " ", "x"), "[]")
}
