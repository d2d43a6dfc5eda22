package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// Bounds of an index: the largest models have some hundred files and an index of 16 MiB.
const (
	maxIndex = 64 << 20
	maxFiles = 4096
)

const indexPart = "weight_map"

// index is a parsed model.safetensors.index.json: which file has which tensor.
type index struct {
	names []string       // tensors, in the order of the JSON
	of    map[string]int // the file of each
	files []string
}

// looksIndex reports whether a file that begins with head is JSON, and so may be an index. A header of 31,520 bytes has
// a length that begins with a space and a brace as well, but as every length it has zeros after that, which no text
// has.
func looksIndex(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) && !bytes.Contains(head[:min(len(head), 8)],
		[]byte{0})
}

// isIndex reports whether the file at a path may be an index.
func isIndex(path string) bool {
	f, _, err := regular.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	return (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) && looksIndex(head[:n])
}

// parseIndex reads an index. Every file in it is a plain name: of a file in the index's own folder, and no index.
func parseIndex(raw []byte) (*index, error) {
	x := &index{of: map[string]int{}}
	number := map[string]int{}
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(raw))
	err := members(d, func(key string) error {
		if seen[key] {
			return fmt.Errorf("key %q is there twice", key)
		}
		seen[key] = true
		if key != indexPart {
			return d.Decode(new(json.RawMessage))
		}
		return members(d, func(name string) error {
			t, err := d.Token()
			file, ok := t.(string)
			if err != nil || !ok {
				return fmt.Errorf("the file of tensor %q is no text (%v)", name, err)
			}
			if _, twice := x.of[name]; twice {
				return fmt.Errorf("tensor %q is there twice", name)
			}
			n, known := number[file]
			if !known {
				if err := checkFile(file); err != nil {
					return err
				}
				n = len(x.files)
				if n == maxFiles {
					return &errs.ErrUnsupported{What: fmt.Sprintf("an index of more than %d files", maxFiles)}
				}
				number[file] = n
				x.files = append(x.files, file)
			}
			x.names = append(x.names, name)
			x.of[name] = n
			return nil
		})
	})
	switch {
	case errs.Typed(err):
		return nil, err
	case errors.Is(err, io.EOF):
		return nil, errs.Corrupt(indexPart, d.InputOffset(), "unexpected end of the JSON")
	case err != nil:
		return nil, errs.Corrupt(indexPart, d.InputOffset(), "%v", err)
	case !seen[indexPart]:
		return nil, &errs.ErrUnsupported{What: "a JSON file without weight_map, which no index of a sharded model is,",
			Remedy: "give the file of the weights, such as model.safetensors, or the model.safetensors.index.json of several"}
	}
	if rest := bytes.TrimSpace(raw[d.InputOffset():]); len(rest) > 0 {
		return nil, errs.Corrupt(indexPart, d.InputOffset(), "%d bytes after the JSON", len(rest))
	}
	return x, nil
}

// members reads a JSON object, and calls f where the value of each key begins.
func members(d *json.Decoder, f func(key string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("want an object, found %v (%v)", t, err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if err := f(t.(string)); err != nil { // the decoder lets no other keys pass
			return err
		}
	}
	_, err := d.Token()
	return err
}

// checkFile refuses names that lead out of the index's folder, or to another index.
func checkFile(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") || filepath.Base(name) != name:
		return &errs.ErrUnsafe{Reason: fmt.Sprintf("the index names the file %q: want a plain name, of a file in the "+
			"index's folder", name)}
	case strings.EqualFold(filepath.Ext(name), ".json"):
		return &errs.ErrUnsafe{Reason: fmt.Sprintf("the index names the file %q, which would be an index as well", name)}
	}
	return nil
}

// openIndex opens a sharded model by its index: the tensors that the index names, in its order, from all files.
func openIndex(path string) (*File, error) {
	f, st, err := regular.Open(path)
	if err != nil {
		return nil, errs.FileType(err)
	}
	defer f.Close()
	if st.Size() > maxIndex {
		return nil, &errs.ErrUnsupported{File: path, What: fmt.Sprintf("an index of %d bytes", st.Size()),
			Remedy: fmt.Sprintf("the most is %d", maxIndex)}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(raw)
	if err != nil {
		return nil, errs.InFile(err, path)
	}
	out := &File{Path: path, Names: x.names, Files: x.files, Metadata: map[string]string{}, Checksummed: true,
		tensors: map[string]*ptfile.Tensor{}}
	var open closers
	out.closer = &open
	parts := make([]part, len(x.files))
	for i, name := range x.files {
		if parts[i], err = openPart(filepath.Join(filepath.Dir(path), name)); err != nil {
			return nil, errors.Join(err, open.Close())
		}
		open = append(open, parts[i].Closer)
		out.Checksummed = out.Checksummed && parts[i].checksummed
		for k, v := range parts[i].metadata {
			out.Metadata[k] = v
		}
	}
	for _, name := range x.names {
		i := x.of[name]
		t := parts[i].tensor(name)
		if t == nil {
			err := &errs.ErrCorrupt{File: path, Record: name, Offset: -1,
				Reason: fmt.Sprintf("the index says that the tensor is in %q, and it is not", x.files[i])}
			return nil, errors.Join(err, open.Close())
		}
		out.tensors[name] = t
	}
	return out, nil
}

// part is one of the files that an index names.
type part struct {
	tensor      func(name string) *ptfile.Tensor
	metadata    map[string]string
	checksummed bool
	io.Closer
}

// openPart opens a file of an index: safetensors, or torch.save's, as the older pytorch_model-00001-of-00002.bin are.
func openPart(path string) (p part, err error) {
	f, st, err := regular.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // not fs.ErrNotExist for the caller: the checkpoint is there, and incomplete
		return p, &errs.ErrCorrupt{File: path, Offset: -1, Reason: "the index names this file, and it is missing: " +
			"download the model's files again"}
	}
	if _, odd := errors.AsType[*regular.Error](err); odd {
		return p, &errs.ErrUnsafe{File: path, Reason: "the index names it, and it is no regular file"}
	}
	if err != nil {
		return p, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	p.Closer = f
	head := make([]byte, 9)
	if n, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return p, err
	} else if looksIndex(head[:n]) {
		return p, &errs.ErrUnsafe{File: path, Reason: "the index names it, and it is JSON: an index does not name another"}
	} else if Looks(head[:n]) {
		s, err := Read(f, st.Size(), path)
		if err != nil {
			return p, err
		}
		p.tensor = func(name string) *ptfile.Tensor { return s.tensors[name] }
		p.metadata, p.checksummed = s.Metadata, s.Checksummed
		return p, nil
	}
	s, err := ptfile.Read(f, st.Size(), path)
	if err != nil {
		return p, err
	}
	d, ok := s.Root.(*pickle.Dict)
	if !ok {
		return p, &errs.ErrUnsupported{File: path, What: pickle.Describe(s.Root) + " as a part of a sharded model",
			Remedy: "want a state dict"}
	}
	p.tensor = func(name string) *ptfile.Tensor {
		v, _ := d.Get(name)
		t, _ := v.(*ptfile.Tensor)
		return t
	}
	return p, nil
}

// closers are files that are closed together.
type closers []io.Closer

func (c *closers) Close() (err error) {
	for _, f := range *c {
		err = errors.Join(err, f.Close())
	}
	return err
}
