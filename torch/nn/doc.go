// Package nn holds layers, losses, containers and what walks a model (torch.nn).
//
// A model is a struct that embeds Base. Its fields of type Parameter and Buffer, of module types, and slices of those
// are found by reflection, in the order of their declaration:
//
//	type MLP struct {
//		nn.Base
//		FC1, FC2 *nn.Linear // keys fc1.weight, fc1.bias, fc2.weight, fc2.bias
//	}
//
//	func NewMLP() *MLP {
//		return &MLP{FC1: nn.NewLinear(784, 128), FC2: nn.NewLinear(128, 10)}
//	}
//
//	func (n *MLP) Forward(x *torch.Tensor) *torch.Tensor {
//		return n.FC2.Forward(F.ReLU(n.FC1.Forward(x)))
//	}
//
// An embedded struct can't see the struct around it, so what walks a model is a function: Parameters(net),
// StateDict(net), Train(net), To(net, device).
//
// # Names
//
// A field's key is its name in snake case: FC1 is fc1, QKV qkv, InProj in_proj, BN1 bn1, LayerNorm2 layer_norm2. A tag
// changes it: `torch:"lm_head"`. After the name a tag may say optional (a module pointer that may be nil, as None in
// Python) or nonpersistent (a buffer that is not saved); `torch:"-"` leaves a field out. Unexported fields count like
// exported ones. A slice of modules or parameters is a list, with keys like layers.0; a Go map of them is refused, for
// its order differs from run to run: ModuleDict is there. The fields of an embedded struct are the struct's own, as a
// superclass's are in Python. A plain *torch.Tensor field is not registered, as in Python.
//
// # Printing
//
// fmt.Println(net), and whatever else prints by package fmt, writes what Python's print(net) does: the tree of modules
// with their settings, equal neighbours in a list as "(0-5): 6 x Block(". A type's own method String goes before it,
// and a method ExtraRepr() string gives a module's settings (extra_repr). Summary counts the parameters by layer.
//
// # Modes and concurrency
//
// A module is made in training mode; Eval and Train switch. In evaluation mode no layer's Forward writes anything in
// its module, so that any number of goroutines may use one model at once. In training mode some do (batch
// normalisation's running statistics), and an Embedding with MaxNorm always does.
//
// # Errors
//
// What is wrong with a constructor's arguments, with an input of Forward or with the build of a model is a panic with a
// *torch.Error, which names the function or the path in the model, what was found and what was expected. Everywhere
// that is a negative size, or a 0 where a layer needs one or more, a second options struct, and shapes that don't fit;
// the comments name what else there is. LoadStateDict returns an error: a file is not the program's fault.
//
// # Memory
//
// Parameters and buffers belong to no scope, wherever they are made; an unreachable model is freed by the collector. A
// Forward writes buffers in place; if it assigns a tensor that it made to a field, it must Keep it.
//
// # Initial values
//
// A layer's constructor draws from the default generator exactly what PyTorch's draws, in the same order: after the
// same torch.ManualSeed, a model has the same parameters as its Python twin, to the last bit.
package nn
