// Package ptfile reads and writes PyTorch's checkpoint files without libtorch: the zip container of torch.save, the
// legacy format before it, and the values in them, with tensors as descriptions (Tensor) whose bytes stay in the file
// until they are read.
//
// It is pure Go and runs with CGO_ENABLED=0. Package serial builds torch.Tensor values on it; the command
// ckpt uses it directly, in constant memory.
//
// Everything that comes from a file is checked before it is believed: the zip directory against the local
// headers, each record against its CRC, each tensor's sizes, strides and offset against its storage, each
// Python name against the allow-list (see Globals).
package ptfile
