package cgotorch

// Tags of the flat buffer in which arguments and results travel; wire.h holds the same constants
// and says what follows each.
const (
	TagNone uint64 = iota
	TagTensor
	TagInt
	TagFloat
	TagBool
	TagInts
	TagFloats
	TagBools
	TagTensors
	TagOptTensors
	TagString
	TagDevice
	TagGenerator
	TagComplex
	TagStrings
	TagScalars
	TagUndefined
	TagOther
	TagUInt
	TagInvalid
)

// Handle names a tensor: the index of its slot and the slot's generation. 0 is no tensor.
type Handle uint64
