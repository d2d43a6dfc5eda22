package cgotorch

// Handle names a tensor: the index of its slot and the slot's generation. 0 is no tensor.
type Handle uint64
