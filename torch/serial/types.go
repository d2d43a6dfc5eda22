package serial

import (
	"github.com/golite/golite/internal/atomicfile"
	"github.com/golite/golite/torch/serial/errs"
	"github.com/golite/golite/torch/serial/pickle"
	"github.com/golite/golite/torch/serial/ptfile"
)

// The values of Python that Go has no type for.
type (
	// Dict is a dict that keeps its order; its Kind is the Python type of it.
	Dict = pickle.Dict
	// Tuple is Python's tuple.
	Tuple = pickle.Tuple
	// Set is Python's set or frozenset.
	Set = pickle.Set
	// Bytes is Python's bytes.
	Bytes = pickle.Bytes
	// ByteArray is Python's bytearray.
	ByteArray = pickle.ByteArray
	// Size is a torch.Size.
	Size = ptfile.Size
	// Device is a torch.device, as the file names it; torch.ParseDevice(d.String()) gives golite's.
	Device = ptfile.Device
	// Layout is a torch.layout by its name.
	Layout = ptfile.Layout
	// NumpyArray is a numpy array or scalar.
	NumpyArray = ptfile.NumpyArray
	// NumpyDType is a numpy.dtype.
	NumpyDType = ptfile.NumpyDType
	// TensorInfo describes a tensor in a file that was not read.
	TensorInfo = ptfile.Tensor
)

// The errors of this package; test for them with errors.As.
type (
	// ErrCorrupt says that a file is damaged: which record, where, and what was found.
	ErrCorrupt = errs.ErrCorrupt
	// ErrUnsafe is the error for a file that uses a Python name outside the allow-list, or is built to exhaust its reader.
	ErrUnsafe = errs.ErrUnsafe
	// ErrUnsupported says that a file, or a value to be saved, holds something that golite does not read or write.
	ErrUnsupported = errs.ErrUnsupported
	// ErrMismatch says that a checkpoint does not fit what it is loaded into: missing and unexpected keys and other
	// shapes, all of them. nn.LoadStateDict returns it too, as nn.StateDictError.
	ErrMismatch = errs.ErrMismatch
)

// ErrNoSpace is what errors.Is finds in the error of a save for which the disk has too little space; nothing was
// written then.
var ErrNoSpace = atomicfile.ErrNoSpace

// NewDict returns an empty dict. Set fills it:
//
//	d := serial.NewDict()
//	err := d.Set("epoch", 3)
func NewDict() *Dict { return pickle.NewDict(pickle.PlainDict) }

// NewOrderedDict returns an empty collections.OrderedDict.
func NewOrderedDict() *Dict { return pickle.NewDict(pickle.OrderedDict) }
