// Package pytree walks Go values that hold tensors: tensors in structs, slices, arrays and maps, also behind pointers
// and in interfaces (torch.utils._pytree). Unexported fields are left alone, and modules are leaves. Map replaces
// tensors, Move moves them to a device, and Zip joins several values of one shape.
package pytree
