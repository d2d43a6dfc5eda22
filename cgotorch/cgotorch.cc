// cgotorch.cc: the one compilation unit. Reading libtorch's headers takes five times as long as compiling what is
// written here, and ten units would each read them anew; cgo, too, compiles all units again when one changes. Go sees
// changes of .hh files as it does of .h files.

#if !__has_include(<ATen/core/grad_mode.h>)
#error "golite does not find libtorch. Once a machine: go run github.com/golite/golite/cmd/libtorch install"
#error \
    "In each shell, and in what an editor is started from: eval \"$(go run github.com/golite/golite/cmd/libtorch env)\""
#else

#include "closure.hh"
#include "saved_hooks.hh"
#include "autograd.hh"
#include "call.hh"
#include "hooks.hh"
#include "cuda.hh"
#include "cpu_allocator.hh"
#include "mkl.hh"
#include "operator_new.hh"
#include "profiler.hh"
#include "state.hh"
#include "checkpoint.hh"
#include "tensor.hh"

#include "dist_shm.hh"
#include "dist_gloo.hh"
#include "dist_go.hh"
#include "dist_group.hh"
#include "dist_hub.hh"
#include "dist_inprocess.hh"
#include "dist_reducer.hh"
#include "dist_store.hh"
#include "dist_tracked_backend.hh"
#include "dist_work.hh"

#endif
