package cgotorch

// #include <stdlib.h>
// #include "cuda.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"
)

// cudaName is the library that brings CUDA, and torchCUDA libtorch's own, without which there is no use for it.
const (
	cudaName  = "libcgotorch_cuda.so"
	torchCUDA = "libtorch_cuda.so"
	// cudaVariable names the library where it is in none of the usual places; "none" leaves it closed.
	cudaVariable = "GOLITE_CUDA_LIBRARY"
)

// cudaState is what came of looking for CUDA when the program started: libtorch enumerates devices once, so the library
// must be loaded before.
var cudaState = openCUDA(os.Getenv(cudaVariable))

// CUDALibrary returns the path of libcgotorch_cuda.so if it is open, else why it is not: what was looked for, and
// where.
func CUDALibrary() (path, why string) { return cudaState.path, cudaState.why }

type cudaOpened struct{ path, why string }

func openCUDA(chosen string) cudaOpened {
	if !Overridden("cuda") {
		return cudaOpened{why: overridesVariable + ", or the build tag golite_no_overrides, leaves CUDA out"}
	}
	if chosen == "none" {
		return cudaOpened{why: cudaVariable + "=none leaves CUDA out"}
	}
	torch := torchPath()
	if torch == "" {
		return cudaOpened{why: "libtorch's own folder can't be told on this system"}
	}
	folders := withResolved(filepath.Dir(torch))
	parent := firstFile(folders, torchCUDA)
	if parent == "" {
		return cudaOpened{why: fmt.Sprintf("no %s in %s: libtorch is one for CPUs; go run "+
			"github.com/golite/golite/cmd/libtorch install -kind cuda brings the other",
			torchCUDA, strings.Join(folders, ", "))}
	}
	path := chosen
	if path == "" {
		places := append(besideProgram(), folders...)
		if path = firstFile(places, cudaName); path == "" {
			return cudaOpened{why: fmt.Sprintf("%s is there, but no %s in %s: go run github.com/golite/golite/cmd/libtorch "+
				"cuda-library builds it; %s may name it",
				parent, cudaName, strings.Join(places, ", "), cudaVariable)}
		}
	}
	a, b := C.CString(parent), C.CString(path)
	defer C.free(unsafe.Pointer(a))
	defer C.free(unsafe.Pointer(b))
	var out [Room]uint64
	if _, err := result(int64(C.gl_cuda_open(a, b, (*C.uint64_t)(&out[0]), Room)), out[:]); err != nil {
		return cudaOpened{why: "can't open " + path + ": " + err.Message}
	}
	return cudaOpened{path: path}
}

func torchPath() string {
	var out [Room]uint64
	w, err := result(int64(C.gl_torch_path((*C.uint64_t)(&out[0]), Room)), out[:])
	if err != nil {
		return ""
	}
	return text(w)
}

// besideProgram lists the program's own folder, the lib beside it, and the lib of the checkout that it was built in.
func besideProgram() []string {
	var list []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		list = append(list, dir, filepath.Join(filepath.Dir(dir), "lib"))
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) { // it isn't with -trimpath
		list = append(list, filepath.Join(filepath.Dir(filepath.Dir(file)), "lib"))
	}
	return list
}

// withResolved adds the folder that a path with links leads to.
func withResolved(dir string) []string {
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != filepath.Clean(dir) {
		return []string{dir, real}
	}
	return []string{dir}
}

func firstFile(folders []string, name string) string {
	for _, d := range folders {
		p := filepath.Join(d, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}
