// Package serial moves tensors between golite and PyTorch's files: it reads what torch.save wrote (of any version, the
// legacy format included), writes what torch.load(weights_only=True) reads, and reads and writes safetensors.
//
//	err := serial.SaveStateDict("model.pt", nn.StateDict(net))
//	sd, err := serial.LoadStateDict("model.pt")
//	v, err := serial.Load("lightning.ckpt") // any value: nested dicts, lists, tensors, numbers
//
// Nothing in a file is ever run: a reader in Go follows the pickle against a closed list of names, and refuses the rest
// (*ErrUnsafe). Damaged files give *ErrCorrupt with the record and the offset; every byte of a zip file that could
// change a value is under a checksum, which is checked while the bytes are read, straight into tensor memory.
//
// Writing is atomic and durable: whatever is killed when, the file is the old one or the new one.
//
// # Values
//
// Tensors are *torch.Tensor, on the CPU; tensors that shared memory when they were saved share it again. dict, OrderedDict,
// defaultdict, Counter and argparse.Namespace are *Dict, which keeps its order; list is []any, tuple is Tuple, set is
// *Set, int is int or *big.Int, float is float64, str is string, bytes is Bytes, None is nil; torch.dtype is torch.DType,
// torch.device is Device, torch.Size is Size, numpy arrays and scalars are *NumpyArray. Save takes the same types,
// and Go's own numbers, slices and maps with string or int keys.
package serial
