// Package functional holds the functions of torch.nn.functional: activations, losses, convolutions, pooling,
// normalisation, dropout, attention and more, without modules. It is imported as F:
//
//	import F "github.com/golite/golite/torch/nn/functional"
//
//	loss := F.CrossEntropy(logits, target, F.CrossEntropyOptions{LabelSmoothing: 0.1})
//
// Required arguments are positional; the rest is a trailing options struct, at most one, whose zero value holds
// PyTorch's defaults. An option that is a pointer has a default that is not zero while zero is legal: IgnoreIndex:
// new(0). Functions whose names end in an underscore write their input in place.
//
// Each function calls the operators that PyTorch's calls, in the same order, so results and gradients agree to the last
// bit. What doesn't fit is a panic with a *torch.Error that names the operation and the shapes.
//
// For the size of a window, a stride or a padding one number stands for all spatial dimensions, and a slice or an array
// has one for each: see Size. In options, Stride is one number for all and Strides has one for each.
package functional
