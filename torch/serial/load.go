package serial

import (
	"errors"
	"fmt"
	"io"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/regular"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
	"github.com/golite/golite/torch/serial/safetensors"
)

// LoadOptions says how to load. The zero value loads everything to the CPU.
type LoadOptions struct {
	// Device is where the tensors go; the zero value is the CPU, whatever the file says (torch.load's map_location). On
	// torch.Meta they have dtypes and shapes, and no bytes are read.
	Device torch.Device
	// Only picks tensors by their place in the value, keys and indices joined by dots ("state_dict.fc1.weight",
	// "optimizer.state.0.exp_avg"). The bytes of the others are not read: Load leaves a *TensorInfo in their
	// place, LoadStateDict leaves them out. nil picks all.
	Only func(name string) bool
	// Into gives, by the same names as Only's, tensors to read into: where one has the file's dtype and shape, is
	// contiguous and on the CPU, the bytes go straight into its memory and it stands in the value itself; elsewhere, and
	// where Into returns nil, a new tensor is made as ever. All checksums are checked before the first byte is
	// overwritten.
	Into func(name string) *torch.Tensor
	// Key is where LoadStateDict finds the state dict within the file's value ("state_dict" in Lightning's files, "model"
	// in golite's own); nested keys are joined by dots. Empty means the value itself.
	Key string
	// Rename gives the keys of LoadStateDict's result other names; "" leaves an entry out. Only and Into are given the
	// names in the file. nn.LoadStateDict drops the prefixes of PyTorch's wrappers ("module.", "_orig_mod.") by itself.
	Rename func(key string) string
	// Workers is how many goroutines read; 0 means one for each processor.
	Workers int
}

// Load reads a file of torch.save (zip or legacy), a safetensors file, or by its index a model in several files, and
// returns its value (torch.load): see the package's description for what Python's types become. A file that is not
// there gives an error that is fs.ErrNotExist; a bad one *ErrCorrupt, *ErrUnsafe or *ErrUnsupported.
func Load(path string, opts ...LoadOptions) (any, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, errs.InFile(err, path)
	}
	f, err := openAny(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return load(f, path, o)
}

// anyFile is an open file of any format.
type anyFile struct {
	root any
	io.Closer
}

// openAny opens a file and reads everything but the tensors.
func openAny(path string) (*anyFile, error) {
	if isSafetensors(path) {
		f, err := safetensors.Open(path)
		if err != nil {
			return nil, err
		}
		root := NewOrderedDict()
		for _, n := range f.Names {
			t, _ := f.Tensor(n)
			if err := root.Set(n, t); err != nil {
				return nil, err
			}
		}
		return &anyFile{root, f}, nil
	}
	f, err := ptfile.Open(path)
	if err != nil {
		return nil, err
	}
	return &anyFile{f.Root, f}, nil
}

func isSafetensors(path string) bool {
	f, _, err := regular.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 9)
	_, err = io.ReadFull(f, head)
	return err == nil && safetensors.Looks(head)
}

func load(f *anyFile, path string, o LoadOptions) (out any, err error) {
	b := newBuilder(o.Device)
	err = guard(func() error {
		defer b.release()
		if err := b.pick(f.root, "", o); err != nil {
			return err
		}
		if err := b.read(o.Workers); err != nil {
			return err
		}
		out, err = b.value(f.root)
		return err
	})
	if err != nil {
		for _, t := range b.tensors {
			t.Release()
		}
		return nil, errs.InFile(err, path)
	}
	return out, nil
}

// guard runs f without gradients and outside of inference mode, in which tensors that are read could never be trained,
// and turns the panics of tensor operations (out of memory, invalid sparse indices) into errors.
func guard(f func() error) error {
	var err error
	panicked := torch.Try(func() { abi.NormalMode(func() { torch.NoGrad(func() { err = f() }) }) })
	return errors.Join(err, panicked)
}

// pick marks the storages of the requested tensors.
func (b *builder) pick(v any, name string, o LoadOptions) error {
	join := func(k any) string {
		if name == "" {
			return fmt.Sprint(k)
		}
		return fmt.Sprint(name, ".", k)
	}
	list := func(items []any) error {
		for i, item := range items {
			if err := b.pick(item, join(i), o); err != nil {
				return err
			}
		}
		return nil
	}
	switch v := v.(type) {
	case *ptfile.Tensor:
		if o.Only != nil && !o.Only(name) {
			return nil
		}
		if o.Into != nil && o.Device != torch.Meta {
			if into := o.Into(name); into != nil {
				if taken, err := b.readInto(v, into); taken || err != nil {
					return err
				}
			}
		}
		return b.want(v)
	case []any:
		return list(v)
	case pickle.Tuple:
		return list(v)
	case *pickle.Set:
		return list(v.Items)
	case *pickle.Dict:
		for k, item := range v.All() {
			if err := b.pick(item, join(k), o); err != nil {
				return err
			}
		}
	}
	return nil
}
