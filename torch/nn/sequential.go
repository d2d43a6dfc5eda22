package nn

import (
	"iter"
	"slices"
	"strconv"

	"github.com/golite/golite/torch"
)

// Sequential is a chain of layers, each one's output the next one's input (torch.nn.Sequential). Its keys are the
// layers' numbers: 0.weight, 2.bias.
type Sequential struct {
	Base
	layers []Layer
}

// NewSequential makes a chain of layers; it panics if one is nil (torch.nn.Sequential).
//
//	nn.NewSequential(nn.NewLinear(784, 128), nn.NewReLU(), nn.NewLinear(128, 10))
func NewSequential(layers ...Layer) *Sequential {
	s := &Sequential{}
	return s.Append(layers...)
}

// Append adds layers at the end and returns s (Sequential.append).
func (s *Sequential) Append(layers ...Layer) *Sequential {
	for i, l := range layers {
		if isNil(l) {
			torch.Fail("nn.Sequential", "layer %d is nil", len(s.layers)+i)
		}
	}
	s.layers = append(s.layers, layers...)
	return s
}

// Forward passes x through all layers.
func (s *Sequential) Forward(x *torch.Tensor) *torch.Tensor {
	return s.withHooks(s, x, func(x *torch.Tensor) *torch.Tensor {
		for _, l := range s.layers {
			x = l.Forward(x)
		}
		return x
	})
}

// Len returns the number of layers.
func (s *Sequential) Len() int { return len(s.layers) }

// At returns layer i, counted from the end if negative; there is a panic if there is none.
func (s *Sequential) At(i int) Layer { return s.layers[place("nn.Sequential", i, len(s.layers))] }

// Layers returns the layers, in a slice of their own.
func (s *Sequential) Layers() []Layer { return slices.Clone(s.layers) }

func (s *Sequential) self() any         { return s }
func (s *Sequential) members() []member { return numbered(s.layers) }

// ModuleList is a list of modules of one type (torch.nn.ModuleList). A plain slice field does the same, with the same
// keys; a ModuleList is a module itself.
type ModuleList[M Module] struct {
	Base
	modules []M
}

// NewModuleList makes a list of modules; it panics if one is nil (torch.nn.ModuleList).
func NewModuleList[M Module](modules ...M) *ModuleList[M] {
	l := &ModuleList[M]{}
	return l.Append(modules...)
}

// Append adds modules at the end and returns l (ModuleList.append, extend).
func (l *ModuleList[M]) Append(modules ...M) *ModuleList[M] {
	for i, m := range modules {
		if isNil(m) {
			torch.Fail("nn.ModuleList", "module %d is nil", len(l.modules)+i)
		}
	}
	l.modules = append(l.modules, modules...)
	return l
}

// Len returns the number of modules.
func (l *ModuleList[M]) Len() int { return len(l.modules) }

// At returns module i, counted from the end if negative; there is a panic if there is none.
func (l *ModuleList[M]) At(i int) M { return l.modules[place("nn.ModuleList", i, len(l.modules))] }

// All walks the modules with their numbers.
func (l *ModuleList[M]) All() iter.Seq2[int, M] { return slices.All(l.modules) }

func (l *ModuleList[M]) groupsEqual()      {}
func (l *ModuleList[M]) self() any         { return l }
func (l *ModuleList[M]) members() []member { return numbered(l.modules) }

// ParameterList is a list of parameters (torch.nn.ParameterList). A field of type []Parameter does the same, with the
// same keys; a ParameterList is a module itself.
type ParameterList struct {
	Base
	params []Parameter
}

// NewParameterList makes a list of parameters (torch.nn.ParameterList).
func NewParameterList(params ...Parameter) *ParameterList { return &ParameterList{params: params} }

// Append adds parameters at the end and returns l (ParameterList.append, extend).
func (l *ParameterList) Append(params ...Parameter) *ParameterList {
	l.params = append(l.params, params...)
	return l
}

// Len returns the number of parameters.
func (l *ParameterList) Len() int { return len(l.params) }

// At returns parameter i, counted from the end if negative; there is a panic if there is none.
func (l *ParameterList) At(i int) Parameter {
	return l.params[place("nn.ParameterList", i, len(l.params))]
}

// All walks the parameters with their numbers.
func (l *ParameterList) All() iter.Seq2[int, Parameter] { return slices.All(l.params) }

func (l *ParameterList) self() any         { return l }
func (l *ParameterList) members() []member { return numbered(l.params) }

func numbered[T any](list []T) []member {
	out := make([]member, len(list))
	for i, v := range list {
		out[i] = member{strconv.Itoa(i), v}
	}
	return out
}

// place turns an index that may count from the end into one that is within n.
func place(operation string, i, n int) int {
	at := i
	if at < 0 {
		at += n
	}
	if at < 0 || at >= n {
		torch.Fail(operation, "there is no number %d among %d", i, n)
	}
	return at
}
