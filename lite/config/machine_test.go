package config

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/golite/golite/lite/accelerator"
	accelerators "github.com/golite/golite/lite/accelerator/builtin"
	"github.com/golite/golite/torch"
)

// box is a machine made up for a test.
type box struct {
	gpus     int
	apple    bool
	env      map[string]string
	files    map[string]string
	commands []string
	others   []accelerator.Entry
}

// Accelerators are golite's, with the devices of the box.
func (b box) Accelerators() []accelerator.Entry {
	list := accelerator.Entries()
	for i, e := range list {
		switch e.Accelerator.(type) {
		case accelerators.CUDA:
			list[i].Accelerator = boxCUDA{n: b.gpus}
		case accelerators.MPS:
			list[i].Accelerator = boxMPS{apple: b.apple}
		}
	}
	return append(list, b.others...)
}

func (b box) Cores() int                  { return 4 }
func (b box) HasCommand(name string) bool { return slices.Contains(b.commands, name) }
func (b box) Lookup(key string) (string, bool) {
	v, ok := b.env[key]
	return v, ok
}

func (b box) ReadFile(path string) ([]byte, error) {
	text, ok := b.files[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// boxCUDA is CUDA with as many GPUs as the box has.
type boxCUDA struct {
	accelerators.CUDA
	n int
}

func (b boxCUDA) Probe() ([]string, error) {
	if b.n == 0 {
		return nil, errors.New("no CUDA device (libtorch_cuda.so is not in third_party/libtorch)")
	}
	return slices.Repeat([]string{"Test GPU"}, b.n), nil
}

func (b boxCUDA) Select(r accelerator.Request) ([]torch.Device, error) {
	return accelerator.Indexed(b.Type(), b.n, r)
}

// boxMPS is MPS with the GPU of the box.
type boxMPS struct {
	accelerators.MPS
	apple bool
}

func (b boxMPS) Probe() ([]string, error) {
	if b.apple {
		return []string{"Apple GPU"}, nil
	}
	return nil, errors.New("no Apple GPU")
}

// npu is an accelerator of another package, of a type that libtorch has and golite has no accelerator for. Its ranks
// exchange tensors through a backend of its own.
type npu struct {
	n      int
	broken bool
}

func (npu) Name() string              { return "npu" }
func (npu) Type() torch.DeviceType    { return torch.XPUType }
func (npu) Backend() (string, string) { return "ring", "" }

func (a npu) Probe() ([]string, error) {
	if a.broken {
		return nil, errors.New("no NPU (the driver is missing)")
	}
	return make([]string, a.n), nil
}

func (a npu) Select(r accelerator.Request) ([]torch.Device, error) {
	return accelerator.Indexed(a.Type(), a.n, r)
}

// lonely is an npu whose ranks can't exchange tensors.
type lonely struct{ accelerator.Accelerator }
