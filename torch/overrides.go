package torch

import (
	"errors"

	"github.com/golite/golite/cgotorch"
)

// SetMKLAVX512 chooses MKL's kernels on processors with AVX-512 of another maker than Intel, before the first matrix
// product of the process: a later call returns an error. false gives PyTorch's kernels, and with them PyTorch's bits;
// true gives those for AVX-512, whose sums have other last bits. Without it they are on where they are faster all in
// all, on AMD's Zen 5 and later, and off on Zen 4. GOLITE_OVERRIDES=-mkl and GOLITE_OVERRIDES=mkl in the environment
// are the same switch. On other processors, Intel's among them, MKL has PyTorch's kernels either way.
func SetMKLAVX512(on bool) error {
	if !cgotorch.SetMKLAVX512(on) {
		return errors.New("torch.SetMKLAVX512: MKL has chosen its kernels already: call it before the first matrix " +
			"product, or set GOLITE_OVERRIDES=-mkl (PyTorch's bits) or GOLITE_OVERRIDES=mkl in the environment, in a program " +
			"without the build tag golite_no_overrides")
	}
	return nil
}

// MKLAVX512 reports whether matrix products use kernels for AVX-512 where PyTorch uses others: whether their last bits
// differ from PyTorch's on this processor.
func MKLAVX512() bool { return cgotorch.MKLAVX512() }

// needOwnDefaults panics where a goroutine can't have a default generator and type of its own.
func needOwnDefaults(operation string) {
	if _, err := cgotorch.Interposed(); err != nil {
		Fail(operation, "%v", err)
	}
}

// needDefaults panics where the process's default generator and type are not those that libtorch uses.
func needDefaults(operation string) {
	if wrong, err := cgotorch.Interposed(); wrong {
		Fail(operation, "%v", err)
	}
}
