package lite

import (
	"os"
	"strings"

	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/nn"
	"github.com/golite/golite/torch/serial"
)

// loadInto reads a file or a folder as Load does, and the tensors that the State has straight into their memory, where dtype and
// layout are the file's. What doesn't fit is found from names and shapes, before anything is changed, and every checksum is
// checked before the first tensor is overwritten.
func (f *fileIO) loadInto(path string, into State, o LoadOptions) (any, error) {
	targets := into.targets()
	target := func(name string) *torch.Tensor { return targets[name] }
	st, err := os.Stat(path)
	folder := err == nil && st.IsDir()
	load := func(device torch.Device) (any, error) {
		if folder {
			return serial.LoadSharded(path, serial.ShardOptions{Device: device, Box: into.box, Only: into.only(o), Into: target})
		}
		return serial.Load(path, serial.LoadOptions{Device: device, Only: into.only(o), Into: target})
	}
	if len(targets) > 0 {
		shapes, err := load(torch.Meta)
		if err != nil {
			return nil, err
		}
		if content, ok := asContent(goValue(shapes)); ok {
			if _, err := into.plan(content, o); err != nil {
				return nil, err
			}
		}
	}
	return load(torch.CPU)
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
		case *partModule: // its rows are cut from what was read
		case moduleState:
			add(key, v.StateDict())
		case nn.Module:
			add(key, nn.StateDict(v))
		case *torch.Tensor:
			out[key] = v
		case *serial.Shard:
			out[key] = v.Tensor
		}
	}
	return out
}

// only tells which names of a file are read; nil stands for all of them.
func (s State) only(o LoadOptions) func(name string) bool {
	if !o.OnlyState || s == nil {
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
