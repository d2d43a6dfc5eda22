package cgotorch

// #include <stdlib.h>
// #include "cgotorch.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"
)

// Overrides are the names that GOLITE_OVERRIDES may have.
var Overrides = []string{"allocator", "new", "mallopt", "mkl", "defaults", "gomaxprocs", "recorder", "log", "gc",
	"cuda"}

// overridesVariable is the switch of all overrides.
const overridesVariable = "GOLITE_OVERRIDES"

// overridden holds which overrides are on: the environment of the program's start decides, as it does in C++.
var overridden = func() map[string]bool {
	on := map[string]bool{}
	for _, name := range Overrides {
		s := C.CString(name)
		on[name] = C.gl_overridden(s) != 0
		C.free(unsafe.Pointer(s))
	}
	return on
}()

// Overridden reports whether an override is on.
func Overridden(name string) bool { return overridden[name] }

// CheckOverrides returns what is wrong with GOLITE_OVERRIDES.
func CheckOverrides() error {
	for _, item := range strings.FieldsFunc(os.Getenv(overridesVariable), func(r rune) bool {
		return r == ',' ||
			r == ' '
	}) {
		name := strings.TrimPrefix(item, "-")
		if item != "all" && item != "none" && !slices.Contains(Overrides, name) {
			return fmt.Errorf("%s has %q: want all, none, and names, with a minus sign to leave one out: %s", overridesVariable,
				item,
				strings.Join(Overrides, ", "))
		}
	}
	return nil
}

// interposed is what came of the check when the program started: libtorch must find the shim's functions for the
// default generator and the default type before its own.
var interposed = int32(C.gl_interposed())

// What interposed says.
const (
	generatorMissed = 1
	dtypeMissed     = 2
	leftOut         = 4
)

// errMissed and errLeftOut say why a goroutine has no default generator and type of its own.
var (
	errMissed = errors.New("libtorch does not find golite's functions for the default generator and the default type " +
		"before its " +
		"own, as in a library that is loaded after another libtorch, or with a libtorch linked with -Bsymbolic: random " +
		"numbers and " +
		"default types would be wrong. Link golite into the program itself")
	errLeftOut = errors.New("a generator and a default type for each goroutine are left out, by " + overridesVariable +
		" or the build tag golite_no_overrides")
)

// Interposed returns why goroutines can't have a default generator and type of their own. wrong reports that the
// process's are wrong too; else they were left out, and the process's are libtorch's own.
func Interposed() (wrong bool, err error) {
	switch {
	case interposed&leftOut != 0 || !Overridden("defaults"):
		return false, errLeftOut
	case interposed&(generatorMissed|dtypeMissed) != 0:
		return true, errMissed
	}
	return false, nil
}

// MKLAVX512 reports whether MKL's kernels for AVX-512 are on where PyTorch has others.
func MKLAVX512() bool { return C.gl_mkl_avx512(-1) == 1 }

// SetMKLAVX512 chooses; it returns false where MKL has chosen already, or has no choice.
func SetMKLAVX512(on bool) bool { return C.gl_mkl_avx512(flag(on)) >= 0 }
