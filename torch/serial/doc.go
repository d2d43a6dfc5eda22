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
// A model in several files, as Hugging Face's save_pretrained writes it, is read by its index
// (model.safetensors.index.json) as one. Files of other formats, such as TorchScript, exported programs, numpy's, ONNX
// or GGUF, are named, with what to do about them (*ErrUnsupported).
//
// Writing is atomic and durable: whatever is killed when, the file is the old one or the new one.
//
// # Series, background, shards
//
// A Saver writes in the background: the caller waits for a copy in memory only. Keep says how many checkpoints of a
// series of names stay, and Prune removes the others, with what killed saves left; Latest finds the newest that is
// complete, by looking at the files themselves. Check validates one file, and with verify every byte under a checksum.
//
// SavePart and CommitParts write a folder into which many ranks write at once, committed last; LoadSharded reads it on
// any number of ranks. It is a checkpoint of PyTorch's distributed checkpoint (DCP), and those that DCP wrote are read
// too. The command ckpt makes one file of such a folder.
//
// A checkpoint that is sound and doesn't fit what it is loaded into is *ErrMismatch, with everything that doesn't fit;
// a save for which the disk has too little space is ErrNoSpace.
//
// # Values
//
// Tensors are *torch.Tensor, on the CPU; tensors that shared memory when they were saved share it again. dict,
// OrderedDict, defaultdict, Counter and argparse.Namespace are *Dict, which keeps its order; list is []any, tuple is
// Tuple, set is *Set, int is int or *big.Int, float is float64, str is string, bytes is Bytes, None is nil; torch.dtype
// is torch.DType, torch.device is Device, torch.Size is Size, numpy arrays and scalars are *NumpyArray. Save takes the
// same types, and Go's own numbers, slices and maps with string or int keys.
package serial
