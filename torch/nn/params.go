package nn

import (
	"iter"

	"github.com/golite/golite/torch"
)

// Parameters returns a model's parameters in the order of PyTorch: a module's own, as declared, before those of its
// children. A parameter that is shared is there once. What is wrong with the model, such as a nil module, is a panic
// with a *torch.Error that names the path. (torch.nn.Module.parameters)
func Parameters(m Module) []Parameter {
	var out []Parameter
	eachParameter("nn.Parameters", m, func(_ string, p Parameter) bool {
		out = append(out, p)
		return true
	})
	return out
}

// NamedParameters walks a model's parameters with their keys, in the order of Parameters
// (torch.nn.Module.named_parameters). A shared one comes once, under the first of its keys.
func NamedParameters(m Module) iter.Seq2[string, Parameter] {
	return func(yield func(string, Parameter) bool) { eachParameter("nn.NamedParameters", m, yield) }
}

// Buffers returns a model's buffers, those that are not saved included; a shared one once (torch.nn.Module.buffers).
func Buffers(m Module) []Buffer {
	var out []Buffer
	eachBuffer("nn.Buffers", m, func(_ string, b Buffer) bool {
		out = append(out, b)
		return true
	})
	return out
}

// NamedBuffers walks a model's buffers with their keys, in the order of Buffers (torch.nn.Module.named_buffers).
func NamedBuffers(m Module) iter.Seq2[string, Buffer] {
	return func(yield func(string, Buffer) bool) { eachBuffer("nn.NamedBuffers", m, yield) }
}

func eachParameter(operation string, m Module, yield func(string, Parameter) bool) {
	entries(operation, m, func(n *node) []entry { return n.params }, func(key string, t *torch.Tensor) bool {
		return yield(key, Parameter{t})
	})
}

func eachBuffer(operation string, m Module, yield func(string, Buffer) bool) {
	entries(operation, m, func(n *node) []entry { return n.buffers }, func(key string, t *torch.Tensor) bool {
		return yield(key, Buffer{t})
	})
}

// entries walks one kind of a model's tensors, each once.
func entries(operation string, m Module, of func(*node) []entry, yield func(string, *torch.Tensor) bool) {
	seen := map[*torch.Tensor]bool{}
	tree(operation, m).each(func(n *node) bool {
		for _, e := range of(n) {
			if seen[e.tensor] {
				continue
			}
			seen[e.tensor] = true
			if !yield(join(n.path, e.key), e.tensor) {
				return false
			}
		}
		return true
	})
}

// Modules returns m and all modules beneath it, a module before its children; a shared one once
// (torch.nn.Module.modules). A Go slice of modules is not a module, where Python's ModuleList is one.
func Modules(m Module) []Module {
	var out []Module
	for _, one := range NamedModules(m) {
		out = append(out, one)
	}
	return out
}

// NamedModules walks m, whose key is "", and all modules beneath it with their keys (torch.nn.Module.named_modules).
func NamedModules(m Module) iter.Seq2[string, Module] {
	return func(yield func(string, Module) bool) {
		seen := map[Module]bool{}
		tree("nn.NamedModules", m).each(func(n *node) bool {
			if n.module == nil || seen[n.module] {
				return true
			}
			seen[n.module] = true
			return yield(n.path, n.module)
		})
	}
}

// Children walks the modules directly beneath m with their keys, those in slices included
// (torch.nn.Module.named_children).
func Children(m Module) iter.Seq2[string, Module] {
	return func(yield func(string, Module) bool) {
		seen := map[Module]bool{}
		var visit func(n *node) bool
		visit = func(n *node) bool {
			for _, c := range n.children {
				switch {
				case c.module == nil:
					if !visit(c) {
						return false
					}
				case !seen[c.module]:
					seen[c.module] = true
					if !yield(c.path, c.module) {
						return false
					}
				}
			}
			return true
		}
		visit(tree("nn.Children", m))
	}
}

// CountParameters returns the number of elements of all parameters, shared ones counted once.
func CountParameters(m Module) int {
	n := 0
	for _, p := range Parameters(m) {
		n += p.Numel()
	}
	return n
}

// tensorsOf gives the tensors of parameters.
func tensorsOf(params []Parameter) []*torch.Tensor {
	out := make([]*torch.Tensor, len(params))
	for i, p := range params {
		out[i] = p.Tensor
	}
	return out
}
