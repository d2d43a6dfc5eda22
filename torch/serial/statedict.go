package serial

import (
	"fmt"
	"strings"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/internal/statekeys"
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
)

// LoadStateDict reads a state dict: a file whose value, or whose value under LoadOptions.Key, is a dict of names and
// tensors. In a file of Lightning's it is found without a key. The names' order is kept. Values that are no tensors are
// an error that names them.
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
	if sd, err = statekeys.Rename(sd, o.Rename); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sd, nil
}

// findStateDict walks down key and checks that it leads to a dict of names and tensors.
func findStateDict(root any, key string) (*pickle.Dict, error) {
	v := root
	d, ok := v.(*pickle.Dict)
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
			var found bool
			if v, found = d.Get(k); !found {
				return nil, &errs.ErrUnsupported{What: fmt.Sprintf("key %q: the file", key), Remedy: "it has the keys " +
					keyList(d)}
			}
			d, ok = v.(*pickle.Dict)
		}
	}
	if !ok {
		return nil, &errs.ErrUnsupported{What: pickle.Describe(v) + " as a state dict", Remedy: "read it with Load"}
	}
	if odd, ok := stateDictPart(d); !ok {
		v, _ := d.Get(odd)
		remedy := "name the part of the file that is the state dict with LoadOptions.Key, or read it with Load"
		for k, v := range d.All() {
			if part, ok := v.(*pickle.Dict); ok && part.Len() > 0 {
				if _, ok := stateDictPart(part); ok {
					remedy = fmt.Sprintf("read the state dict under %s with LoadOptions.Key", pickle.Describe(k))
					break
				}
			}
		}
		return nil, &errs.ErrUnsupported{What: fmt.Sprintf("key %s, %s, in a state dict", pickle.Describe(odd),
			pickle.Describe(v)),
			Remedy: remedy + "; it has the keys " + keyList(d)}
	}
	return d, nil
}

// stateDictPart reports whether a dict holds names and tensors alone; else it returns the first key that doesn't.
func stateDictPart(d *pickle.Dict) (odd any, ok bool) {
	for k, v := range d.All() {
		_, name := k.(string)
		_, tensor := v.(*TensorInfo)
		if !name || !tensor {
			return k, false
		}
	}
	return nil, true
}

func keyList(d *pickle.Dict) string {
	var keys []string
	for k := range d.All() {
		if len(keys) == 12 {
			keys = append(keys, "...")
			break
		}
		if s, ok := k.(string); ok && len(s) < 64 {
			keys = append(keys, s)
		} else {
			keys = append(keys, pickle.Describe(k))
		}
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
