package cgotorch

/*
#cgo CXXFLAGS: -std=c++20 -O2 -g1 -Wall -Wno-sign-compare -fvisibility=default
#cgo CXXFLAGS: -I${SRCDIR}/../third_party/libtorch/include -I${SRCDIR}/../third_party/libtorch/include/torch/csrc/api/include
#cgo LDFLAGS: -L${SRCDIR}/../third_party/libtorch/lib -ltorch_cpu -lc10
#cgo linux LDFLAGS: -Wl,-rpath,${SRCDIR}/../third_party/libtorch/lib -Wl,-rpath,$ORIGIN/../lib
#cgo darwin LDFLAGS: -Wl,-rpath,${SRCDIR}/../third_party/libtorch/lib
#include <stdlib.h>
#include "cgotorch.h"

// What runs an op never calls back into Go, and keeps no pointer that it was given.
#cgo noescape gl_call
#cgo nocallback gl_call
#cgo noescape gl_drop
#cgo nocallback gl_drop
#cgo noescape gl_info
#cgo nocallback gl_info
#cgo noescape gl_data
#cgo nocallback gl_data
#cgo noescape gl_tensor_version
#cgo nocallback gl_tensor_version
#cgo noescape gl_storage
#cgo nocallback gl_storage
#cgo noescape gl_item
#cgo nocallback gl_item
#cgo noescape gl_grads
#cgo nocallback gl_grads
#cgo noescape gl_clear_grads
#cgo nocallback gl_clear_grads
#cgo noescape gl_take
#cgo nocallback gl_take
#cgo noescape gl_dead_closures
#cgo nocallback gl_dead_closures
#cgo noescape gl_memory
#cgo nocallback gl_memory
#cgo nocallback gl_scope
#cgo nocallback gl_scope_now
#cgo nocallback gl_grad_mode
#cgo noescape gl_sift
#cgo nocallback gl_sift
#cgo nocallback gl_alive
#cgo nocallback gl_live
// Backward runs Go's hooks and functions, and a goroutine's stack may move meanwhile: its buffers must lie on the heap.
*/
import "C"
