package serial

import (
	"io"
	"path/filepath"
	"strings"

	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
)

// SaveOptions says how to save. The zero value writes what torch.load(weights_only=True) reads.
type SaveOptions struct {
	// FullPickle allows values that only torch.load(weights_only=False) reads: numpy arrays, defaultdicts, frozensets,
	// argparse.Namespace. Without it they are an *ErrUnsupported.
	FullPickle bool
	// Workers is how many goroutines write; 0 means one for each processor.
	Workers int
	// NoSpaceCheck saves without a check of the free space on the disk.
	NoSpaceCheck bool
	// Keep, if not nil, removes older files of the series after the new one is safe; see Prune.
	Keep *Keep

	fs atomicfile.FS // for tests
}

// Save writes a value to a file in the format of torch.save: a *torch.StateDict, tensors, numbers, strings, slices,
// maps with string or int keys, *Dict and the other types of this package, nested in any way. Tensors that share memory
// share it in the file, and each tensor's whole storage is written (torch.save): a slice takes all of the tensor that
// it was cut from, unless its Clone is saved. Tensors that stand for zeros and have no memory, as the gradient of Sgn,
// are written as zeros. Tensors on a GPU are copied to the CPU first, and keep their device's name in the file.
//
// The file is replaced atomically and durably: a temporary file beside it, fsync, rename, fsync of the folder, which is
// made if need be. When Save fails the old file is as it was, and nothing is left behind. Only a regular file is
// replaced, or the one that a symbolic link leads to: a named pipe, a socket or a device at path is an error that names
// it, and stays.
func Save(path string, v any, opts ...SaveOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return errs.InFile(err, path)
	}
	c := newCollector(false)
	defer c.release()
	a, err := archive(path, v, c, o)
	if err != nil {
		return errs.InFile(err, path)
	}
	return o.write(path, a)
}

// archive makes the file's pickle and layout.
func archive(path string, v any, c *collector, o SaveOptions) (a *ptfile.Archive, err error) {
	err = guard(func() error {
		a, err = ptfile.NewArchive(v, ptfile.Options{Name: archiveName(path), FullPickle: o.FullPickle, Convert: c.convert,
			Workers: o.Workers})
		return err
	})
	return a, err
}

// archiveName is the folder within a zip file: the file's name without its last extension, as PyTorch has it.
func archiveName(path string) string {
	name := filepath.Base(path)
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		name = name[:i]
	}
	if name == "." || name == ".." || strings.ContainsAny(name, "\\\x00") || len(name) > 255 {
		return "archive"
	}
	return name
}

// writable is a file that is ready to be written.
type writable interface {
	Size() int64
	WriteTo(w io.WriterAt, base int64) error
}

func (o SaveOptions) write(path string, a writable) error {
	fs := o.fs
	if fs == nil {
		fs = atomicfile.OS
	}
	need := a.Size()
	if o.NoSpaceCheck {
		need = 0
	}
	err := atomicfile.Write(fs, path, need, func(w io.WriterAt) error { return a.WriteTo(w, 0) })
	if err != nil || o.Keep == nil {
		return err
	}
	_, err = prune(fs, *o.Keep)
	return err
}

// SaveSafetensors writes a state dict as a safetensors file, with metadata (which may be nil; "format": "pt" is added).
// The write is atomic as Save's. Tensors that share memory are written once each; sparse, and complex ones but
// complex64, are an *ErrUnsupported. golite's checksums go into the metadata.
func SaveSafetensors(path string, sd *torch.StateDict, metadata map[string]string, opts ...SaveOptions) error {
	o, err := options.One(opts)
	if err != nil {
		return errs.InFile(err, path)
	}
	c := newCollector(false)
	defer c.release()
	var a *safetensors.Archive
	err = guard(func() error {
		var list []safetensors.Named
		for name, t := range sd.All() {
			d, err := c.tensor(t)
			if err != nil {
				return err
			}
			list = append(list, safetensors.Named{Name: name, Tensor: d})
		}
		meta := map[string]string{"format": "pt"}
		for k, v := range metadata {
			meta[k] = v
		}
		var err error
		a, err = safetensors.NewArchive(list, meta)
		return err
	})
	if err != nil {
		return errs.InFile(err, path)
	}
	return o.write(path, a)
}

// SafetensorsMetadata returns the text in a safetensors file's header, without golite's checksums.
func SafetensorsMetadata(path string) (map[string]string, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Metadata, nil
}
