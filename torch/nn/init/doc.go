// Package nninit fills tensors with initial values (torch.nn.init). Its directory is init, which Go refuses as a
// package's name:
//
//	import nninit "github.com/golite/golite/torch/nn/init"
//
//	nn.Apply(net, func(m nn.Module) {
//		if l, ok := m.(*nn.Linear); ok {
//			nninit.KaimingNormal_(l.Weight.Tensor, nninit.KaimingOptions{Nonlinearity: nninit.ReLU})
//		}
//	})
//
// Each function writes its tensor in place, unseen by autograd, and returns it. It draws from the default generator, or
// the one in its options, what PyTorch's draws.
package nninit
