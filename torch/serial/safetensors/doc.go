// Package safetensors reads and writes safetensors files: a length, a JSON header, and the tensors' bytes.
//
// The format has no checksum. Files that golite writes carry one for each tensor and one for the header, in the
// header's metadata (keys golite.crc32 and golite.header), which other readers ignore; Open checks the
// header's, reading a tensor checks the tensor's.
//
// It is pure Go and runs with CGO_ENABLED=0.
package safetensors
