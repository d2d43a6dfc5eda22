package lite

import (
	"os"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// loadInto reads a file as Load does, and the tensors of the State's modules straight into their memory, where dtype and layout
// are the file's. What doesn't fit is found from the file's directory, before anything is changed, and every checksum is
// checked before the first tensor is overwritten.
func (f *fileIO) loadInto(path string, into State, o LoadOptions) (any, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return serial.LoadSharded(path, serial.ShardOptions{Box: into.box, Only: into.only(o)})
	}
	targets := into.targets()
	if len(targets) == 0 && !o.OnlyState {
		return serial.Load(path)
	}
	read := serial.LoadOptions{Only: into.only(o), Into: func(name string) *torch.Tensor { return targets[name] }}
	directory, err := serial.Load(path, serial.LoadOptions{Only: func(string) bool { return false }})
	if err != nil {
		return nil, err
	}
	if content, ok := asContent(goValue(withoutBytes(directory))); ok {
		if _, err := into.plan(content, o); err != nil {
			return nil, err
		}
	}
	return serial.Load(path, read)
}

// targets are the tensors of the State that can be read into, by their names in a file.
func (s State) targets() map[string]*torch.Tensor {
	out := map[string]*torch.Tensor{}
	add := func(key string, sd *torch.StateDict) {
		for name, t := range sd.All() {
			out[key+"."+name] = t
		}
	}
	for key, v := range s {
		switch v := v.(type) {
		case moduleState:
			add(key, v.StateDict())
		case nn.Module:
			add(key, nn.StateDict(v))
		case *torch.Tensor:
			out[key] = v
		}
	}
	return out
}

// only tells which names of a file are read; nil stands for all of them.
func (s State) only(o LoadOptions) func(name string) bool {
	if !o.OnlyState {
		return nil
	}
	return func(name string) bool {
		for end := 0; end < len(name); end++ {
			i := strings.IndexByte(name[end:], '.')
			if i < 0 {
				i = len(name) - end
			}
			end += i
			if _, ok := s[name[:end]]; ok || name[:end] == reservedKey {
				return true
			}
		}
		return false
	}
}

// box is the part of a tensor that the State has a place for.
func (s State) box(name string, _ []int) (offsets, sizes []int) {
	if p, ok := s[name].(*serial.Shard); ok {
		return p.Offsets, p.Tensor.Shape()
	}
	return nil, nil
}

// withoutBytes puts tensors on the meta device, which have shapes and no bytes, in the place of those that were not read.
func withoutBytes(v any) any {
	switch v := v.(type) {
	case *serial.TensorInfo:
		dtype, err := torch.ParseDType(string(v.DType))
		if err != nil {
			return v
		}
		return torch.Options{DType: dtype, Device: torch.Meta}.Empty(v.Shape...)
	case *serial.Dict:
		for k, item := range v.All() {
			_ = v.Set(k, withoutBytes(item)) // the key is there already
		}
	case []any:
		for i := range v {
			v[i] = withoutBytes(v[i])
		}
	case serial.Tuple:
		for i := range v {
			v[i] = withoutBytes(v[i])
		}
	}
	return v
}
