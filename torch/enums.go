package torch

// Layout is how a tensor's elements are stored (torch.layout). The zero value means the default: strided for
// what makes tensors, the input's for what converts them.
//
// The layouts are Strided, SparseCOO, SparseCSR, SparseCSC, SparseBSR, SparseBSC, MKLDNN and Jagged.
type Layout uint8

// Layouts of libtorch.
const (
	Strided   Layout = 1
	SparseCOO Layout = 2
	SparseCSR Layout = 3
	MKLDNN    Layout = 4
	SparseCSC Layout = 5
	SparseBSR Layout = 6
	SparseBSC Layout = 7
	Jagged    Layout = 8
)

// String returns PyTorch's name.
func (l Layout) String() string {
	names := [...]string{"default", "strided", "sparse_coo", "sparse_csr", "mkldnn", "sparse_csc", "sparse_bsr",
		"sparse_bsc", "jagged"}
	if int(l) < len(names) {
		return names[l]
	}
	return "unknown layout"
}

// MemoryFormat is the order of a dense tensor's dimensions in memory (torch.memory_format). The zero value means
// the operator's default.
//
// The formats are ContiguousFormat, PreserveFormat, ChannelsLast and ChannelsLast3d.
type MemoryFormat uint8

// Memory formats of libtorch.
const (
	ContiguousFormat MemoryFormat = 1
	PreserveFormat   MemoryFormat = 2
	ChannelsLast     MemoryFormat = 3
	ChannelsLast3d   MemoryFormat = 4
)

// String returns PyTorch's name.
func (m MemoryFormat) String() string {
	names := [...]string{"default", "contiguous_format", "preserve_format", "channels_last", "channels_last_3d"}
	if int(m) < len(names) {
		return names[m]
	}
	return "unknown memory format"
}
