package serial

import (
	"fmt"
	"strings"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// LoadStateDict reads a state dict: a file whose value, or whose value under LoadOptions.Key, is a dict of names and
// tensors. In a file of Lightning's it is found without a key. The names' order is kept. Values that are no tensors are an
// error that names them.
func LoadStateDict(path string, opts ...LoadOptions) (*torch.StateDict, error) {
	o, err := options.One(opts)
	if err != nil {
		return nil, errs.InFile(err, path)
	}
	f, err := openAny(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	root, err := findStateDict(f.root, o.Key)
	if err != nil {
		return nil, errs.InFile(err, path)
	}
	only := o.Only
	v, err := load(&anyFile{root: root}, path, o)
	if err != nil {
		return nil, err
	}
	sd := &torch.StateDict{}
	for k, item := range v.(*pickle.Dict).All() {
		if t, ok := item.(*torch.Tensor); ok && (only == nil || only(k.(string))) {
			sd.Set(k.(string), t)
		}
	}
	return sd, nil
}

// findStateDict walks down key and checks that it leads to a dict of names and tensors.
func findStateDict(root any, key string) (*pickle.Dict, error) {
	d, ok := root.(*pickle.Dict)
	if ok && key == "" {
		if _, lightning := d.Get("pytorch-lightning_version"); lightning {
			key = "state_dict"
		}
	}
	if key != "" {
		for k := range strings.SplitSeq(key, ".") {
			if !ok {
				break
			}
			v, found := d.Get(k)
			if !found {
				return nil, &errs.ErrUnsupported{What: fmt.Sprintf("key %q: the file", key), Remedy: "it has the keys " + keyList(d)}
			}
			d, ok = v.(*pickle.Dict)
		}
	}
	if !ok {
		return nil, &errs.ErrUnsupported{What: fmt.Sprintf("a value of type %T as a state dict", root), Remedy: "read it with Load"}
	}
	for k, v := range d.All() {
		_, name := k.(string)
		_, tensor := v.(*TensorInfo)
		if !name || !tensor {
			return nil, &errs.ErrUnsupported{What: fmt.Sprintf("key %s, a %T, in a state dict", pickle.Describe(k), v),
				Remedy: "name the part of the file that is the state dict with LoadOptions.Key, or read it with Load; it has the keys " + keyList(d)}
		}
	}
	return d, nil
}

func keyList(d *pickle.Dict) string {
	var keys []string
	for k := range d.All() {
		if len(keys) == 12 {
			keys = append(keys, "...")
			break
		}
		keys = append(keys, fmt.Sprint(k))
	}
	return strings.Join(keys, ", ")
}

// SaveStateDict writes a state dict as torch.save(module.state_dict(), path) does: an OrderedDict of tensors.
func SaveStateDict(path string, sd *torch.StateDict, opts ...SaveOptions) error {
	return Save(path, sd, opts...)
}

// stateDictValue is a StateDict as a value of files.
func stateDictValue(sd *torch.StateDict) (*pickle.Dict, error) {
	d := NewOrderedDict()
	for k, t := range sd.All() {
		if err := d.Set(k, t); err != nil {
			return nil, err
		}
	}
	return d, nil
}
